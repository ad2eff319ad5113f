"""What a command needs for `--labels SPACE`: the space, and the words that the datasets' labels come from."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dermdata.cli.state import State

if TYPE_CHECKING:
    from dermdata.model import Label
    from dermdata.vocabulary import Space

LABELS_HELP = (
    "Name the classes of a label space: ham7, isic8, pad6, malignancy, … or concept,concept+concept,…"
)


def space_of(state: State, text: str) -> "Space":
    """A named space of the catalog, or one written as `a,b+c`; UnknownName with near names."""
    from dermdata.vocabulary import parse_space, parse_spaces

    path = state.catalog.vocabulary_file("spaces.toml")
    vocabulary = state.library.vocabulary
    return parse_space(
        text, vocabulary, parse_spaces(path.read_text(encoding="utf-8"), vocabulary, str(path))
    )


def words_of(state: State, names: Iterable[str]) -> "dict[str, list[Label]]":
    """Of each dataset that the catalog knows, the crosswalk rows of the fields that its tables take labels from."""
    from dermdata.catalog.compile import label_field

    words = {}
    for name in names:
        if name in state.catalog:
            dataset = state.catalog[name]
            fields = {label_field(table.label_field, table.columns) for table in dataset.table}
            words[name] = [row for row in state.library.crosswalk(dataset) if row.field in fields]
    return words
