"""`dermdata labels`: the diagnosis vocabulary, and how datasets' words map into it."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.api.display import console
from dermdata.api.label_spaces import vocabulary_of
from dermdata.cli.complete import dataset_names
from dermdata.cli.labels_align import align
from dermdata.cli.labels_map import map_
from dermdata.cli.output import FormatOption, emit, to_text
from dermdata.cli.state import State, state_of
from dermdata.cli.words import names_of
from dermdata.errors import UnknownName

if TYPE_CHECKING:
    from rich.tree import Tree

    from dermdata.vocabulary import Vocabulary

app = typer.Typer(
    no_args_is_help=True, help="The diagnosis vocabulary and how each dataset's words map into it."
)
FIND_KEYS = ("concept", "name", "path", "malignancy", "matched", "score")
TREE_KEYS = ("concept", "name", "parent", "level", "malignancy", "synonyms", "images")
REVIEW_KEYS = ("dataset", "field", "raw_label", "concept", "name", "count", "reason")
DIFF_KEYS = ("kind", "what", "name", "raw_label", "part", "old", "new")
Images = Mapping[str, int]  # concept -> cached images of it or of what is below it

app.command("map")(map_)


@app.command()
def find(
    ctx: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="A label, synonym, raw word or code.")],
    limit: Annotated[int, typer.Option(min=1, help="How many hits.", metavar="N")] = 20,
    form: FormatOption = None,
) -> None:
    """Find concepts by label, synonym, a dataset's word or a code; forgives typing errors."""
    from dermdata.vocabulary.search import search

    state = state_of(ctx)
    vocabulary, words = names_of(state.catalog)
    hits = search(" ".join(text), vocabulary, words, limit)
    rows = [
        {"concept": hit.concept, "name": vocabulary.name(hit.concept), "path": list(vocabulary.path(hit.concept)),
         "malignancy": vocabulary.malignancy(hit.concept), "matched": hit.matched, "score": hit.score}
        for hit in hits
    ]  # fmt: skip
    emit(
        rows,
        FIND_KEYS,
        form,
        "labels find",
        shown=("concept", "name", "malignancy", "matched"),
        color=state.color,
    )
    if not rows:
        state.say(f"no concept is called '{' '.join(text)}'; `dermdata labels tree` shows all")


@app.command()
def tree(
    ctx: typer.Context,
    concept: Annotated[str | None, typer.Argument(metavar="[CONCEPT]", help="Only what is under it.")] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="How many levels.", metavar="N")] = None,
    form: FormatOption = None,
) -> None:
    """The diagnosis tree, with how many cached images are of each concept or of what is below it."""
    state = state_of(ctx)
    vocabulary = vocabulary_of(state)
    start = concept or vocabulary.root
    if start not in vocabulary:
        known = [one.id for one in vocabulary]
        raise UnknownName("concept", start, known, hint="`dermdata labels find TEXT` searches the vocabulary")
    images = cached_images(state, vocabulary)
    if form == "table" or (form is None and sys.stdout.isatty()):
        console(sys.stdout, state.color).print(drawn(vocabulary, start, depth, images))
        return
    rows = (
        {"concept": one, "name": vocabulary.name(one), "parent": vocabulary[one].parent, "level": vocabulary[one].level,
         "malignancy": vocabulary.malignancy(one), "synonyms": list(vocabulary[one].synonyms),
         "images": None if images is None else images.get(one, 0)}
        for one in below(vocabulary, start, depth)
    )  # fmt: skip
    emit(rows, TREE_KEYS, form, "labels tree", color=state.color)


app.command()(align)


@app.command()
def review(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", autocompletion=dataset_names, help="Only of these datasets."),
    ] = None,
    form: FormatOption = None,
) -> None:
    """The words whose concept a dermatologist should decide, and why."""
    from dermdata.catalogs.files import read_text
    from dermdata.crosswalks.review import parse_review

    state = state_of(ctx)
    vocabulary = vocabulary_of(state)
    wanted = {state.catalog[name].name for name in names or ()}
    path = state.catalog.vocabulary_file("review.tsv")
    doubts = parse_review(read_text(path), vocabulary, str(path))
    rows = [
        {key: getattr(one, key, None) for key in REVIEW_KEYS}
        | {"name": vocabulary.name(one.concept) if one.concept else None}
        for one in doubts
        if not wanted or one.dataset in wanted
    ]
    emit(
        rows,
        REVIEW_KEYS,
        form,
        "labels review",
        shown=("dataset", "raw_label", "reason", "concept"),
        color=state.color,
    )
    state.say(f"{len(rows):,} rows want a dermatologist; docs/labels.md says how to answer")


@app.command()
def diff(
    ctx: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A catalog folder.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    form: FormatOption = None,
) -> None:
    """What differs between the concepts, words and label spaces of two catalog folders."""
    from dermdata.crosswalks.changes import changes, read_version

    state = state_of(ctx)
    bundled = vocabulary_of(state)
    found = changes(read_version(old, bundled), read_version(new, bundled))
    emit(
        [{key: getattr(one, key) for key in DIFF_KEYS} for one in found],
        DIFF_KEYS,
        form,
        "labels diff",
        color=state.color,
    )
    state.say(tally((one.kind, one.what) for one in found))


# ------------------------------------------------------------------ the tree


def below(vocabulary: "Vocabulary", concept: str, depth: int | None) -> Iterator[str]:
    yield concept
    if depth != 0:
        for child in vocabulary.children(concept):
            yield from below(vocabulary, child, None if depth is None else depth - 1)


def drawn(vocabulary: "Vocabulary", concept: str, depth: int | None, images: Images | None) -> "Tree":
    from rich.tree import Tree

    count = (images or {}).get(concept, 0)
    line = to_text(vocabulary.name(concept))
    line.append(to_text(f" ({concept})", "dim"))
    line.append(f"  {count:,} image{'s' * (count != 1)}" if count else "", style="bold cyan")
    branch = Tree(line, guide_style="dim")
    if depth != 0:
        for child in vocabulary.children(concept):
            branch.add(drawn(vocabulary, child, None if depth is None else depth - 1, images))
    return branch


def cached_images(state: State, vocabulary: "Vocabulary") -> Images | None:
    """Concept -> cached images at or below it; None when nothing is cached."""
    there = (name for name in sorted(state.cache.cached_names()) if name in state.catalog)
    names = [name for name in there if state.cache.folder(state.catalog[name]).manifest.exists()]
    if not names:
        return None
    from dermdata.api.targets import load
    from dermdata.projection import words_of

    state.say(f"images of {', '.join(names)}")
    column = words_of(load(state, names, ["diagnosis"]).table, "diagnosis").drop_null()
    known = {one["values"]: one["counts"] for one in column.value_counts().to_pylist()}
    # a concept of an older vocabulary has no place in this tree
    return {
        name: round(count)
        for name, count in vocabulary.add_up(
            {one: n for one, n in known.items() if one in vocabulary}
        ).items()
    }


def tally(found: Iterable[tuple[str, str]]) -> str:
    """`3 concepts added, 1 label changed`, or that nothing differs."""
    from collections import Counter

    counts = Counter(found)
    said = [f"{count:,} {kind}{'s' * (count != 1)} {what}" for (kind, what), count in counts.items()]
    return ", ".join(said) or "nothing differs"
