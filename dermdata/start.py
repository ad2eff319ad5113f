"""Where the process begins: what the start-up of every command would pay for, and no command needs, is left out.

The garbage collector waits until everything is imported: what imports make stays for the whole run, and looking
through it again and again costs `list` a tenth of its time. Afterwards it comes more seldom than Python lets it:
the records of 100,000 images hold no circles, and to look through them took a tenth of a fetch. For what is
hidden see `unused_imports`.
"""

import gc
from typing import NoReturn

from dermdata.unused_imports import hide_unused

COLLECT_AFTER = 50_000  # new objects, where Python's own number is 700 to 2,000


def main() -> NoReturn:
    """Import the command line without collections and what it never uses, then run it."""
    gc.disable()
    hide_unused()
    from dermdata.cli.app import main

    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    gc.enable()
    main()
