"""What the command line never uses, and libraries import all the same where it is installed, it does not pay for.

- pyarrow imports pandas with its first array: `dermdata stats demo` took 1.0 s with it and 0.7 s without (commit
  9f5538e, two cores, an otherwise busy machine).
- httpcore imports trio and anyio, and httpx its own command line: 0.1 s of the 0.48 s that `dermdata fetch demo` takes
  where all is here.

So the entry point hides them, and lets them be found again before anything else that may want them is imported.
`import dermdata` hides nothing.
"""

import sys

UNUSED = frozenset({"pandas", "trio", "anyio", "httpx._main"})


class HiddenModules:
    """A finder of modules that says that there are none of these names."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Say no before any other finder is asked."""
        if name in UNUSED:
            raise ModuleNotFoundError(f"dermdata's command line runs without {name}", name=name)


def hide_unused() -> None:
    """Let no import find them."""
    sys.meta_path.insert(0, HiddenModules)


def show_unused() -> None:
    """Let imports find them again: before a library of others is loaded."""
    if HiddenModules in sys.meta_path:
        sys.meta_path.remove(HiddenModules)
