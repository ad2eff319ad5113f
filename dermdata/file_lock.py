"""The lock of an open file against other processes; the system lets go of it when its holder dies."""

import os
import sys

if sys.platform == "win32":
    import msvcrt

    LOCKED_BYTE = 1 << 40  # far behind the end: others may not even read what is locked

    def lock_file(handle: int, *, shared: bool = False) -> bool:  # noqa: ARG001
        """Lock an open file; False when another process has locked it, OSError when nobody can.

        `shared` locks keep only exclusive ones out; Windows has none for open files, and gives an exclusive one.
        """
        os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def lock_file(handle: int, *, shared: bool = False) -> bool:
        """Lock an open file; False when another process has locked it, OSError when nobody can.

        `shared` locks keep only exclusive ones out.
        """
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
