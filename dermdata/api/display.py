"""How sizes, notes, failures and strangers' words are shown, alike in the shell and in a notebook."""

from pathlib import Path

from dermdata.errors import Bug, DermdataError, StorageError
from dermdata.markup import bibtex_entry, show_controls
from dermdata.terminal import format_size, make_console, print_message
from dermdata.urls import redact_text

__all__ = ["bibtex_entry", "format_size", "make_console", "print_message", "redact_text", "show_controls"]


def explain_failure(error: Exception) -> DermdataError:
    """Return any failure as one of `dermdata.errors`.

    Parameters
    ----------
    error : Exception
        What a call ended with.

    Returns
    -------
    DermdataError
        Itself, if it is one; StorageError for what a disk or the memory refuses; Bug for the rest.

    """
    if isinstance(error, DermdataError):
        return error
    if isinstance(error, OSError):
        from dermdata.disk import FULL_ERRORS, to_storage_error

        if error.filename is None and error.errno in FULL_ERRORS:  # what we write to by name is named
            return StorageError(f"cannot write the output: {error.strerror}")
        return to_storage_error(error, Path(error.filename or "."))
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return StorageError(
            "there is not enough memory", hint="close other programs, raise `ulimit -v`, or give --jobs 1"
        )
    return Bug(
        f"{type(error).__name__}: {error}",
        hint="this is a fault of dermdata: please report it with --debug's output",
    )
