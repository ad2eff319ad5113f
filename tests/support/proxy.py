"""A TCP proxy that counts and breaks what goes through it."""

import re
import socket
import struct
import threading
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Resets the first connection in which an upload (or an answer) has sent so many bytes."""

    port: int  # of the server behind it
    after: int = 0  # bytes from the client; 0: never
    after_down: int = 0  # bytes from the server; 0: never
    always: bool = False  # every such connection, not only the first
    resets: int = 0
    down: int = 0  # bytes from the server in all
    agents: set[bytes] = field(default_factory=set)  # the user agents of what was asked
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.up, args=(client, server), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client), daemon=True).start()

    def up(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        while data := received(client):
            sent += len(data)
            self.agents |= set(re.findall(rb"(?im)^user-agent: (.*?)\r$", data))
            if self.broken(sent, self.after):
                reset(client)
                break
            server.sendall(data)
        server.close()

    def pump(self, server: socket.socket, client: socket.socket) -> None:
        sent = 0
        try:
            while data := received(server):
                sent += len(data)
                self.down += len(data)
                if self.broken(sent, self.after_down):
                    reset(client)
                    break
                client.sendall(data)
            else:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other side has gone

    def broken(self, sent: int, limit: int) -> bool:
        now = bool(limit) and sent > limit and (self.always or not self.resets)
        self.resets += now
        return now


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_RD)  # wakes who reads from it, and would keep it open
    client.close()  # lingering for no time: a reset


def received(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 14)
    except OSError:
        return b""
