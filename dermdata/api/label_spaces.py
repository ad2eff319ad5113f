"""What a command needs for `--labels SPACE`: the space, the words that labels come from, and what fits no class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import BadTable, ProblemsFound, UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    from dermdata.crosswalks import Crosswalk
    from dermdata.model import Dataset, Label
    from dermdata.vocabulary import LabelSpace, Vocabulary

Differential = str  # all | top | weight>=W
ADDED = ("label", "label_reason")  # the columns that a projection adds
# the columns that it reads, which are those of `projection.SAID` (a test holds them equal) and a differential
NEEDED = (
    "dataset", "label_raw", "diagnosis", "diagnosis_match", "malignancy", "malignancy_source", "refined_from",
    "refined_label", "differential",
)  # fmt: skip
LONGEST = 60  # characters of a label on stderr
TOLD = 8  # labels without a class that are told one by one


def check_strict(labels: str | None, *, strict: bool) -> None:
    """UsageError where there are no classes to be strict about."""
    if strict and not labels:
        raise UsageError("--strict judges the classes of --labels SPACE", hint="give a label space")


def find_share(
    labels: str | None, differential: Differential | None, min_weight: float | None, *, alone: bool = False
) -> float:
    """The share of a differential's weight that a class needs: 1 all, 0 what the heaviest has; UsageError for no share.

    With `alone` it may be asked for without classes: then it is the share that a diagnosis needs.
    """
    if differential is None and min_weight is None:
        return 1.0
    option = "--differential" if min_weight is None else "--min-weight"
    if not labels and not alone:
        hint = "give a label space; `dermdata select TARGET --differential top` gives diagnoses without one"
        raise UsageError(f"{option} chooses a class of --labels SPACE", hint=hint)
    if differential not in (None, "all", "top"):
        differential, min_weight = None, parse_weight(str(differential), min_weight)
    if min_weight is None:
        return 0.0 if differential == "top" else 1.0
    check_weight(min_weight, differential)
    return float(min_weight)


def check_weight(min_weight: float, differential: Differential | None) -> None:
    """UsageError for what is no share, or is asked for beside all the weight."""
    if differential == "all":
        raise UsageError("--differential all and --min-weight exclude each other", hint="give one of them")
    if not 0 < min_weight <= 1:
        hint = "such as 0.5, half of the weight"
        raise UsageError(f"--min-weight is above 0 and at most 1, not {min_weight:g}", hint=hint)


def parse_weight(text: str, min_weight: float | None) -> float:
    """The W of `weight>=W`; UsageError for anything else, and where another share is given too."""
    name, _, number = text.replace(" ", "").partition(">=")
    try:
        found = float(number)
    except ValueError:
        name = ""
    if name != "weight":
        raise UsageError(
            f"--differential is all or top, or 'weight>=W', not '{text}'", hint="such as 'weight>=0.5'"
        )
    if min_weight is not None and min_weight != found:
        raise UsageError(
            "--differential weight>=W and --min-weight say different shares", hint="give one of them"
        )
    return found


def name_share(share: float) -> dict[str, str | float | None]:
    """The options that ask for this share, for a history; without a value where it is the usual one."""
    top, some = share == 0, 0 < share < 1
    return {"differential": "top" if top else None, "min-weight": share if some else None}


def project(
    resources: Resources, table: Any, space_text: str, *, strict: bool = False, share: float = 1.0
) -> Any:
    """The table with `label` and `label_reason`; what has no class is told on stderr, and is ProblemsFound if `strict`."""
    from dermdata.projection import count_unprojected, describe_top, project_table

    words, vocabulary = words_of(resources, sources_of(table)), resources.library.vocabulary
    space = space_of(resources, space_text)
    table = project_table(table, space, vocabulary, words, share=share)
    for note in describe_top(table, space, vocabulary, share):
        resources.say(note)
    missing = count_unprojected(table)
    tell_unexpressed(resources, missing)
    if strict:
        refuse(missing, space_text)
    return table


def sources_of(table: Any) -> set[str]:
    """The datasets whose words the rows' labels are, those of refined rows included."""
    from dermdata.manifest.columns import text_column
    from dermdata.projection import REFINED_FROM

    keys = text_column(table, REFINED_FROM).unique().to_pylist()
    names = text_column(table, "dataset").unique().to_pylist()
    return {name for name in (*names, *(key.partition("/")[0] for key in keys if key)) if name}


def tell_unexpressed(resources: Resources, missing: Sequence[Mapping[str, Any]], more: str = "") -> None:
    """The commonest labels without a class on stderr; `more` says where the rest is listed."""
    if not missing:
        return
    resources.say(f"{count_nouns(images_of(missing), 'row', 'have')} no class:")
    for row in missing[:TOLD]:
        word = row["label_raw"] or row["diagnosis"] or "no label"
        resources.say(f"  {row['images']:,} {row['dataset']} {short(word)}: {row['reason']}")
    if len(missing) > TOLD:
        resources.say(f"  … and {count_nouns(len(missing) - TOLD, 'more label')}{more}")


def refuse(missing: Sequence[Mapping[str, Any]], space_text: str) -> None:
    """ProblemsFound if there is a row without a class."""
    if missing:
        hint = "`dermdata select TARGET… --labels SPACE --show unexpressed` lists them; nothing is written"
        raise ProblemsFound(
            f"{count_nouns(images_of(missing), 'row', 'have')} no class in {space_text}", hint=hint
        )


def images_of(missing: Iterable[Mapping[str, Any]]) -> int:
    return sum(row["images"] for row in missing)


def short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def space_of(resources: Resources, text: str) -> "LabelSpace":
    """A named space of the catalog, one in a file, or one written as `a,b+c`; UnknownName with near names."""
    from dermdata.vocabulary import parse_space
    from dermdata.vocabulary.spaces import SPACE_SUFFIXES, parse_space_file

    vocabulary = resources.library.vocabulary
    if text.endswith(SPACE_SUFFIXES):
        return parse_space_file(text_of(Path(text), "label space"), text, vocabulary)
    return parse_space(text, vocabulary, named_spaces(resources))


def list_spaces(resources: Resources, name: str | None = None) -> Records:
    """The named spaces with their classes, a record a space; the classes of one, a record a class, in their order.

    `name` may be all that `--labels` takes: a space's name, a file, or one written as `a,b+c`.
    """
    if name is not None:
        space = space_of(resources, name)
        rows = [
            {"class": one, "concepts": ["/".join(filter(None, item)) for item in items]}
            for one, items in space.classes.items()
        ]
        return Records(rows, ("class", "concepts"), {"space": space.name, "title": space.title})
    named = named_spaces(resources)
    return Records(
        [
            {"space": one.name, "count": len(one.classes), "title": one.title, "classes": list(one.classes)}
            for one in named.values()
        ],
        ("space", "count", "title", "classes"),
    )


def named_spaces(resources: Resources) -> "dict[str, LabelSpace]":
    """The label spaces of the catalog, by name."""
    from dermdata.catalogs.overlays import read_text
    from dermdata.vocabulary import parse_spaces

    path = resources.catalog.vocabulary_file("spaces.toml")
    return parse_spaces(read_text(path), resources.library.vocabulary, str(path))


def list_space_names(resources: Resources) -> list[str]:
    """The names of the catalog's label spaces; without the vocabulary, which a shell would wait for."""
    import tomllib

    from dermdata.catalogs.overlays import read_text

    return list(tomllib.loads(read_text(resources.catalog.vocabulary_file("spaces.toml"))))


def text_of(path: Path, what: str) -> str:
    """A person's own file as text; BadTable if it is not there or not UTF-8."""
    from dermdata.text_files import SAVE_HINT, TextRefused, decode_text

    try:
        return decode_text(bytes_of(path, what))
    except TextRefused as error:
        raise BadTable(f"{path} is not UTF-8: {error}", hint=SAVE_HINT) from error


def bytes_of(path: Path, what: str) -> bytes:
    """A person's own file; BadTable if it is not there or cannot be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BadTable(f"no {what} at {path}", hint="give the path of a file") from error
    except OSError as error:
        raise BadTable(f"cannot read {path}: {error.strerror}") from error


def vocabulary_of(resources: Resources) -> "Vocabulary":
    """The concept tree, without what `resources.library` brings along: `labels find` must answer at once."""
    return resources.catalog.load_vocabulary()


def crosswalk_of(resources: Resources, name: str, vocabulary: "Vocabulary") -> "Crosswalk":
    """A dataset's words, the bundled rows first, overlays' on top; BadCatalog for what is not in the tree."""
    from dermdata.crosswalks import load_crosswalk

    return load_crosswalk(resources.catalog, name, vocabulary)


def fields_of(dataset: "Dataset") -> set[str]:
    """The crosswalk fields that the dataset's own tables take labels from; none where it has no table with labels."""
    from dermdata.catalogs.overlays import list_label_fields

    return list_label_fields(dataset)


def words_of(resources: Resources, names: Iterable[str]) -> "dict[str, list[Label]]":
    """Of each dataset that the catalog knows, the crosswalk rows of the fields that its tables take labels from."""
    words = {}
    for name in names:
        if name in resources.catalog:
            dataset = resources.catalog[name]
            fields = fields_of(dataset)
            words[name] = [row for row in resources.library.crosswalk(dataset) if row.field in fields]
    return words


# ------------------------------------------------------------------ counts


@dataclass(frozen=True)
class WordCounts:
    """The images of a dataset's words: as the catalog states them, which is the same on every machine, else as cached."""

    stated: Mapping[str, int]
    cached: Mapping[str, int] | None  # None: no copy here whose rows have one word each

    def count_images(self, word: str) -> int | None:
        """The word's images; None where nobody stated them."""
        if word in self.stated or self.cached is None:
            return self.stated.get(word)
        return self.cached.get(word, 0)


def count_words(resources: Resources, dataset: "Dataset", rows: "Iterable[Label]") -> WordCounts:
    """What is known of the images of these words; the cached rows are read only where the catalog is silent."""
    stated = dataset.counts.labels
    silent = {row.raw_label for row in rows} - stated.keys()
    return WordCounts(stated, cached_counts(resources, dataset) if silent else None)


def cached_counts(resources: Resources, dataset: "Dataset") -> dict[str, int] | None:
    """The rows of the cached manifest by word; None where it has none, or graded words, several a row."""
    if not resources.cache.find_folder(dataset).manifest.exists():
        return None
    from dermdata.api.targets import load
    from dermdata.manifest.columns import text_column as column

    table = load(resources, [dataset.name], ["label_raw", "differential"]).table
    words = column(table, "label_raw")
    graded = "differential" in table.column_names and table["differential"].null_count < table.num_rows
    if graded or words.null_count == len(words):
        return None
    return {one["values"]: one["counts"] for one in words.drop_null().value_counts().to_pylist()}
