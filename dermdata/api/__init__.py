"""The Python API: what notebooks, scripts and the command line call."""
