"""One of several datasets that failed: told at once, while the next one goes on."""

from typing import TYPE_CHECKING

from dermdata.cli.output import write_error
from dermdata.errors import DermdataError

if TYPE_CHECKING:
    from dermdata.model import Dataset


def failed(error: DermdataError, dataset: "Dataset", *, several: bool) -> DermdataError:
    """Tell of a failure at once where other datasets follow."""
    if several:
        named = error.message.startswith(f"{dataset.name}:")
        plain = type(error).__init__ is DermdataError.__init__ and not named
        told = type(error)(f"{dataset.name}: {error.message}", hint=error.hint) if plain else error
        write_error(told, as_json=False)
    return error
