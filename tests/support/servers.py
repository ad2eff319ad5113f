"""A small honest HTTP server for tests: byte ranges, ETags, and a log of what was asked."""

import hashlib
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote


class LocalServer(ThreadingHTTPServer):
    """A server whose clients may leave: one that is killed, or trusts it not, breaks off in the midst of an answer."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what failed, unless a client broke off: its thread may outlive the test, and with it stderr."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Site:
    """Serves bytes by official address: `https://host/path` is asked at `<base>/web/host/path`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.refused: dict[str, int] = {}  # address -> status; all else that is no file is 404
        self.requests: list[tuple[str, str | None]] = []  # (address, Range)
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # else a body waits 40 ms until the client has acknowledged the headers before it
            disable_nagle_algorithm = True

            def do_GET(self) -> None:  # http.server calls it so
                site.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = LocalServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def rewrite(self) -> str:
        return f"https://=http://127.0.0.1:{self.server.server_port}/web/"

    def put(self, url: str, data: bytes) -> None:
        self.files[unquote(url.partition("://")[2])] = data

    def answer(self, request: Any) -> None:
        address = unquote(request.path.removeprefix("/web/"))
        wanted = request.headers.get("Range")
        self.requests.append((address, wanted))
        data = self.files.get(address)
        if data is None or address in self.refused:
            request.send_error(self.refused.get(address, 404))
            return
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        start, end = 0, len(data)
        if wanted and request.headers.get("If-Range", tag) == tag:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted).groups()
            start, end = int(first), min(int(last or len(data) - 1) + 1, len(data))
        request.send_response(206 if wanted and (start, end) != (0, len(data)) else 200)
        if (start, end) != (0, len(data)):
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        request.send_header("ETag", tag)
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(end - start))
        request.end_headers()
        request.wfile.write(data[start:end])

    def __enter__(self) -> "Site":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
