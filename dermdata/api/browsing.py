"""`browse`: rows, predictions and a list of exclusions behind a local page, and the server that shows it."""

import html
import json
import logging
import os
import sys
import threading
import webbrowser
from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.api.reports import site_labels
from dermdata.api.resources import Resources
from dermdata.errors import UsageError
from dermdata.manifest.lazy import ROW_COLUMN, LazyTable
from dermdata.manifest.schema import SCHEMA
from dermdata.markup import count_nouns
from dermdata.unused_imports import show_unused

if TYPE_CHECKING:
    from dermdata.api.manifest import Manifest
    from dermdata.api.targets import Loaded
    from dermdata.browse.app import Browsing
    from dermdata.browse.index import PictureIndex, RowPredictions
    from dermdata.browse.listening import PageAddress

EXCLUSIONS = Path("exclusions.tsv")
SHOWN_LETTERS = 4000  # of a cell
NO_ROWS = "no row is left to look at"
STOP_SECONDS = 5
GRACE_SECONDS = 2  # for what is being answered at the end
REPEATED_WORDS = ("diagnosis_name", "label_raw")  # a few words, which many rows have
DIGEST_LETTERS = 16  # of a SHA-256: enough to tell 400,000 files apart


@dataclass(frozen=True, kw_only=True)
class BrowseRequest:
    """What is looked at, and where the page is."""

    where: str | None = None
    split: str | None = None
    exclude: tuple[str, ...] = ()
    labels: str | None = None
    predictions: Any = None  # a path, "-" or a table
    exclusions: Path = EXCLUSIONS
    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one

    def require_possible(self) -> None:
        """UsageError for a list that cannot be: said before anything is read."""
        from dermdata.manifest.exclusions import ExclusionFile

        ExclusionFile(self.exclusions)


def require_extra() -> None:
    """UsageError where the libraries of the page are not installed."""
    if not all(map(find_spec, ("starlette", "uvicorn"))):
        raise UsageError("`browse` needs the extra `browse`", hint="pip install 'dermdata[browse]'")


# ------------------------------------------------------------------ what is looked at


def open_browsing(resources: Resources, manifest: "Manifest", request: BrowseRequest) -> "Browsing":
    """Read the rows, and all that the page needs beside them.

    Parameters
    ----------
    resources : Resources
        The vocabulary and the catalog, and who is told.
    manifest : Manifest
        The rows.
    request : BrowseRequest
        What is asked.

    Returns
    -------
    Browsing

    Raises
    ------
    UsageError, UnknownName, BadTable
        For conditions, label spaces, predictions and lists that cannot be.

    """
    from dermdata.browse.app import Browsing
    from dermdata.browse.index import NEEDED_COLUMNS, PictureIndex
    from dermdata.browse.pictures import PictureStore
    from dermdata.manifest.exclusions import ExclusionFile
    from dermdata.manifest.image_files import ImageFinder

    rows = manifest.narrow(request.where, request.split, request.exclude)
    rows = rows.with_labels(request.labels) if request.labels else rows
    loaded = rows._read_columns(lambda there: [name for name in NEEDED_COLUMNS if name in there])
    if not loaded.table.num_rows:
        raise UsageError(NO_ROWS, hint="another --where or --split, or without --exclude")
    predictions, table = None, fill_columns(loaded.table)
    if request.predictions is not None:
        predictions = read_row_predictions(resources, rows, request)
    index = PictureIndex(table, vocabulary_names(resources), partial(find_rows, resources, rows), predictions)
    facts = describe_view(resources, loaded, request)
    finder = ImageFinder(loaded.roots)
    lean = loaded.rest and rows.is_unchanged  # what a step before has changed is held, and not on disk
    every = LazyTable(loaded.table.select([ROW_COLUMN]) if lean else loaded.table, loaded.rest)
    del loaded
    pa.default_memory_pool().release_unused()  # what reading took beside the rows
    store = PictureStore(table, finder)
    return Browsing(
        index, store, ExclusionFile(request.exclusions), partial(read_fields, every), facts, interrupt
    )


def fill_columns(table: pa.Table) -> pa.Table:
    """The table with the columns that every picture has, empty where the manifest has none."""
    from dermdata.browse.index import NEEDED_COLUMNS

    for name in NEEDED_COLUMNS:
        if name in SCHEMA.names and name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(table.num_rows, SCHEMA.field(name).type))
    table = name_all_rows(read_labels(table))
    for name in REPEATED_WORDS:
        if not pa.types.is_dictionary(table.schema.field(name).type):
            place = table.column_names.index(name)
            table = table.set_column(place, name, pc.dictionary_encode(table[name]))
    place = table.column_names.index("sha256")
    table = table.set_column(place, "sha256", pc.utf8_slice_codeunits(table["sha256"], 0, DIGEST_LETTERS))
    return table.combine_chunks()


def name_all_rows(table: pa.Table) -> pa.Table:
    """The table with the key that a list names a row by where a row has none of its own."""
    from dermdata.manifest.exclusions import row_keys

    if not table["key"].null_count:
        return table
    keys = pc.coalesce(table["key"].combine_chunks(), row_keys(table))
    return table.set_column(table.column_names.index("key"), "key", keys)


def read_labels(table: pa.Table) -> pa.Table:
    """The table with its labels as words; without them, where they are lists or the like."""
    from dermdata.projection import LABEL

    if LABEL not in table.column_names:
        return table
    place = table.column_names.index(LABEL)
    try:
        return table.set_column(place, LABEL, pc.dictionary_encode(table[LABEL].cast(pa.string())))
    except (
        pa.ArrowInvalid,
        pa.ArrowNotImplementedError,
    ):  # no dermdata's column: each picture's fields show it
        return table.remove_column(place)


def vocabulary_names(resources: Resources) -> Any:
    """How concepts and sites are called."""
    from dermdata.browse.facets import Names

    vocabulary = resources.library.vocabulary
    return Names(
        lambda concept: vocabulary.name(concept) if concept in vocabulary else concept,
        lambda concept: vocabulary.path(concept)[1:] or (concept,) if concept in vocabulary else (concept,),
        site_labels(resources),
    )


def find_rows(
    resources: Resources, manifest: "Manifest", where: str
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The rows of which a condition is true, as numbers."""
    from dermdata.api.manifest_selection import list_needed
    from dermdata.cohort.where import find_true_rows

    loaded = manifest._read_columns(lambda names: list_needed(resources, names, where, ()))
    return find_true_rows(loaded.table, where, resources.library.vocabulary)


def interrupt() -> None:
    """End the conditions that are judged; where none was ever, their engine is not imported for it."""
    if "dermdata.cohort.where" in sys.modules:
        from dermdata.cohort.where import interrupt_conditions

        interrupt_conditions()


def describe_view(resources: Resources, loaded: "Loaded", request: BrowseRequest) -> dict[str, Any]:
    """What the page says of the whole."""
    from dermdata import __version__

    entries = resources.find_entries(loaded.names).values()
    datasets = [
        {"name": one.name, "title": one.title, "license": one.license.id, "homepage": one.homepage}
        for one in entries
    ]
    return {
        "title": ", ".join(one.title for one in entries) or "a manifest",
        "version": f"dermdata {__version__}",
        "datasets": datasets,
        "history": json.loads(loaded.provenance.get("history", "[]")),
        "labels": request.labels,
    }


# ------------------------------------------------------------------ one picture's fields


def read_fields(rows: LazyTable, row: int) -> list[dict[str, Any]]:
    """All that a row says, in the manifest's order; what it does not say is left out."""
    block = rows.slice_rows(row, 1).to_table()
    pa.default_memory_pool().release_unused()  # what the columns around it took
    found = []
    for name in block.column_names:
        value = block[name][0].as_py()
        if name == ROW_COLUMN or value is None or value in ([], {}):
            continue
        field = SCHEMA.field(name) if name in SCHEMA.names else None
        note = (field.metadata or {}).get(b"description", b"").decode() if field else ""
        found += [
            {"name": f"{name}.{key}" if key else name, "value": text[:SHOWN_LETTERS], "note": note}
            for key, text in show_cell(value)
        ]
    return found


def show_cell(value: Any) -> list[tuple[str, str]]:
    """A cell as text: each entry of a map on its own, a list in one line."""
    if isinstance(value, bytes):
        return [("", value.hex())]
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return [(str(key), "" if one is None else str(one)) for key, one in value]
    if isinstance(value, list):
        return [("", ", ".join(map(show_entry, value)))]
    return [("", f"{value:g}" if isinstance(value, float) else str(value))]


def show_entry(value: Any) -> str:
    """An entry of a list."""
    if isinstance(value, Mapping):
        return " ".join(f"{name} {show_entry(one)}" for name, one in value.items() if one is not None)
    return f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------ predictions


def read_row_predictions(
    resources: Resources, manifest: "Manifest", request: BrowseRequest
) -> "RowPredictions":
    """What a model says of each row, joined as `evaluate` joins it."""
    from dermdata.api.evaluating import EvaluationRequest, prepare_table, read_table
    from dermdata.browse.index import RowPredictions

    table, name = read_table(resources, request.predictions)
    rows = read_judged(manifest)
    place = "dermdata.place"
    numbered = rows.append_column(place, pa.array(np.arange(rows.num_rows)))
    prepared = prepare_table(resources, table, name, numbered, EvaluationRequest(labels=request.labels))
    del table, numbered
    sample = prepared.sample
    judged = prepared.table[place].to_numpy()
    codes = np.full((2, rows.num_rows), -1, np.int32)
    codes[0, judged], codes[1, judged] = sample.truth, sample.decision
    places = np.full(rows.num_rows, -1, np.int64)
    places[judged] = np.arange(len(judged))
    score = np.full(rows.num_rows, np.nan, np.float32)
    scores = None if sample.scores is None else sample.scores.astype(np.float32)
    score[judged] = (
        (sample.truth == sample.decision).astype(np.float32)
        if scores is None
        else scores[np.arange(len(judged)), sample.truth]
    )
    return RowPredictions(tuple(sample.classes), codes[0], codes[1], score, places, scores)


def read_judged(manifest: "Manifest") -> pa.Table:
    """The rows with what tells their class and which prediction is theirs: few columns of many."""
    from dermdata.evaluation.prepare import KEY_COLUMNS
    from dermdata.projection import LABEL, STATEMENT_COLUMNS

    wanted = [*KEY_COLUMNS, LABEL, "differential", *STATEMENT_COLUMNS]
    loaded = manifest._read_columns(lambda there: [name for name in wanted if name in there])
    return loaded.table.select([name for name in loaded.table.column_names if name in wanted])


# ------------------------------------------------------------------ the server


class PageServer:
    """The page of `browse` while it is served; as a context manager it stops at the end.

    Attributes
    ----------
    address : str
        What a browser opens; it holds the token without which nothing is answered.
    remote_address : str or None
        What the browser of another machine opens; None where only this one is let in, or it is the same.

    """

    def __init__(self, browsing: "Browsing", place: "PageAddress") -> None:
        import uvicorn

        from dermdata.browse.app import make_app
        from dermdata.browse.guard import Guard, make_token

        self.browsing = browsing
        self._socket = place.socket
        token = make_token()
        guard = Guard(
            make_app(browsing),
            token,
            place.hosts,
            f"dermdata-{place.port}",
            place.port if place.is_any else 0,
        )
        self.address = f"{place.shown}/?token={token}"
        remote = f"{place.remote}/?token={token}" if place.remote else None
        self.remote_address = remote if remote != self.address else None
        config = uvicorn.Config(
            guard, lifespan="off", log_level="warning", access_log=False, server_header=False, ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )  # fmt: skip
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<{count_nouns(len(self.browsing.index), 'picture')} at {self.address}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        text = count_nouns(len(self.browsing.index), "picture")
        return f'<a href="{html.escape(self.address)}" target="_blank" rel="noopener">{text}</a>'

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self) -> None:
        """Serve until the process is interrupted; what is being asked then is not waited for."""
        logging.getLogger("uvicorn.error").addFilter(is_no_end)
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.browsing.interrupt()
            self._socket.close()

    def start(self) -> None:
        """Serve in the background; back when it answers."""
        self._thread = threading.Thread(target=self.run, name="dermdata browse", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._thread:
            self._thread.join(STOP_SECONDS)
        self._socket.close()


def is_no_end(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log is of anything but a request that was given up at the end."""
    given_up = bool(record.exc_info and record.exc_info[0] and issubclass(record.exc_info[0], CancelledError))
    return not given_up and "graceful shutdown" not in record.getMessage()


def open_page(address: str) -> bool:
    """Open the person's browser, where there is one."""
    return webbrowser.open(address)


def serve_page(resources: Resources, manifest: "Manifest", request: BrowseRequest) -> PageServer:
    """The page of these rows, ready to run or start; other machines being let in is told."""
    from dermdata.browse.listening import open_address

    require_extra()
    request.require_possible()
    place = open_address(request.host, request.port)  # what cannot be is said before anything is read
    try:
        if place.is_open:
            resources.say(
                f"warning: {request.host} lets other machines look at these pictures if they have the address; "
                "it is not encrypted"
            )
        if not os.access(request.exclusions.absolute().parent, os.W_OK):
            resources.say(
                f"warning: {request.exclusions} cannot be written, so nothing can be marked; --exclusions FILE is another"
            )
        show_unused()  # the page's libraries use anyio
        return PageServer(open_browsing(resources, manifest, request), place)
    except BaseException:
        place.socket.close()
        raise


def open_index(resources: Resources, manifest: "Manifest", request: BrowseRequest) -> "PictureIndex":
    """The rows alone, without a server: what a benchmark measures."""
    return open_browsing(resources, manifest, request).index
