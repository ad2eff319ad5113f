"""What a person should know of data that have just been added: what matched, what is doubled, what the audit finds."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.api.adding import AddedEntry, fetch_added
from dermdata.api.manifest import Manifest
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.targets import Loaded, find_cached_targets, load
from dermdata.errors import DermdataError
from dermdata.manifest.columns import text_column
from dermdata.manifest.image_files import ImageFinder
from dermdata.manifest.schema import KEYS
from dermdata.markup import count_nouns, phrase_count
from dermdata.process import count_cores

if TYPE_CHECKING:
    from dermdata.api.own_data import AddRequest

REPORT_KEYS = ("check", "level", "subject", "count", "detail", "example")
PICTURE_COLUMNS = ("key", "dataset", "path", "sha256", "phash")
LABEL_COLUMNS = ("label_raw", "diagnosis")
COMPARED = {"key": pa.string(), "dataset": pa.string(), "sha256": pa.string(), "phash": pa.binary(8)}
FACT_CHECKS = ("rows", "matched", "row-without-image", "image-without-row", "row-rejected")
LABEL_CHECKS = ("label", "label-unmapped")
WORDS_SHOWN = 8  # of labels, in a line
NEAR, EXACT = "duplicate-near", "duplicate-exact"
Item = dict[str, Any]


class AddedManifest(Manifest):
    """The rows of a dataset that was added, and what a person should know of them.

    Attributes
    ----------
    entry : pathlib.Path
        The folder of the entry that was written.
    guesses, words : Records
        What was inferred of each column, and what became of each word of the labels.
    report : Records
        `check, level, subject, count, detail, example`: rows, pictures matched and unmatched both ways, duplicates here
        and in the cache, groups, labels, and what `audit` finds, private metadata inside the files among it.
    problem : DermdataError or None
        What `dermdata add` ends with where the manifest is there and not all is well: pictures that rows name and that
        are missing, words without a concept.

    """

    entry: Path
    guesses: Records
    words: Records
    report: Records
    problem: DermdataError | None

    @classmethod
    def fetch(cls, resources: Resources, request: "AddRequest", added: AddedEntry) -> "AddedManifest":
        """Fetch what was added; its error where no manifest could be made."""
        outcome = fetch_and_check(resources, request)
        if outcome.manifest is None and outcome.problem is not None:
            raise outcome.problem
        found = cls.read_targets(resources, [request.name])
        found.entry, found.guesses, found.words = added.folder, added.guesses, added.words
        found.report, found.problem = outcome.report, outcome.problem
        return found


@dataclass(frozen=True, kw_only=True)
class AddOutcome:
    """What came of the fetch of an entry that was just written."""

    manifest: Path | None
    report: Records  # REPORT_KEYS
    problem: DermdataError | None


def fetch_and_check(resources: Resources, request: "AddRequest") -> AddOutcome:
    """Take the pictures into the cache, and look at what is there then."""
    from dermdata.api.fetch_request import FetchReport

    fetched = FetchReport(1)
    fetch_added(resources, request, fetched)
    manifest = fetched.paths.get(request.name)
    report = (
        report_added(resources, request.name, fetched.left_alone) if manifest else Records([], REPORT_KEYS)
    )
    return AddOutcome(manifest=manifest, report=report, problem=fetched.errors[0] if fetched.errors else None)


def report_added(resources: Resources, name: str, left_alone: Sequence[str] = ()) -> Records:
    """Look at a dataset in the cache as at one that nobody knows yet.

    Parameters
    ----------
    resources : Resources
        The session's.
    name : str
        The dataset; it is in the cache.
    left_alone : sequence of str
        Pictures that were given and that no row names.

    Returns
    -------
    Records
        REPORT_KEYS; `level` is "note", "warning" or "error", `example` a file, a row's key or an id.

    """
    own = load(resources, [name], [*PICTURE_COLUMNS, *KEYS, *LABEL_COLUMNS])
    rows = [*count_matches(resources, name, own.table, left_alone)]
    rows += [*count_groups(own.table), *count_labels(own.table)]
    rows += find_copies(resources, name, own)
    rows += summarize_findings(resources, name, own)
    return Records(rows, REPORT_KEYS, {"rows": own.table.num_rows})


def make_item(
    check: str,
    count: int,
    detail: str,
    *,
    level: str = "note",
    subject: str | None = None,
    example: Any = None,
) -> Item:
    return dict(zip(REPORT_KEYS, (check, level, subject, count, detail, example), strict=True))


# ------------------------------------------------------------------ rows, groups, labels


def count_matches(
    resources: Resources, name: str, table: pa.Table, left_alone: Sequence[str]
) -> Iterator[Item]:
    """Rows and pictures: those that belong together, and those of either kind that are alone."""
    receipt = resources.find_folder(name).receipt()
    facts: Mapping[str, Any] = receipt.report if receipt else {}
    missing = table["path"].null_count
    yield make_item("rows", table.num_rows, count_nouns(table.num_rows, "row"))
    matched = table.num_rows - missing
    yield make_item("matched", matched, f"{count_nouns(matched, 'row', 'have')} a picture")
    if missing:
        named = facts.get("images_not_found", {}).get("first", [])
        text = f"{count_nouns(missing, 'row', 'name')} a picture that is not there"
        yield make_item("row-without-image", missing, text, level="warning", example=first_of(named))
    kept: Mapping[str, Any] = facts.get("images_without_row", {})
    if alone := kept.get("count", 0) + len(left_alone):
        text = f"{count_nouns(alone, 'picture', 'are')} there that no row names"
        example = first_of([*left_alone, *kept.get("first", ())])
        yield make_item("image-without-row", alone, text, level="warning", example=example)
    if rejected := facts.get("rejected"):
        text = f"{count_nouns(len(rejected), 'row')} rejected: {rejected[0]['reason']}"
        example = rejected[0].get("image_id") or rejected[0].get("row")
        yield make_item("row-rejected", len(rejected), text, level="warning", example=example)


def first_of(found: Sequence[Any]) -> Any:
    return found[0] if found else None


def count_groups(table: pa.Table) -> Iterator[Item]:
    """Patients, lesions and cases: how many there are, and of how many pictures each has."""
    for column in KEYS:
        sizes = pc.value_counts(text_column(table, column).drop_null()).field("counts")
        plural = f"{column.removesuffix('_id')}s"
        if not len(sizes):
            yield make_item(column, 0, f"no {plural} are known")
            continue
        low, high = (bound.as_py() for bound in pc.min_max(sizes).values())
        each = count_nouns(high, "picture") if low == high else f"{low:,} to {count_nouns(high, 'picture')}"
        text = f"{phrase_count(len(sizes), plural)}, {each} each"
        yield make_item(column, len(sizes), text)


def count_labels(table: pa.Table) -> Iterator[Item]:
    """Each word of the labels with its rows and its concept; a word without one is a warning."""
    words, meant = text_column(table, "label_raw").to_pylist(), text_column(table, "diagnosis").to_pylist()
    counts = Counter(zip(words, meant, strict=True))
    for (word, concept), count in sorted(counts.items(), key=lambda one: (-one[1], str(one[0]))):
        if word is None:
            yield make_item("no-label", count, f"{count_nouns(count, 'row', 'have')} no label")
        elif concept is None:
            yield make_item("label-unmapped", count, f"{word}: not mapped", level="warning", subject=word)
        else:
            yield make_item("label", count, f"{word}: {concept}", subject=word)


# ------------------------------------------------------------------ copies


def find_copies(resources: Resources, name: str, own: Loaded) -> Iterator[Item]:
    """Pictures that other datasets of the cache have too, by their bytes and by their looks."""
    others = [one for one in find_cached_targets(resources) if one != name]
    try:
        known = load(resources, others, PICTURE_COLUMNS) if others else None
        yield from count_same_bytes(own, known)
        yield from count_near_copies(name, own, known)
    except (
        DermdataError,
        OSError,
    ) as error:  # of another dataset's files: what was added is here all the same
        yield make_item(NEAR, 0, f"duplicates were not all looked for: {error}", level="warning")


def count_same_bytes(own: Loaded, known: Loaded | None) -> Iterator[Item]:
    """Of each other dataset how many of the pictures it has, byte by byte."""
    if known is None:
        return
    mine = text_column(own.table, "sha256")
    shared = known.table.filter(pc.is_in(text_column(known.table, "sha256"), mine.drop_null()))
    keys = dict(zip(mine.to_pylist(), own.table["key"].to_pylist(), strict=True))
    found: dict[str, list[tuple[str, str]]] = {}
    for dataset, digest, key in zip(
        *(text_column(shared, one).to_pylist() for one in ("dataset", "sha256", "key")), strict=True
    ):
        if digest is not None:
            found.setdefault(dataset, []).append((keys[digest], key))
    for dataset, pairs in found.items():
        yield describe_copies(EXACT, dataset, pairs, "byte by byte")


def count_near_copies(name: str, own: Loaded, known: Loaded | None) -> Iterator[Item]:
    """Pictures that show what another one shows, here and in each other dataset."""
    from dermdata.duplicates import find_near_duplicates

    sides = [own, known] if known else [own]
    table = pa.concat_tables([
        pa.table({column: one.table[column].cast(kind) for column, kind in COMPARED.items()}) for one in sides
    ])  # fmt: skip
    first = own.table.num_rows
    if table["phash"].slice(0, first).null_count == first:
        return
    keys, datasets, digests, hashes = (table[column].to_pylist() for column in COMPARED)
    near = find_near_duplicates(hashes, digests, make_file_finder(sides), jobs=count_cores(), new=first)
    found: dict[str, list[tuple[str, str]]] = {}
    for i, j in near.row_pairs():
        found.setdefault(datasets[j], []).append((keys[i], keys[j]))
    for dataset in sorted(found, key=lambda one: (one != name, one)):
        yield describe_copies(NEAR, dataset, found[dataset], "by their looks")


def make_file_finder(sides: Sequence[Loaded]) -> Callable[[int], Path | None]:
    """What gives the file of a row, counted on over one or two tables."""
    finders = [ImageFinder(one.roots) for one in sides]
    first = sides[0].table.num_rows

    def find_file(row: int) -> Path | None:
        number = int(row >= first)
        found = finders[number].row_path(sides[number].table, row - number * first)
        return Path(found) if found is not None else None

    return find_file


def describe_copies(check: str, dataset: str, pairs: Sequence[tuple[str, str]], how: str) -> Item:
    """A row of how many pictures are in a dataset too, with the first two that are one."""
    count = len({mine for mine, _ in pairs})
    text = f"{count_nouns(count, 'picture', 'are')} in {dataset} too, {how}"
    example = " = ".join(pairs[0])
    return make_item(check, count, text, level="warning", subject=dataset, example=example)


# ------------------------------------------------------------------ the audit


def summarize_findings(resources: Resources, name: str, own: Loaded) -> Iterator[Item]:
    """What the audit finds, a row each kind, with a file that has it; the values of metadata are never shown."""
    from dermdata.api.auditing import AuditRequest, audit_targets

    found = audit_targets(resources, [name], AuditRequest(allow_missing=True))
    kinds: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for one in found:
        if one["code"] == "image-unreadable" and one["level"] == "note":
            continue  # rows without a file: counted already
        subject = str(one["evidence"].get("kind") or name)
        kinds.setdefault((one["level"], one["code"], subject), []).append(one)
    for (level, code, subject), group in kinds.items():
        keys = list(dict.fromkeys(key for one in group for key in one["keys"]))
        more = f" (and {count_nouns(len(group) - 1, 'more finding')} of this kind)" if len(group) > 1 else ""
        example = find_file_of(own, keys) if keys else None
        yield make_item(
            code, len(keys), f"{group[0]['message']}{more}", level=level, subject=subject, example=example
        )


def find_file_of(own: Loaded, keys: Iterable[str]) -> str:
    """The file of the first of these rows; its key where it has none."""
    first = next(iter(keys))
    row = pc.index(own.table["key"].cast(pa.string()), pa.scalar(first)).as_py()
    found = ImageFinder(own.roots).row_path(own.table, row) if row >= 0 else None
    return first if found is None else str(found)


# ------------------------------------------------------------------ in words


def describe_report(name: str, report: Records) -> list[str]:
    """The report on a screen: facts first, then each warning and note on a line."""
    if not report:
        return []
    facts, groups, labels, rest = ([one for one in report if one["check"] in kinds] for kinds in (
        FACT_CHECKS, KEYS, LABEL_CHECKS, {one["check"] for one in report} - {*FACT_CHECKS, *KEYS, *LABEL_CHECKS},
    ))  # fmt: skip
    known = [one["detail"] for one in groups if one["count"]]
    lines = [f"{name}: {'; '.join(map(describe_fact, facts))}"]
    lines.append(f"  {'; '.join(known) or 'no patients, lesions or cases are known'}")
    lines += [f"  labels: {describe_labels(labels)}"] if labels else []
    return [*lines, *map(describe_line, rest), f"`dermdata audit {name}` lists every finding"]


def describe_fact(item: Mapping[str, Any]) -> str:
    example = f" ({item['example']})" if item["example"] else ""
    return f"{item['detail']}{example}"


def describe_labels(labels: Sequence[Mapping[str, Any]]) -> str:
    """The first words with their counts, and how many more there are."""
    labels = sorted(labels, key=lambda one: str(one["check"]))
    shown = [f"{one['detail']} ({one['count']:,})" for one in labels[:WORDS_SHOWN]]
    more = len(labels) - WORDS_SHOWN
    return ", ".join([*shown, *([f"and {count_nouns(more, 'more word')}"] if more > 0 else [])])


def describe_line(item: Mapping[str, Any]) -> str:
    level = "" if item["level"] == "note" else f"{item['level']}: "
    example = f", such as {item['example']}" if item["example"] else ""
    return f"  {level}{item['detail']}{example}"
