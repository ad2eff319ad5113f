"""What the shell can complete: names, columns and words; and the arguments that commands share for it.

Completion never fails: where the catalog or the cache cannot be read it offers nothing and says why.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer

from dermdata.api.display import print_message
from dermdata.cli.state import State, state_of
from dermdata.errors import DermdataError

COLUMNS = (
    "age", "body_site", "dataset", "diagnosis", "fitzpatrick", "fitzpatrick_band", "label", "label_raw", "malignancy",
    "malignancy_source", "modality", "monk", "sex", "split", "split_official",
)  # fmt: skip


def complete_from(list_words: Callable[[State], Iterable[str]]) -> Callable[[Any, str], Iterator[str]]:
    """A completion with these words, also of the last one after commas."""

    def offer(ctx: Any, incomplete: str) -> Iterator[str]:
        try:
            words = list(list_words(state_of(ctx)))
        except DermdataError as error:
            print_message(error.message)
            return
        before, comma, last = incomplete.rpartition(",")
        yield from (f"{before}{comma}{word}" for word in words if word.startswith(last))

    return offer


def list_datasets(state: State) -> Iterator[str]:
    return (item["name"] for item in state.catalog.items if item["kind"] == "dataset")


def list_cached(state: State) -> list[str]:
    from dermdata.api.catalog_entries import list_cached

    return list_cached(state)


def list_cached_entries(state: State) -> list[str]:
    return sorted(state.cache.cached_names())


def list_concepts(state: State) -> Iterator[str]:
    from dermdata.api.label_index import read_names

    return (one.id for one in read_names(state.catalog)[0])


def list_spaces(state: State) -> list[str]:
    from dermdata.api.label_spaces import list_space_names

    return list_space_names(state)


def list_formats(_: State) -> Iterable[str]:
    from dermdata.api.exporting import list_formats

    return list_formats()


def complete_key(key: str) -> Callable[[Any, str], Iterator[str]]:
    """A completion with the words that the catalog's entries have under a key."""
    from dermdata.api.catalog_entries import list_words

    return complete_from(lambda state: list_words(state, key))


entry_names = complete_from(lambda state: state.catalog)  # models too
dataset_names = complete_from(list_datasets)
cached_names = complete_from(list_cached)  # where only rows in the cache make sense
cached_entries = complete_from(list_cached_entries)  # models too
column_names = complete_from(lambda _: COLUMNS)
concept_names = complete_from(list_concepts)
space_names = complete_from(list_spaces)
format_names = complete_from(list_formats)
part_names = complete_from(lambda _: ("train", "val", "test"))

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET…",
        autocompletion=cached_names,
        help="Dataset names, manifest files, or - for a stream.",
    ),
]
TargetsOrCached = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TARGET…]",
        autocompletion=cached_names,
        help="Datasets, manifests or - (an Arrow stream); all that is cached if none is given.",
    ),
]
