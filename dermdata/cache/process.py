"""Which process this is, among all that may share the cache, and whether another one still lives."""

import os
import socket


def machine() -> str:
    """This machine's name, without dots."""
    return socket.gethostname().partition(".")[0] or "localhost"


def here() -> str:
    """This process among all that may share the cache."""
    return f"{machine()}-{os.getpid()}"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
