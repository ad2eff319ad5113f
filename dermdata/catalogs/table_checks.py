"""What is wrong with the tables of an entry, though each key is of its type: what a fetch would refuse later."""

from collections.abc import Iterator, Mapping

from dermdata.catalogs.entries import did_you_mean, prefix_places
from dermdata.closed_words import CLOSED_WORDS
from dermdata.model import ENTRY_COLUMNS, READERS, Dataset, TableSpec
from dermdata.vocabulary.concepts import BodySite, site_names, suggest_ids

KEPT_AS_NAMED = ("differential", "image", "image_id", "isic_id", "patient_id", "lesion_id", "case_id")


def find_table_issues(
    dataset: Dataset, allowed: Mapping[str, set[str]], sites: Mapping[str, BodySite]
) -> Iterator[tuple[str, str]]:
    """Readers and columns that there are not, and words that the manifest's column cannot hold: (place, problem)."""
    for where, table in list_all_tables(dataset):
        found = [*reader_issues(table), *column_issues(table), *values_issues(table), *several_issues(table)]
        yield from prefix_places(where, [*found, *word_issues(table, allowed, sites)])


def list_all_tables(dataset: Dataset) -> Iterator[tuple[str, TableSpec]]:
    """The entry's tables and those of its copies, each with its place."""
    yield from ((f"table[{number}]", table) for number, table in enumerate(dataset.table))
    for copy in dataset.copies:
        yield from (
            (f"copies[{copy.name}].table[{number}]", table) for number, table in enumerate(copy.table)
        )


def reader_issues(table: TableSpec) -> Iterator[tuple[str, str]]:
    """A shape that nothing reads: (key, problem)."""
    if table.reader not in READERS:
        near = did_you_mean(table.reader, READERS) or f"; it is one of {', '.join(READERS)}"
        yield "reader", f"unknown reader '{table.reader}'{near}"


def column_issues(table: TableSpec) -> Iterator[tuple[str, str]]:
    """Columns that no manifest has or no entry can fill: (key, problem)."""
    for key, names in (("columns", table.columns), ("constants", table.constants), ("first", table.first)):
        for name in names:
            if name not in ENTRY_COLUMNS:
                near = did_you_mean(name, ENTRY_COLUMNS) or f"; it is one of {', '.join(ENTRY_COLUMNS)}"
                yield f"{key}.{name}", f"unknown manifest column '{name}'{near}"
    if not {"image", "image_id"} & table.columns.keys():
        yield "columns", "needs image_id or image: which column names the pictures"


def values_issues(table: TableSpec) -> Iterator[tuple[str, str]]:
    """Words that are translated for a column that nothing fills, or whose names stay as they are: (key, problem)."""
    filled = {*table.columns, *table.constants, *table.first, *(f"{name}_source" for name in table.first)}
    for name in table.values:
        if name not in filled:
            near = did_you_mean(name, filled) or f"; [table.columns] fills {', '.join(sorted(filled))}"
            yield f"values.{name}", f"translates words of '{name}', which nothing fills{near}"
        elif name in KEPT_AS_NAMED:
            yield f"values.{name}", f"the names of {name} are kept as they are, and not translated"


def several_issues(table: TableSpec) -> Iterator[tuple[str, str]]:
    """Further labels beside none, and probabilities that are none: (key, problem)."""
    yield from separator_issues(table)
    if table.further_labels and len(table.columns.get("label_raw", ())) != 1:
        yield "further_labels", "go beside one column of label_raw"
    for column, least in table.concept_from.items():
        if not 0 < least <= 1:
            yield f"concept_from.{column}", "must be a probability, above 0 and at most 1"


def separator_issues(table: TableSpec) -> Iterator[tuple[str, str]]:
    """Separators of columns that hold no several values: (key, problem)."""
    several = [table.columns.get(name, ()) for name in ("body_site", "label_raw")]
    joined = {column for columns in several if len(columns) > 1 for column in columns}
    holding = {*several[0], *several[1], *table.further_labels, *table.concepts}
    for column, separator in table.separators.items():
        if column not in holding:
            yield f"separators.{column}", "is of a column of body_site, label_raw, further_labels or concepts"
        elif not separator:
            yield f"separators.{column}", "parts nothing: write the sign between the values"
        elif column in joined:
            yield f"separators.{column}", "is one of several columns that are joined: name one alone"


def list_allowed_words(sites: Mapping[str, BodySite]) -> dict[str, set[str]]:
    """What each column of closed words can hold; body sites only where they are known."""
    allowed = {column: {*words, ""} for column, words in CLOSED_WORDS.items()}
    return allowed | ({"body_site": {*site_names(sites), ""}} if sites else {})


def word_issues(
    table: TableSpec, allowed: Mapping[str, set[str]], sites: Mapping[str, BodySite]
) -> Iterator[tuple[str, str]]:
    """Words that a table translates to, and that the manifest's column cannot hold: (key, problem)."""
    for place, column, word in list_target_words(table):
        if column in allowed and not {word, word.casefold()} & allowed[column]:
            yield place, describe_unknown_word(column, word, sites)


def list_target_words(table: TableSpec) -> Iterator[tuple[str, str, str]]:
    """The words that stand for the manifest's own, each with its place and column."""
    for column, words in table.values.items():
        yield from ((f"values.{column}.{theirs}", column, ours) for theirs, ours in words.items())
    for column, word in table.constants.items():
        if word not in table.values.get(column, {}) and word not in table.missing:
            yield f"constants.{column}", column, word


def describe_unknown_word(column: str, word: str, sites: Mapping[str, BodySite]) -> str:
    """What is wrong with a word, and which one may have been meant."""
    if column == "body_site":
        hint = suggest_ids(word, sites.values()) or "; `dermdata labels find --sites TEXT` searches them"
        return f"unknown body site '{word}'{hint}"
    return f"{column} cannot be '{word}'; it is one of {', '.join(CLOSED_WORDS[column])}"
