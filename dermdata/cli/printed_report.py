"""What comes of each of several datasets, printed at once while the next one goes on."""

from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.fetch_request import FetchReport
from dermdata.cli.failures import write_error
from dermdata.cli.output import write_line
from dermdata.errors import DermdataError

if TYPE_CHECKING:
    from dermdata.model import Dataset


class PrintedReport(FetchReport):
    """A report whose paths go to stdout; where other datasets follow, failures are told at once."""

    def add_path(self, dataset: "Dataset", path: Path) -> None:
        """Print the path."""
        super().add_path(dataset, path)
        write_line(str(path))

    def add_failure(self, dataset: "Dataset", error: DermdataError) -> None:
        """Tell of the failure, in words that name the dataset."""
        super().add_failure(dataset, error)
        if self.asked > 1:
            named = error.message.startswith(f"{dataset.name}:")
            plain = type(error).__init__ is DermdataError.__init__ and not named
            told = type(error)(f"{dataset.name}: {error.message}", hint=error.hint) if plain else error
            write_error(told, as_json=False)
