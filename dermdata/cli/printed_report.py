"""What comes of each of several datasets: printed at once while the next one goes on, or at the end as rows."""

from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.fetch_request import FetchReport
from dermdata.cli.failures import write_error
from dermdata.cli.output import Format, emit, write_line
from dermdata.errors import DermdataError

if TYPE_CHECKING:
    from dermdata.model import Dataset


class PrintedReport(FetchReport):
    """A report whose paths go to stdout; where other datasets follow, failures are told at once."""

    def __init__(self, asked: int, form: Format | None) -> None:
        super().__init__(asked)
        self.form = form

    def add_path(self, dataset: "Dataset", path: Path) -> None:
        """Print the path, unless a format was asked for: then it waits for the others."""
        super().add_path(dataset, path)
        if self.form is None:
            write_line(str(path))

    def add_failure(self, dataset: "Dataset", error: DermdataError) -> None:
        """Tell of the failure, in words that name the dataset."""
        super().add_failure(dataset, error)
        if self.asked > 1:
            named = error.message.startswith(f"{dataset.name}:")
            plain = type(error).__init__ is DermdataError.__init__ and not named
            told = type(error)(f"{dataset.name}: {error.message}", hint=error.hint) if plain else error
            write_error(told, as_json=self.form == "json")

    def conclude(self) -> None:
        """Print the paths in the format that was asked for; raise what went wrong."""
        if self.form is not None:
            rows = [
                {"dataset": name, "path": str(path), "copy": self.copies.get(name)}
                for name, path in self.paths.items()
            ]
            emit(rows, ("dataset", "path", "copy"), self.form, "fetch")
        self.raise_failures()
