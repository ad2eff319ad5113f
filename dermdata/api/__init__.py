"""The Python API: what notebooks, scripts and the command line call."""

from dermdata import __version__ as __version__
