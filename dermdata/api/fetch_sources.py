"""Where a dataset is taken from: its publisher first; where that host refuses, one of the copies that the catalog knows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dermdata.api.fetch_dataset import PLAN_KEYS, read_sound_receipt
from dermdata.api.resources import Resources
from dermdata.errors import (
    DermdataError,
    EverySourceRefused,
    HostRefused,
    LicenseNotAccepted,
    NetworkError,
    NotTheFile,
    Offline,
    PersonMustAct,
    UnknownName,
    UsageError,
)
from dermdata.model import CopiedDataset

if TYPE_CHECKING:
    from dermdata.cache import Receipt
    from dermdata.fetching import FetchResult, FetchSettings
    from dermdata.model import Copy, Dataset

BYTES_WORDS = {
    "same": "whose bytes are the same",
    "likely same": "whose bytes are likely the same",
    "re-encoded": "whose images are encoded anew: other bytes",
}


@dataclass(frozen=True, kw_only=True)
class SourceChoice:
    """What the person says of copies: `--copy`, `--no-copies`."""

    copy: str | None = None
    copies: bool = True

    def require_known(self, datasets: "Sequence[Dataset]") -> None:
        """UsageError for options that contradict each other, UnknownName for a copy that a dataset has not."""
        if self.copy is None:
            return
        if not self.copies:
            raise UsageError("--copy takes a copy, --no-copies forbids them", hint="leave one of them out")
        for dataset in datasets:
            names = [one.name for one in dataset.copies]
            if self.copy not in names:
                hint = f"it has {', '.join(names)}" if names else "the catalog knows no copy of it"
                raise UnknownName(f"copy of {dataset.name}", self.copy, names, hint=hint)


def find_recorded_entry(resources: Resources, dataset: "Dataset", asked: Any = None) -> "Dataset":
    """The entry by the source from which it was fetched, as the receipt in the cache has it."""
    from dermdata.fetching.copies import use_recorded_copy

    if not dataset.copies:
        return dataset
    receipt = read_sound_receipt(resources.cache.find_folder(dataset))
    return use_recorded_copy(dataset, receipt, resources.catalog.__getitem__, asked)


def choose_entry(
    resources: Resources, dataset: "Dataset", wants: "FetchSettings", choice: SourceChoice
) -> "Dataset":
    """The entry by the source that would be asked first."""
    return next(iter(list_entries(resources, dataset, wants, choice)))


def list_entries(
    resources: Resources, dataset: "Dataset", wants: "FetchSettings", choice: SourceChoice
) -> "Iterator[Dataset]":
    """The entry by each source in turn; what a source before it has brought of the official files stays."""
    from dermdata.fetching.copies import FilesHere, is_settled, use_copy

    if not dataset.copies:
        yield dataset
        return
    find_entry = resources.catalog.__getitem__
    found = read_sound_receipt(resources.cache.find_folder(dataset))
    settled = is_settled(dataset, found, find_entry)  # perhaps in a cache that is only read
    for copy in list_sources(dataset, found, wants, choice, settled=settled):
        if copy is None:
            yield dataset
            continue
        receipt = found if settled else read_sound_receipt(resources.cache.folder(dataset))
        here = FilesHere() if wants.force else FilesHere.from_receipt(receipt)
        asked = wants.only if receipt and receipt.copy == copy.name and not wants.force else None
        yield use_copy(dataset, copy, find_entry, here, asked)


def list_sources(
    dataset: "Dataset",
    receipt: "Receipt | None",
    wants: "FetchSettings",
    choice: SourceChoice,
    *,
    settled: bool,
) -> "list[Copy | None]":
    """The sources in the order in which they are asked, each once, None for the publisher.

    What is here whole (`settled`) is not replaced by another source, but with --force a copy by the publisher's own; a
    copy that is here in part comes first.
    """
    from dermdata.fetching.copies import find_copy

    usual = [None, *filter(stands_in_by_itself, dataset.copies)]
    if choice.copy or not choice.copies:
        return [find_copy(dataset, choice.copy)]
    if receipt is None or (wants.force and receipt.copy):
        return usual
    first = find_copy(dataset, receipt.copy)
    return [first] if settled else [first, *(one for one in usual if one != first)]


def stands_in_by_itself(copy: "Copy") -> bool:
    """Whether a copy has the same rows, so that it needs no name to be taken."""
    return not copy.only_by_name


def fetch_from_sources(
    resources: Resources,
    dataset: "Dataset",
    wants: "FetchSettings",
    choice: SourceChoice,
    fetch: "Callable[[Dataset], FetchResult]",
) -> "FetchResult":
    """Fetch the entry from the first source that gives it; the person is told of each that refuses.

    Parameters
    ----------
    resources
        The catalog and the cache.
    dataset
        The catalog entry.
    wants
        What is to be fetched.
    choice
        Which sources may be asked.
    fetch
        Fetches the entry as one source has it.

    Returns
    -------
    FetchResult
        What came, and from which copy.

    Raises
    ------
    EverySourceRefused
        If the publisher and all copies refuse; it names each refusal, and the way by hand.
    DermdataError
        What the only source raised; of any source an error that is no refusal.

    """
    from dermdata.fetching.copies import stands_in

    refusals: dict[str | None, DermdataError] = {}
    for entry in list_entries(resources, dataset, wants, choice):
        if refusals and isinstance(entry, CopiedDataset):
            if not stands_in(entry, wants):
                continue
            why = describe_refusal(dataset, list(refusals.values())[-1])
            whose = BYTES_WORDS[entry.copy.bytes]
            resources.say(f"{dataset.name}: {why}; {dataset.title} comes from {entry.copy.name}, {whose}")
        try:
            return fetch(entry)
        except (HostRefused, NetworkError, NotTheFile, PersonMustAct) as error:
            if not is_refusal(error, entry):
                raise
            refusals[entry.copy.name if isinstance(entry, CopiedDataset) else None] = error
    useful = list_useful_copies(resources, dataset, wants, refusals)
    raise sum_up_refusals(dataset, refusals, suggest_copies(dataset, useful, choice))


def is_refusal(error: DermdataError, entry: "Dataset") -> bool:
    """Whether the next place may be asked: a host has said no, or a copy is not what it is said to be.

    Wrong bytes in the publisher's place are a fault that no copy hides.
    """
    if isinstance(error, Offline) or type(error) is LicenseNotAccepted:
        return False
    return isinstance(error, HostRefused | NetworkError | PersonMustAct) or isinstance(entry, CopiedDataset)


def list_useful_copies(
    resources: Resources, dataset: "Dataset", wants: "FetchSettings", asked: "Collection[str | None]"
) -> "list[Copy]":
    """The copies that were not asked and would bring what is wanted."""
    from dermdata.fetching.copies import stands_in, use_copy

    find_entry = resources.catalog.__getitem__
    untried = [one for one in dataset.copies if one.name not in asked]
    return [one for one in untried if stands_in(use_copy(dataset, one, find_entry), wants)]


def describe_refusal(dataset: "Dataset", error: DermdataError) -> str:
    """Why a source gave nothing, without the names of dataset and file before it."""
    text = error.message.removeprefix(f"{dataset.name}: ")
    head, separator, rest = text.partition(": ")
    return rest if separator and "." in head and " " not in head and rest else text


def sum_up_refusals(
    dataset: "Dataset", refusals: "Mapping[str | None, DermdataError]", more: str | None
) -> DermdataError:
    """The one refusal, or one error that names all of them and the way by hand; with what `more` may be done."""
    first = next(iter(refusals.values()))
    if len(refusals) == 1:
        first.hint = "; ".join(filter(None, (first.hint, more))) or None
        return first
    told = "; ".join(
        f"{name or 'its publisher'}: {describe_refusal(dataset, error)}" for name, error in refusals.items()
    )
    page = dataset.access.url or dataset.homepage
    by_hand = f"download it by hand{f' from {page}' if page else ''} and use --from"
    hints = (first.hint, by_hand if "--from" not in (first.hint or "") else None, more)
    return EverySourceRefused(
        f"{dataset.name}: neither its publisher nor a copy gives it: {told}",
        hint="; ".join(filter(None, hints)),
        by_person=isinstance(refusals.get(None, first), PersonMustAct),
    )


def suggest_copies(dataset: "Dataset", untried: "Sequence[Copy]", choice: SourceChoice) -> str | None:
    """What would ask the copies that were not asked."""
    if not untried:
        return None
    if not choice.copies:
        return f"without --no-copies it may come from {', '.join(one.name for one in untried)}"
    first = untried[0]
    if first.only_by_name:
        return f"`--copy {first.name}` takes the same images under other ids"
    return f"`dermdata fetch {dataset.name} --force --copy {first.name}` takes all of it from there"


def list_alternatives(datasets: "Sequence[Dataset]", choice: SourceChoice) -> list[dict[str, Any]]:
    """The copies that would stand in if a publisher refused, a row each."""
    if choice.copy or not choice.copies:
        return []
    found = [(dataset, copy) for dataset in datasets for copy in dataset.copies]
    values = [
        (
            dataset.name,
            "alternative",
            one.name,
            None,
            None,
            f"{one.bytes}{', only with --copy' * one.only_by_name}",
        )
        for dataset, one in found
    ]
    return [dict(zip(PLAN_KEYS, row, strict=True)) for row in values]


def describe_copies(dataset: "Dataset") -> list[str]:
    """The further places that hold the same images, a line each; nothing where files may not be named."""
    return list(map(describe_copy, dataset.copies or ())) if dataset.license.link_may_be_shared else []


def describe_copy(copy: "Copy") -> str:
    """A copy in a line of the card: its bytes, its files, what it lacks."""
    files = ", ".join(f"{one.name} of {one.entry}" if one.entry else one.name for one in copy.files)
    parts = [BYTES_WORDS[copy.bytes].removeprefix("whose "), files or copy.listing or ""]
    parts += [f"only with --copy {copy.name}"] if copy.only_by_name else []
    parts += [f"differs: {'; '.join(copy.differs)}"] if copy.differs else []
    return f"{copy.name}: {'; '.join(parts)}"
