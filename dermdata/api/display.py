"""How sizes, notes and strangers' words are shown, alike in the shell and in a notebook."""

from dermdata.markup import bibtex_entry, show_controls
from dermdata.terminal import console, talk
from dermdata.units import size
from dermdata.urls import redact

__all__ = ["bibtex_entry", "console", "redact", "show_controls", "size", "talk"]
