"""The shape "webdataset": samples in tars, each a picture and what stands beside it under the same name.

The name of a sample is its path up to the first dot of its last part: `0017.jpg`, `0017.json`, `0017.cls`. What a
sample's JSON says are columns, as are its texts by their endings (`txt`, `cls`); its first picture is `@path`, its name
`@key`, and further pictures, such as masks, are columns of their endings. A sample without a picture is no row.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from dermdata.errors import TableRefused
from dermdata.markup import count_nouns
from dermdata.model import Content, TableSpec
from dermdata.readers.delimited import RejectedRows
from dermdata.readers.folders import is_utf8
from dermdata.readers.raw_table import FILE_COLUMN, KEY_COLUMN, PATH_COLUMN, Opener, RawTable
from dermdata.readers.records import make_rows, parse_value
from dermdata.readers.table import complete_rows, read_joined_table

TEXT_ENDINGS = ("txt", "text", "caption", "cls", "cls2", "id", "index", "label")
TEXT_BYTES = 1 << 20  # of one text beside a picture
Sample = list[tuple[str, Content]]  # ending and file
Record = dict[str, Any]


def read(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """A row for each sample with a picture; one whose JSON is none, or too long, is rejected."""
    records: list[Mapping[str, Any]] = []
    rejected: RejectedRows = []
    for (file, key), sample in group_samples(
        one for one in contents if spec.file in (None, one.file)
    ).items():
        try:
            records += describe_sample(key, sample, files)
        except TableRefused as error:
            rejected.append({"file": file, "row": key, "reason": error.message})
    what = spec.file or "the samples"
    if not records:
        raise TableRefused(f"{what} hold no picture with its text beside it")
    rows = make_rows(records, what)
    return complete_rows(rows, rejected, spec, what, partial(read_joined_table, spec, files))


def describe_sample(key: str, sample: Sample, files: Opener) -> list[Record]:
    """The row of a sample; none without a picture. What its picture is called goes before what its JSON says."""
    pictures = sorted((pair for pair in sample if pair[1].image), key=picture_order)
    if not pictures:
        return []
    record: Record = {}
    for ending, one in sample:
        record |= {} if one.image else read_text(ending, one, files)
    record |= {ending: one.official for ending, one in pictures[1:]}
    first = pictures[0][1]
    return [record | {PATH_COLUMN: first.official, KEY_COLUMN: key, FILE_COLUMN: first.file}]


def picture_order(pair: tuple[str, Content]) -> tuple[bool, int, str]:
    """Pictures before masks, `.png` before `.mask.png`."""
    ending, content = pair
    return content.role != "images", ending.count("."), ending


def group_samples(contents: Iterable[Content]) -> dict[tuple[str, str], Sample]:
    """The files of each sample, by its archive and its name, in their names' order."""
    samples: dict[tuple[str, str], Sample] = {}
    for one in sorted(contents, key=lambda one: one.official):
        folder, slash, leaf = one.official.rpartition("/")
        stem, dot, ending = leaf.partition(".")
        if dot and stem and is_utf8(one.official):
            samples.setdefault((one.file, folder + slash + stem), []).append((ending.lower(), one))
    return samples


def read_text(ending: str, content: Content, files: Opener) -> Record:
    """What a file beside a picture says: an object's values, or a text under its ending; nothing of other files."""
    if ending not in ("json", *TEXT_ENDINGS):
        return {}
    if content.size > TEXT_BYTES:
        raise TableRefused(
            f"{content.official} has {count_nouns(content.size, 'byte')}, the limit is {TEXT_BYTES:,}"
        )
    data = files(content.file, content.official)
    if ending == "json":
        value = parse_value(data, content.official)
        return value if isinstance(value, dict) else {ending: value}
    return {ending: data.decode("utf-8-sig", "replace").strip()}
