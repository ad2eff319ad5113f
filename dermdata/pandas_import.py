"""pandas is for those who ask for a data frame; the command line does not pay for it.

pyarrow imports pandas with its first array, if there is one: `dermdata stats demo` took 1.0 s with it and 0.7 s
without (commit 9f5538e, two cores, an otherwise busy machine). So the entry point hides it, and lets it be found
again before anything else that may want it is imported. `import dermdata` hides nothing.
"""

import sys


class HiddenPandas:
    """A finder of modules that says that there is no pandas."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Say no before any other finder is asked."""
        if name == "pandas":
            raise ModuleNotFoundError("dermdata's command line runs without pandas", name=name)


def hide_pandas() -> None:
    """Let no import find pandas."""
    sys.meta_path.insert(0, HiddenPandas)


def show_pandas() -> None:
    """Let imports find pandas again: before a library of others is loaded."""
    if HiddenPandas in sys.meta_path:
        sys.meta_path.remove(HiddenPandas)
