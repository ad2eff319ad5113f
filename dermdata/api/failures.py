"""Failures that nobody foresaw, as errors with a next step: of the operating system, of memory, of dermdata itself."""

from pathlib import Path

from dermdata.errors import Bug, DermdataError, StorageError


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
        from dermdata.disk import FULL, as_storage_error

        if error.filename is None and error.errno in FULL:  # what we write to by name is named
            return StorageError(f"cannot write the output: {error.strerror}")
        return as_storage_error(error, Path(error.filename or "."))
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return StorageError(
            "there is not enough memory", hint="close other programs, raise `ulimit -v`, or give --jobs 1"
        )
    return Bug(
        f"{type(error).__name__}: {error}",
        hint="this is a fault of dermdata: please report it with --debug's output",
    )
