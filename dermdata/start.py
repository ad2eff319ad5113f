"""Where the process begins: the garbage collector waits until everything is imported.

What imports make stays for the whole run; looking through it again and again costs `list` a tenth of its time.
"""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Import the command line without collections, then run it."""
    gc.disable()
    from dermdata.cli.app import main

    gc.freeze()
    gc.enable()
    main()
