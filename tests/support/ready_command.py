"""A `dermdata` for the PATH of shells whose start-up is paid once: a small program asks a server for a fork.

Run as a program it is that server. A question is a line of JSON {"words", "folder", "environment"} with the three
standard streams, the answer is the exit code.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = {{"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [json.dumps(asked).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(server.recv(8)))
"""


@contextmanager
def ready_command(folder: Path) -> Iterator[Path]:
    """A folder for the PATH that holds the program `dermdata`, until the block ends."""
    address = str(folder / "server")
    program = folder / "dermdata"
    program.write_text(PROGRAM.format(python=sys.executable, address=address), encoding="utf-8")
    program.chmod(0o755)
    line = [sys.executable, __file__, address]
    settings = os.environ | {"PYTHONUTF8": "1"}
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=settings) as server:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield folder
        server.terminate()


def serve(address: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                answer(connection)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Be the command that is asked for, to its end."""
    from dermdata.cli.app import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    question, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not question.endswith(b"\n"):
        question += connection.recv(1 << 16)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    asked: dict[str, Any] = json.loads(question)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    try:
        main(asked["words"])
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(b"%d" % (end.code or 0))
    os._exit(0)


if __name__ == "__main__":
    from fork_server import preload

    preload()
    serve(sys.argv[1])
