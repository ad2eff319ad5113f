"""What stands between a hospital's machine and the internet: its own certificate authority, its proxy, a host behind it."""

import base64
import datetime
import select
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.servers import LocalServer

DAY = datetime.timedelta(days=1)


class PrivateAuthority:
    """An authority that nobody knows, and the certificates that it signs; files in one folder."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *hosts: str, days: float = 9) -> Path:
        """A key and its certificate for these hosts, in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        certificate = self._sign(subject, key, names, days=days)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{name}.pem"
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: Any, days: float = 9
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        end = now + days * DAY
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, end) - DAY)
            .not_valid_after(end)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self.key, hashes.SHA256())


def general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class LocalHost:
    """A server that gives its files to whoever asks, over TLS with a certificate; it notes what was asked."""

    def __init__(self, certificate: Path | None = None, family: str = "127.0.0.1") -> None:
        self.files: dict[str, bytes] = {}
        self.heads: list[dict[str, str]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # http.server calls it so
                host.heads.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                data = host.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_: Any) -> None:
                pass

        class Server(LocalServer):
            address_family = socket.AF_INET6 if ":" in family else socket.AF_INET

        self.server = Server((family, 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "LocalHost":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@dataclass
class ForwardProxy:
    """A real proxy: CONNECT and plain requests, with a log-in if there is one; every name leads to the given ports."""

    ports: dict[str, int] = field(default_factory=dict)  # of a host, on 127.0.0.1
    login: str | None = None  # user:password
    answer: bytes | None = None  # in place of any tunnel or page, as it goes over the wire
    offers: str = 'Basic realm="proxy"'
    asked: list[str] = field(default_factory=list)  # request lines
    heads: list[dict[str, str]] = field(default_factory=list)
    tls: Path | None = None  # a certificate: https://… to the proxy itself
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self) -> "ForwardProxy":
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.handle, args=(client,), daemon=True).start()

    def handle(self, client: socket.socket) -> None:
        try:
            if self.tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.tls)
                client = context.wrap_socket(client, server_side=True)
            with client:
                while self.handle_one(client):
                    pass
        except OSError:
            return  # the client has gone

    def handle_one(self, client: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(1 << 14)
            if not part:
                return False
            head += part
        line, *rest = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in rest)}
        self.asked.append(line)
        self.heads.append(fields)
        method, target, _ = line.split(" ")
        if refusal := self.refusal(fields):
            client.sendall(refusal)
            return True
        parts = urlsplit(target if method == "GET" else f"//{target}")
        with socket.create_connection(("127.0.0.1", self.ports[parts.hostname or ""])) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                splice(client, server)
                return False
            path = parts._replace(scheme="", netloc="").geturl() or "/"
            kept = [one for one in rest if not one.lower().startswith(("proxy-", "connection"))]
            server.sendall("\r\n".join([f"GET {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode())
            while data := server.recv(1 << 16):
                client.sendall(data)
        return False

    def refusal(self, fields: dict[str, str]) -> bytes | None:
        """What this proxy says by itself, if anything."""
        if self.login is not None:
            wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
            if fields.get("proxy-authorization") != wanted:
                return (
                    "HTTP/1.1 407 Proxy Authentication Required\r\n"
                    f"Proxy-Authenticate: {self.offers}\r\nContent-Length: 0\r\n\r\n"
                ).encode()
        return self.answer


class SocksProxy(ForwardProxy):
    """SOCKS 5 (RFC 1928), with user and password (RFC 1929) if there is a log-in; names, not addresses, come to it."""

    def handle_one(self, client: socket.socket) -> bool:
        _, count = client.recv(2)
        offered = client.recv(count)
        client.sendall(b"\x05\x02" if self.login and 2 in offered else b"\x05\x00")
        if self.login and 2 in offered:
            _, length = client.recv(2)
            user = client.recv(length)
            password = client.recv(client.recv(1)[0])
            right = f"{user.decode()}:{password.decode()}" == self.login
            client.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return False
        _, _, _, kind, length = client.recv(5)
        name = client.recv(length).decode()
        port = int.from_bytes(client.recv(2), "big")
        self.asked.append(f"{kind} {name}:{port}")
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        with socket.create_connection(("127.0.0.1", self.ports[name])) as server:
            splice(client, server)
        return False


def splice(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    other_of = {one: other, other: one}
    while True:
        pending = isinstance(one, ssl.SSLSocket) and one.pending()
        ready = [one] if pending else select.select([one, other], [], [])[0]
        for source in ready:
            data = source.recv(1 << 16)
            if not data:
                return
            other_of[source].sendall(data)
