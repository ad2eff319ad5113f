"""The audit's findings are those of `select` and `split --check`."""

from dermdata.finding import Finding, Level

__all__ = ["Finding", "Level"]
