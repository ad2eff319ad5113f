"""Runs dermdata command lines in forks of itself: start-up is paid once, a kill costs a tenth of a second.

Reads a JSON list of jobs from a line, runs them all at once, answers with a list of [wait status, stderr].
A job: {"words": […], "seams": {"SEAM_…": …}, "unprivileged": true or false}.
"""

import codecs
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import sys
import tempfile
from typing import Any


def preload() -> None:
    """Import all that a command might, so that a fork finds it even where it may read no module."""
    import dermdata

    for name in ("idna", "utf-8-sig", "latin-1", "cp437"):
        codecs.lookup(name)
    for module in pkgutil.walk_packages(dermdata.__path__, "dermdata."):
        if not module.name.startswith(("dermdata.__main__", "dermdata.export.", "dermdata.audit")):
            importlib.import_module(module.name)
    from dermdata.catalogs import open_catalog

    catalog = open_catalog()  # each fork would compile it, and parse its concepts, for itself
    catalog.load_vocabulary()
    catalog.load_body_sites()
    from dermdata.cli.app import COMMANDS, make_root

    for name in COMMANDS:
        make_root().get_command(None, name)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page of what is here


def forked(job: dict[str, Any]) -> tuple[int, Any]:
    """The child's process id and the file that its stderr goes to."""
    said = tempfile.TemporaryFile()  # noqa: SIM115  # read when the child has ended
    if pid := os.fork():
        return pid, said
    nobody = os.open(os.devnull, os.O_RDWR)
    os.dup2(nobody, 0)
    os.dup2(nobody, 1)
    os.dup2(said.fileno(), 2)
    sys.path.insert(0, os.environ["SEAMS"])
    import sitecustomize

    sitecustomize.arm(job["seams"])
    if job["unprivileged"] and os.geteuid() == 0:  # nobody else has any
        drop_capabilities()
    from dermdata.cli.app import main

    try:
        main(job["words"])
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(int(end.code or 0))
    os._exit(99)


def drop_capabilities() -> None:
    """From here on the modes of files hold for root too: no capability is left, and the user stays the same.

    Another user could not even read the code where it lies below a home of mode 700.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, of this process
    none = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def main() -> None:
    preload()
    for line in sys.stdin:
        running = [forked(job) for job in json.loads(line)]
        answers = []
        for pid, said in running:
            status = os.waitpid(pid, 0)[1]
            said.seek(0)
            answers.append([status, said.read().decode(errors="replace")])
            said.close()
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
