"""Which process this is, among all that may share the cache, and whether another one still lives."""

import os
import socket
from pathlib import Path


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


def began(pid: int) -> str:
    """When a process began, in the kernel's ticks: ids are used again; empty where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
