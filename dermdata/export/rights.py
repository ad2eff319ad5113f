"""Whether an image may be passed on: what the catalog says of its dataset, and the image's own licence.

A dataset whose terms forbid it (a use agreement, say) forbids it for all its images, whatever licence an image
names. Else an image's own licence decides where it has one that is not its dataset's. What no source states
counts as not allowed.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from dermdata.model import Dataset, License

OPEN = ("CC0", "CC-0", "CC-BY", "PDDL", "ODC-BY", "APACHE-2.0", "MIT", "PUBLIC-DOMAIN")


def reasons(table: pa.Table, entries: Mapping[str, Dataset], *, adapted: bool) -> list[str | None]:
    """For each row why it may not be passed on, None where it may; `adapted`: as an image that was changed."""
    datasets = column(table, "dataset")
    licences = column(table, "license")
    known: dict[tuple[str | None, str | None], str | None] = {}
    for pair in set(zip(datasets, licences, strict=True)):
        entry = entries.get(pair[0] or "")
        known[pair] = reason(pair[1], entry.license if entry else License(), adapted=adapted)
    return [known[pair] for pair in zip(datasets, licences, strict=True)]


def column(table: pa.Table, name: str) -> Sequence[str | None]:
    if name not in table.column_names:
        return [None] * table.num_rows
    found: list[str | None] = table[name].cast(pa.string()).to_pylist()
    return found


def reason(own: str | None, whole: License, *, adapted: bool) -> str | None:
    """Why an image of this licence, in a dataset under these terms, may not be passed on; None if it may."""
    name = own or whole.id
    if whole.redistribution is False:
        return f"the dataset's terms ({whole.id or 'no licence stated'}) forbid redistribution"
    if name is None:
        return "no licence is stated"
    may = whole.redistribution if name == whole.id else None
    if not may and not is_open(name):
        return f"{name} is not known to allow redistribution"
    if adapted and "-ND" in spelled(name):
        return f"{name} does not allow changed images (--size)"
    return None


def is_open(name: str) -> bool:
    """Licences under which anyone may pass on unchanged copies; all of Creative Commons are."""
    return spelled(name).startswith(OPEN)


def spelled(name: str) -> str:
    """As SPDX has it: `CC BY-NC 4.0` is CC-BY-NC-4.0."""
    return "-".join(name.upper().replace("_", " ").split())
