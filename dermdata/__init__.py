"""dermdata: a dataset manager for open dermatology image datasets."""

__version__ = "0.1.0"
