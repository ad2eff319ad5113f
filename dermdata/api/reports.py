"""The offline pages of `audit` and `evaluate`: what they need beside rows and numbers, and how they are written."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata import disk
from dermdata.api.resources import Resources
from dermdata.errors import UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.audit import AuditContext, Finding
    from dermdata.model import Dataset

CITATION = ("dataset", "rows", "license", "doi", "bibtex", "attribution")


def require_report(path: Path) -> None:
    """UsageError for a report that cannot be written: said before the work, not after it."""
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for the report")
    disk.require_file(path)


def write_audit_report(
    resources: Resources,
    path: Path,
    table: "pa.Table",
    found: Sequence["Finding"],
    context: "AuditContext",
    facts: Mapping[str, Any],
) -> None:
    """Write the page of an audit, whole or not at all; `facts` are its `command` and the codes that were `checked`."""
    from dermdata.report import audit_page

    vocabulary = resources.library.vocabulary
    names = {**site_labels(resources), **{concept.id: concept.label for concept in vocabulary}}
    title = f"Audit of {', '.join(context.entries) or 'a manifest'}"
    about = {**describe_rows(resources, table, context.entries), "title": title, "names": names, **facts}
    write_page(resources, path, audit_page(table, found, image_reader(table, context), about))


@dataclass(frozen=True, kw_only=True)
class EvaluationOutputs:
    """What is written of an evaluation beside its answer."""

    report: Path | None = None  # a page
    figures: Path | None = None  # a folder of SVG and CSV
    card: Path | None = None  # a model card in Markdown

    def __bool__(self) -> bool:
        return any((self.report, self.figures, self.card))

    def require(self, inputs: Iterable[str] = ()) -> None:
        """UsageError for what cannot be written, or is one of `inputs`: said before the work, not after it."""
        files = [path for path in (self.report, self.card) if path]
        for path in files:
            require_report(path)
            require_other(path, inputs)
        if len(files) > 1 and is_same_file(*files):
            raise UsageError(f"{files[0]} cannot be the page and the model card", hint="give two names")
        if self.card is not None:
            require_card(self.card)
        if self.figures is not None:
            require_figures(self.figures)


def require_other(path: Path, inputs: Iterable[str]) -> None:
    """UsageError for a file that is read: its rows would be gone."""
    if any(is_same_file(path, Path(name)) for name in inputs):
        raise UsageError(f"{path} is read here, it cannot be written", hint="give another name")


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, there or not yet."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def require_card(path: Path) -> None:
    """UsageError for a model card that somebody has filled in."""
    from dermdata.report import require_untouched

    with disk.storage_errors(path):
        require_untouched(path)


def require_figures(folder: Path) -> None:
    """UsageError for a folder of figures that is a file, or has such files of somebody else."""
    from dermdata.report import list_figures

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="figures are files in one: --figures DIR")
    with disk.storage_errors(folder):
        list_figures(folder)


def write_evaluation_outputs(
    resources: Resources,
    wanted: EvaluationOutputs,
    result: Mapping[str, Any],
    table: "pa.Table",
    command: str,
    where: str,
) -> None:
    """Write what is asked for, each file whole or not at all; `table` has the rows that were judged."""
    from dermdata.api.targets import list_datasets
    from dermdata.report import evaluation_page, figure_files, model_card

    datasets = sorted(name for name in list_datasets(table) if name)
    entries = resources.find_entries(datasets)
    names = {**site_labels(resources), **{one.id: one.label for one in resources.library.vocabulary}}
    title = f"Evaluation on {', '.join(datasets) or 'a manifest'}"
    rows = f"of {', '.join(datasets) or 'a manifest'}{where}"
    about = {
        **describe_rows(resources, table, entries),
        "title": title,
        "names": names,
        "command": command,
        "rows": rows,
    }
    if wanted.report:
        write_page(resources, wanted.report, evaluation_page(result, about))
    if wanted.card:
        write_page(resources, wanted.card, model_card(result, about))
    if wanted.figures:
        write_figures(resources, wanted.figures, figure_files(result, names))


def write_figures(resources: Resources, folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Each figure in the folder, in place of an earlier one of the same name; what else lies there stays."""
    from dermdata.report import list_figures

    with disk.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        earlier = list_figures(folder)
    written = dict.fromkeys(write_figure(folder / name, data).stem for name, data in files)
    resources.say(
        f"{count_nouns(len(written), 'figure')} in {folder}, each as .svg and .csv: {', '.join(written)}"
    )
    if stale := [name for name in earlier if name not in written]:
        resources.say(f"of an earlier run and not of this one: {', '.join(stale)}")


def write_figure(path: Path, data: bytes) -> Path:
    """One file, whole or not at all."""
    disk.write_chunks(path, [data])
    return path


def write_page(resources: Resources, path: Path, chunks: Iterable[str]) -> None:
    disk.write_chunks(path, (chunk.encode() for chunk in chunks))
    resources.say(f"written to {path}")


# ------------------------------------------------------------------ what a page needs


def describe_rows(
    resources: Resources, table: "pa.Table", entries: Mapping[str, "Dataset"]
) -> dict[str, Any]:
    """Where the rows come from, whom to cite and what may be done with them."""
    from dermdata import __version__
    from dermdata.cohort.cite import collect_credits
    from dermdata.manifest.columns import text_column
    from dermdata.manifest.parquet import manifest_metadata

    found = collect_credits(table, entries.get)
    counted = text_column(table, "dataset").value_counts().to_pylist()
    images = {one["values"]: one["counts"] for one in counted}
    return {
        "tool": f"dermdata {__version__}",
        "datasets": [
            describe_dataset(resources, name, entry, images.get(name, 0)) for name, entry in entries.items()
        ],
        "history": json.loads(manifest_metadata(table).get("history", "[]")),
        "citations": [{name: getattr(one, name) for name in CITATION} for one in found.credits],
        "effective_license": {**vars(found.effective), "because": list(found.effective.because)},
    }


def describe_dataset(resources: Resources, name: str, entry: "Dataset", images: int) -> dict[str, Any]:
    """A dataset in a line of the page, with how many of its images the page is about."""
    return {
        "name": name,
        "title": entry.title,
        "version": entry.version,
        "digest": resources.library.entry_digest(name),
        "homepage": entry.homepage,
        "license": entry.license.id,
        "images": images,
    }


def site_labels(resources: Resources) -> dict[str, str]:
    """The body sites' own labels: their ids hold the path."""
    return {name: site.label for name, site in resources.catalog.load_body_sites().items()}


def image_reader(table: "pa.Table", context: "AuditContext") -> Callable[[str], bytes | None]:
    """Gives the bytes of an image file by its row's key; None where there is none."""
    from dermdata.images.image_file import read_image_file
    from dermdata.manifest.columns import text_column
    from dermdata.manifest.image_files import ImageFinder

    if "path" not in table.column_names:
        return lambda _: None
    found = ImageFinder(context.roots).column_paths(table)
    paths = dict(zip(text_column(table, "key").to_pylist(), found, strict=True))

    def read(key: str) -> bytes | None:
        path = paths.get(key)
        return read_image_file(path) if path else None

    return read
