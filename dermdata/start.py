"""Where the process begins: what the start-up of every command would pay for, and no command needs, is left out.

- The garbage collector waits until everything is imported: what imports make stays for the whole run, and looking
  through it again and again costs `list` a tenth of its time.
- pandas stays outside: nothing of ours uses it, but pyarrow imports it with its first array, which was half of the
  time of `stats` on a small manifest.
"""

import gc
import sys
from typing import NoReturn


class WithoutPandas:
    """The import system's finder of modules that are not to be had."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Say no before any other finder is asked."""
        if name == "pandas":
            raise ModuleNotFoundError("dermdata runs without pandas", name=name)


def main() -> NoReturn:
    """Import the command line without collections and without pandas, then run it."""
    gc.disable()
    sys.meta_path.insert(0, WithoutPandas)
    from dermdata.cli.app import main

    gc.freeze()
    gc.enable()
    main()
