"""The values that rooms hand to each other: catalog entries, cached files, findings; no behavior."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Role = Literal["images", "masks", "metadata", "splits", "captions", "weights", "other"]
Kind = Literal["dataset", "model"]
AccessKind = Literal["open", "account", "agreement", "per-image", "unavailable"]
FetchWay = Literal["yes", "account", "form", "by-hand", "no"]  # whether `fetch` can bring a dataset
# folder: pictures of the person's own, which lie one by one in folders and are no archive anywhere
Unpack = Literal["zip", "tar", "tar.gz", "tar.zst", "npz", "parquet", "folder"]
# where a person's own pictures are, once they are a dataset's
Placement = Literal["in-place", "link", "copy"]
CopyBytes = Literal[
    "same", "likely same", "re-encoded"
]  # what is known of a copy's images against the publisher's
Predicate = Literal["exactMatch", "broadMatch", "narrowMatch", "closeMatch", "relatedMatch"]
IMAGE_TABLES: tuple[Unpack, ...] = ("npz", "parquet")  # kinds of files that hold images and their rows

# endings by which a dataset's file is taken for an image
IMAGE_ENDINGS = (
    ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jfif", ".jpe", ".heic", ".heif", ".avif",
    ".svs", ".ndpi", ".scn", ".bif",
)  # fmt: skip
SLIDE_ENDINGS = (".svs", ".ndpi", ".scn", ".bif")  # of these, whole slides, which are kept and not decoded
BoxForm = Literal["coco", "yolo", "geojson", "via"]
NOTHING: Mapping[str, str] = MappingProxyType({})
ANY_FILE = "*"  # of a table in an archive whose name no source states: whichever file holds the member
Level = Literal["error", "warning", "note"]
READERS = (
    "table",
    "folders",
    "spreadsheet",
    "rows",
    "records",
    "webdataset",
)  # shapes of tables: readers/<shape>.py
# manifest columns that an entry's tables can fill; all else is found from the files, the labels or `split`
ENTRY_COLUMNS = (
    "image_id", "isic_id", "modality", "patient_id", "lesion_id", "case_id", "label_raw", "differential", "malignancy",
    "confirmation", "age", "age_raw", "sex", "body_site", "body_site_raw", "fitzpatrick", "fitzpatrick_range",
    "fitzpatrick_source", "monk", "monk_source", "caption", "split_official", "fold_official", "license", "attribution",
    "image",
)  # fmt: skip


# ------------------------------------------------------------------ catalog entries


@dataclass(frozen=True, kw_only=True)
class PublishedCounts:
    """What the publisher's numbers say; checked on every fetch, absent where no source states it."""

    images: int | None = None  # pictures, or rows of them
    lesions: int | None = None  # lesions
    patients: int | None = None  # patients
    cases: int | None = None  # cases
    masks: int | None = None  # pictures that have a mask
    labels: Mapping[str, int] = field(default_factory=dict)  # the source's own word -> pictures
    splits: Mapping[str, int] = field(default_factory=dict)  # part of the official split -> pictures


@dataclass(frozen=True, kw_only=True)
class License:
    """What may be done with the data; None means that no source says."""

    id: str | None = None  # SPDX or LicenseRef-…
    url: str | None = None  # the page with its text
    statement: str | None = None  # what the publisher says, word for word
    commercial_use: bool | None = None  # whether commercial use is allowed
    redistribution: bool | None = None  # whether the data may be passed on
    share_alike: bool | None = None  # whether what is made of them must stand under the same license
    link_may_be_shared: bool = True  # False: landing page only, no rows and no counts
    must_accept: bool = False  # fetch wants --accept-license


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the data can be had, with the evidence for saying so."""

    kind: AccessKind  # how they can be had, in a word
    service: str | None = None  # whose account: kaggle, huggingface, derm7pt, …
    url: str | None = None  # the page to visit
    steps: str | None = None  # what the person must do, word for word
    evidence: str | None = None  # why we say so, with source and date
    alternatives: tuple[str, ...] = ()  # catalog names that come nearest
    paths: tuple[str, ...] = ()  # of the person's own data: the folders and files on their machine
    placement: Placement = "copy"  # of its pictures, where they come from the person's own folders


@dataclass(frozen=True, kw_only=True)
class DatasetCitation:
    """How to cite it."""

    doi: str | None = None  # of the paper or the data, without an address before it
    text: str | None = None  # as the publisher wants it cited
    bibtex: str | None = None  # the publisher's own BibTeX entry


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Another catalog entry that holds some of the same images."""

    dataset: str  # its name
    note: str  # what is shared, and how that is known


@dataclass(frozen=True, kw_only=True)
class File:
    """One official file: its name is the identity by which overlays, mirrors and receipts join it."""

    name: str  # as the publisher calls it
    role: Role  # what it holds
    source: str | None = None  # `<host>:<id>`, resolved by hosts/<host>.py
    urls: tuple[str, ...] = ()  # tried in order
    size: int | None = None  # bytes
    rough_size: int | None = None  # bytes, measured on others than those that come: for plans, never a check
    size_text: str | None = None  # the publisher's rounded figure
    checksum: str | None = None  # sha256:… | md5:…, as the publisher or two independent copies state it
    unpack: Unpack | None = None  # which kind of archive it is, where it is to be unpacked
    name_encoding: str | None = None  # the code page of a zip's names that do not say that they are UTF-8
    fetch: bool = True  # False: a known file that the table does not need
    auth: Literal["basic"] | None = None  # wants the person's user name and password for access.service
    members: Mapping[str, Role] = field(default_factory=dict)  # archive: glob over member paths -> their role
    parts: tuple["File", ...] = ()  # the pieces that its host gives it out in, in their order
    note: str | None = None  # anything that a reader should know

    @property
    def expected_size(self) -> int | None:
        """How many bytes to plan for, roughly where no more is known."""
        return self.rough_size if self.size is None else self.size


@dataclass(frozen=True, kw_only=True)
class ListedArchive(File):
    """One archive in place of the many files that a host lists: it must hold them."""

    contains: Mapping[str, File] = field(default_factory=dict)  # by path in the archive; others are of no use


@dataclass(frozen=True, kw_only=True)
class ListingSpec:
    """What is made of the files that `listing` names; globs are over whole names, `*` also crosses folders."""

    include: tuple[str, ...] = ()  # only these; absent: all
    exclude: tuple[str, ...] = ()  # of those, not these
    roles: Mapping[str, Role] = field(default_factory=dict)  # glob -> role; absent: by the ending
    unpack: Mapping[str, Unpack] = field(default_factory=dict)  # glob -> kind of archive
    # globs of the pieces of archives, "data.tar.*": those of one name are put together and unpacked
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JoinSpec:
    """Columns of a second table, joined by key; a key without partner keeps its row and is counted."""

    file: str  # name of a catalog file
    member: str | None = None  # path inside it, if it is an archive
    on: str  # column of the first table
    to: str | None = None  # column of the second one, if named otherwise
    # new column -> the word of rows that have a partner
    marks: Mapping[str, str] = field(default_factory=dict)
    sheet: str | None = None  # of a workbook; default: the first
    holds_more: bool = False  # it has rows of other images too, which nobody misses
    # column of the second table: a key may stand on several of its lines, whose columns are called "<column> <word>"
    each: str | None = None


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """One of several image columns of a row: each becomes an image row of its own."""

    column: str  # the source's column that names the image
    word: str  # what `@view` says of it: clinic, derm, close-up, …


@dataclass(frozen=True, kw_only=True)
class QuestionSpec:
    """Where a row has a question about its image and the answer."""

    question: tuple[str, ...]  # its columns, one line each
    answer: str  # column
    list: str | None = None  # column whose list in JSON has an object for each answer, with the answer's key


@dataclass(frozen=True, kw_only=True)
class BoxSpec:
    """Where boxes around what is marked in the rows' images stand."""

    form: BoxForm  # which tool's words they are in
    file: str | None = None  # the catalog file; coco: default the table's; else any that has the path
    # path in it; with the row's columns in braces a file for each image: always of yolo and geojson, of via perhaps
    path: str | None = None
    classes: tuple[str, ...] = ()  # yolo: what the numbers of the classes mean, from 0


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """How one of the source's tables becomes manifest rows; a closed vocabulary, no logic."""

    reader: str  # a shape: readers/<shape>.py
    file: str | None = None  # name of a catalog file
    member: str | None = None  # path inside it, if it is an archive
    delimiter: str | None = None  # None: found by what parts the lines
    encoding: str = "utf-8-sig"  # of a text file; absent: UTF-8, or UTF-16 with its mark
    header: tuple[str, ...] = ()  # column names of a file without a header line
    only: Mapping[str, str] = field(default_factory=dict)  # column -> pattern with *: the rows that are meant
    join: tuple[JoinSpec, ...] = ()  # further tables, whose columns are added by a key
    # ours -> theirs; several are joined by "/"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # our field -> their word -> ours
    missing: tuple[str, ...] = ("",)  # their words for "not known"
    one_hot: tuple[str, ...] = ()  # label columns, one of which is 1
    one_hot_word: str = "{class}"  # the label's word, from the name of its class column
    one_hot_none: str | None = None  # the label's word where no class is set; absent: such rows are rejected
    views: tuple[ViewSpec, ...] = ()  # several images a row; `@image` and `@view` say which
    parts: Mapping[str, str] = field(default_factory=dict)  # column -> pattern with {name}s: columns `@name`
    first: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # ours -> column -> ours_source
    concepts: tuple[
        str, ...
    ] = ()  # clinical concepts: columns of 0 and 1, or of `absent` and how they are there
    # column of probabilities, 0 to 1 -> the least one at which that concept is taken to be present
    concept_from: Mapping[str, float] = field(default_factory=dict)
    # column of body_site, label_raw, further_labels or concepts -> what parts several values in its cells
    separators: Mapping[str, str] = field(default_factory=dict)
    further_labels: tuple[
        str, ...
    ] = ()  # more label columns, finer or coarser: the finest one that fits is the diagnosis
    flags: tuple[str, ...] = ()  # columns in which 1 says that the image must not be used
    over: str | None = None  # the catalog entry that holds the images of these annotations
    sheet: str | None = None  # spreadsheet: name of the sheet; default: the first
    label_field: str | None = None  # the crosswalk's field; default: the label's column
    constants: Mapping[str, str] = field(default_factory=dict)  # manifest field -> value of every row
    images: tuple[str, ...] = ()  # the files that hold the rows' images; default: all of role images
    pattern: str | None = None  # folders: path pattern with {fields}; "**/" before it: below any folders
    records: str | None = None  # records: the way to the list in a JSON document, "data.annotations"
    unfold: str | None = None  # records: a list in each, of which each value is a row of its own
    questions: tuple[QuestionSpec, ...] = ()  # what is asked and answered of the rows' images
    boxes: tuple[BoxSpec, ...] = ()  # marks in the rows' images
    sparse: bool = (
        False  # has the columns that any row fills; levels NAME_1 to NAME_5 are NAME, joined by ":"
    )
    inferred: bool = False  # no source that was seen tells the layout: each image is a row, by its path
    image_url: str | None = None  # column with each image's own address (listing = "rows")
    masks: Mapping[str, str] = field(default_factory=dict)  # structure -> file name with {image_id}


@dataclass(frozen=True, kw_only=True)
class CopyFile:
    """One file of a copy, by its name among the files of an entry, this one or another."""

    name: str  # the file's name
    entry: str | None = (
        None  # the catalog entry whose file it is; default: this one, which does not fetch it else
    )
    replaces: tuple[str, ...] = ()  # official files that it stands in for; none: the copy's tables need it
    holds_more: bool = False  # an archive with other images too: only those of the rows are taken


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A further place that holds the same images, for when the publisher's host refuses."""

    name: str  # for --copy
    bytes: CopyBytes  # whether its images are the publisher's, byte by byte
    files: tuple[CopyFile, ...] = ()  # its files
    listing: str | None = (
        None  # `<host>:<id>`: a host's own listing names its images, in place of all official ones
    )
    table: tuple[TableSpec, ...] = ()  # where its tables have another shape; they give the same rows
    differs: tuple[str, ...] = ()  # in what its rows are not the official ones, in words
    layout: str | None = None  # the entry whose label words, and unless it has its own, tables it has
    only_by_name: bool = False  # its rows are other ones, so that it never stands in by itself
    note: str | None = None  # anything that a reader should know


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One catalog entry: a dataset or a model."""

    name: str  # lower case, digits and hyphens; the folder bears it
    title: str  # as people call it
    kind: Kind  # which of the two it is
    summary: str  # one sentence
    access: Access  # how the data can be had
    version: str | None = None  # the publisher's; another one is another dataset in the cache
    homepage: str | None = None  # the page that tells most
    aliases: tuple[str, ...] = ()  # other names by which it is found
    modalities: tuple[str, ...] = ()  # what the pictures are, by the words of `modality`
    tasks: tuple[str, ...] = ()  # what it is made for
    collections: tuple[str, ...] = ()  # larger sets that it belongs to
    fields: tuple[str, ...] = ()  # manifest fields it carries beyond those the table names
    seed_claim: str | None = None  # what the seed list said, where it differs
    notes: tuple[str, ...] = ()  # what a user must know, a sentence each
    overlaps: tuple[Overlap, ...] = ()  # entries with some of the same images
    counts: PublishedCounts = field(default_factory=PublishedCounts)  # the publisher's numbers
    license: License = field(default_factory=License)  # what may be done with it
    citation: DatasetCitation = field(default_factory=DatasetCitation)  # how it is cited
    facts: Mapping[str, str] = field(default_factory=dict)  # dotted key -> where the fact comes from
    files: tuple[File, ...] = ()  # the files of the source
    listing: str | None = None  # `<host>:<id>`: its own listing names the files; `rows`: the table does
    listed: ListingSpec | None = None  # which of them, and what they are
    no_rows: str | None = None  # why a fetch gives files and no rows: lists, texts
    words_of: str | None = None  # the catalog entry whose crosswalk holds for this one's words too
    table: tuple[TableSpec, ...] = ()  # how its tables become rows
    copies: tuple[Copy, ...] = ()  # in the order in which they stand in

    def file(self, name: str) -> File:
        """The file of this name; KeyError when there is none."""
        for file in self.files:
            if file.name == name:
                return file
        raise KeyError(name)


@dataclass(frozen=True, kw_only=True)
class CopiedDataset(Dataset):
    """An entry with the files and tables of one of its copies in place of those that are not here."""

    copy: Copy
    origins: Mapping[str, str]  # the copy's files that the catalog names -> the entry whose file each is
    official: frozenset[str] = (
        frozenset()
    )  # files of the publisher's own that stay; all others are the copy's
    in_part: frozenset[str] = frozenset()  # archives of which only the images of the rows are taken
    left_out: tuple[str, ...] = ()  # official files that nothing of the copy replaces


@dataclass(frozen=True, kw_only=True)
class Label:
    """One crosswalk row: a dataset's own word and the concept it means."""

    field: str
    raw_label: str
    concept: str
    predicate: Predicate
    malignancy: str | None = None  # of a manifest's row, as its column has it; None: by the concept
    malignancy_source: str | None = None  # the dataset's own statement
    members: tuple[str, ...] = ()  # the concepts that a lumped label may mean
    note: str | None = None


# ------------------------------------------------------------------ requests and cached files


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a source resolves a catalog file to: where to ask, with what, and what must come."""

    urls: tuple[str, ...]  # tried in order; one must give the file
    mirrors: int = 0  # so many of the first urls are a mirror's, not the publisher's
    size: int | None = None
    checksum: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # not secret
    secrets: Mapping[str, str] = field(default_factory=dict)  # sent to the https origin of each url only
    confirms: bool = (
        False  # a form that asks whether a file that nobody scanned is wanted is answered with yes
    )
    archive: Unpack | None = None  # the first bytes must look like it


@dataclass(frozen=True, kw_only=True)
class RequestLimit:
    """How often a host lets itself be asked: so many requests in any so many seconds; of several windows, each holds."""

    name: str  # what its requests are counted under
    host: str  # a pattern of the whole host
    path: str = ".*"  # … and of path and query, with a `?` between them also where there is no query
    guest: tuple[tuple[int, float], ...]  # requests and seconds, without an account
    member: tuple[tuple[int, float], ...] = ()  # with credentials; as a guest where nothing stands here
    service: str | None = None  # whose token makes a member of a guest, where nothing else wants one
    published: bool = True  # False: no source states one, and dermdata keeps this one by itself


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """What an image file's bytes are and look like, and why they cannot be decoded, if so.

    A fact of the name of a manifest column fills that column, and the list of contents keeps every fact.
    """

    format: str | None = None  # jpeg, png, tiff, …
    mode: str | None = None  # RGB, L, CMYK, …
    width: int | None = None  # pixels, as stored
    height: int | None = None
    problem: str | None = None  # None: decodes whole
    phash: bytes | None = None  # 8 bytes; b"" of one color all over; None: not looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveMember:
    """Where a cached file lies inside its archive: enough to fetch it again by one range."""

    path: str  # the archive's own name of it
    offset: int  # of the local header, bytes from the start of the archive; -1: a tar's, not to be had alone
    stored: int  # compressed size, bytes
    method: int  # 0 stored, 8 deflated
    crc32: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One file in a dataset's cache folder."""

    path: str  # relative to the dataset's cache folder, with "/"
    role: Role
    file: str  # name of the catalog file it came from
    size: int  # bytes
    sha256: str  # hex
    member: ArchiveMember | None = None  # None: the catalog file itself
    image: ImageFacts | None = None

    @property
    def official(self) -> str:
        """The publisher's own path of it: inside its archive, or the catalog file's name."""
        return self.member.path if self.member else self.file


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem and the images that have it; `code` is of the closed list in the contract of `audit`."""

    level: Level
    code: str
    dataset: str | None  # several are joined by ", "
    keys: tuple[str, ...]  # row keys of the images
    message: str
    evidence: Mapping[str, Any]  # what it was concluded from, as JSON can say it
