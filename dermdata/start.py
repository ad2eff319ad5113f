"""Where the process begins: what the start-up of every command would pay for, and no command needs, is left out.

The garbage collector waits until everything is imported: what imports make stays for the whole run, and looking
through it again and again costs `list` a tenth of its time. For pandas see `pandas_import`.
"""

import gc
from typing import NoReturn

from dermdata.pandas_import import hide_pandas


def main() -> NoReturn:
    """Import the command line without collections and without pandas, then run it."""
    gc.disable()
    hide_pandas()
    from dermdata.cli.app import main

    gc.freeze()
    gc.enable()
    main()
