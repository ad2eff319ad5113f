"""Recognizing a person's own copy: what is taken, what is left alone, and what nobody may guess."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dermdata.cache import Cache, DatasetFolder
from dermdata.catalogs import open_catalog
from dermdata.crosswalks import Crosswalk, parse_labels
from dermdata.errors import (
    ArchiveRefused,
    ChecksumMismatch,
    CredentialsMissing,
    DermdataError,
    ManualDownload,
    UsageError,
)
from dermdata.fetching.local import LocalFiles, Recognition, recognize_dataset
from dermdata.fetching.plan import FetchSettings, make_plan
from dermdata.model import Dataset, File
from support.archive_builders import Raw, raw_zip, tarred
from support.own_copies import COLUMNS, HOLDER, images, name_of, picture, put, table, zipped

CATALOG = open_catalog()
SIX = range(1, 7)


class Search:
    """One search for a dataset in the folder `own`; the cache lies beside it."""

    def __init__(self, root: Path) -> None:
        self.root, self.own = root, root / "own"
        self.cache = Cache(root / "cache")
        self.given: LocalFiles

    def __call__(self, *paths: Path, dataset: Dataset | str = "ddi") -> Recognition:
        entry = CATALOG[dataset] if isinstance(dataset, str) else dataset
        folder = self.cache.folder(entry)
        self.given = LocalFiles(paths or (self.own,), self.cache.root, self.root / "workplace")
        return recognize_dataset(entry, self.given, planner(folder), folder, crosswalk(entry.name))

    def put(self, **files: Mapping[str, bytes]) -> None:
        for under, some in files.items():
            put(self.own / under, some)

    @property
    def problems(self) -> dict[str, str]:
        return {Path(one.shown).name: one.reason for one in self.given.problems}


def planner(folder: DatasetFolder) -> Callable:
    return lambda dataset: make_plan(dataset, folder.receipt(), FetchSettings(), "digest")


def crosswalk(name: str) -> Crosswalk:
    paths = CATALOG.label_files(name)
    return Crosswalk([one for path in paths for one in parse_labels(path.read_text(encoding="utf-8"))])


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def how(found: Recognition) -> dict[str, str]:
    return {one.file.name: one.how for one in found.adopted}


def pieces(found: Recognition, file: str = HOLDER) -> dict[str, str]:
    """The official path of each piece, and the name of the file that was given for it."""
    (adopted,) = (one for one in found.adopted if one.file.name == file)
    return {one.official: one.found.leaf for one in adopted.pieces}


def checksum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# ------------------------------------------------------------------ any layout, any name


def test_other_names_and_a_zip_made_anew_are_recognized_by_content(search: Search) -> None:
    """The table by its columns, the images by the names that it gives, wherever they lie."""
    search.put(a={"my list.csv": table(SIX)}, b=images([1, 2], "deep/er/"))
    search.put(c={"copy.zip": zipped(images([3, 4, 5, 6], "top/x/"))})
    found = search()
    assert how(found) == {"ddi_metadata.csv": "content", HOLDER: "content"}
    assert set(pieces(found)) == set(images(SIX))
    assert found.complete


def test_an_archive_in_an_archive_and_a_tar_are_looked_into(search: Search) -> None:
    """As a repository's "download all" gives them."""
    inner = zipped({**images([1, 2, 3]), "ddi_metadata.csv": table(SIX)})
    search.put(a={"all.zip": zipped({"inner.zip": inner}), "rest.tar.gz": tarred(images([4, 5, 6]), "w:gz")})
    found = search()
    assert found.complete
    assert set(pieces(found)) == set(images(SIX))


def test_a_download_without_an_ending_is_known_by_its_first_bytes(search: Search) -> None:
    search.put(a={"download": zipped({**images(SIX), "t.csv": table(SIX)})})
    assert search().complete


def test_another_kind_of_image_file_stands_for_the_one_that_the_table_names(search: Search) -> None:
    """The table says .png, the copy has .JPG: the ending stays the file's own."""
    search.put(a={"t.csv": table([7]), "000007.JPG": picture(7, "JPEG")})
    assert pieces(search()) == {"000007.JPG": "000007.JPG"}


def test_images_that_the_table_names_with_a_folder_are_found_without_it(search: Search) -> None:
    """derm7pt's table says Fhl/Fhl057.jpg; a flat copy has the file alone, and an old table beside it."""
    names = {"clinic": "Aal/Aal001.jpg", "derm": "Fal/Fal001.jpg"}
    criteria = (
        "pigment_network,streaks,pigmentation,regression_structures,dots_and_globules,blue_whitish_veil"
    )
    head = f"case_num,diagnosis,{criteria},vascular_structures,sex,clinic,derm"
    meta = f"{head}\n1,melanoma{',absent' * 7},male,{names['clinic']},{names['derm']}\n"
    indexes = {f"{part}_indexes.csv": b"indexes\n" for part in ("valid", "test")}
    search.put(old={"meta of 2019.csv": meta.replace("melanoma", "lentigo").encode()})
    search.put(a={"meta.csv": meta.encode(), "train_indexes.csv": b"indexes\n0\n", **indexes})
    search.put(b={"Aal001.jpg": picture(1, "JPEG"), "Fal001.jpg": picture(2, "JPEG")})
    found = search(dataset="derm7pt")
    assert set(names.values()) < set(pieces(found, "release_v0.zip"))
    assert pieces(found, "release_v0.zip")["release_v0/meta/meta.csv"] == "meta.csv"
    assert found.complete


# ------------------------------------------------------------------ what is missing, what is unknown


def test_what_is_missing_is_named(search: Search) -> None:
    """By the table's own names, in its order."""
    search.put(a={"t.csv": table(SIX), **images([2, 4, 6])})
    found = search()
    assert found.missing_images == (name_of(1), name_of(3), name_of(5))
    assert how(found)[HOLDER] == "part"
    assert not found.complete


def test_no_image_at_all_leaves_the_archive_missing(search: Search) -> None:
    search.put(a={"t.csv": table([1, 2])})
    found = search()
    assert [file.name for file in found.missing] == [HOLDER]
    assert len(found.missing_images) == 2


def test_files_that_nothing_asks_for_are_not_used(search: Search) -> None:
    search.put(a={"t.csv": table([1]), **images([1, 9]), "notes.txt": b"mine"})
    used = {one.leaf for one in search().used}
    assert used == {"t.csv", "000001.png"}


def test_without_the_table_the_person_is_told_the_steps(search: Search) -> None:
    search.put(a=images(SIX))
    with pytest.raises(ManualDownload, match=r"its table ddi_metadata\.csv is not among the paths") as caught:
        search()
    assert "Research Use Agreement" in (caught.value.hint or "")


def test_an_entry_without_files_can_recognize_none(search: Search) -> None:
    """The person's folder is not to blame."""
    search.put(a=images(SIX))
    with pytest.raises(ManualDownload, match="the catalog does not describe its files"):
        search(dataset="passion")


def test_a_file_of_the_tables_name_that_is_none_says_why(search: Search) -> None:
    """Its column is called otherwise: the reason is told beside the steps."""
    search.put(a={"ddi_metadata.csv": table([1]).replace(b"DDI_file", b"file"), **images([1])})
    with pytest.raises(ManualDownload):
        search()
    assert "has no column 'DDI_file'" in search.problems["ddi_metadata.csv"]


@pytest.mark.parametrize(
    ("before", "mark", "end"),
    [
        (b"", b";", b"\r\n"),
        (b"sep=;\r\n", b";", b"\r\n"),
        (b"\xef\xbb\xbf", b"\t", b"\n"),
        (b"", b"|", b"\r"),
    ],
    ids=["semicolons", "sep line", "tabs", "bars"],
)
def test_a_table_is_known_by_its_columns_whatever_parts_them(
    before: bytes, mark: bytes, end: bytes, search: Search
) -> None:
    """Saved by a spreadsheet of another country: the catalog need not say so."""
    search.put(a={"mine.csv": before + table(SIX).replace(b",", mark).replace(b"\n", end), **images(SIX)})
    search()
    assert search.problems == {}


def test_a_table_in_another_encoding_is_told_with_its_mend(search: Search) -> None:
    """Which line it is, and what the entry or the person can do."""
    search.put(a={"ddi_metadata.csv": table(SIX) + b"N\xe4vus\r\n", **images(SIX)})
    with pytest.raises(ManualDownload):
        search()
    assert "line 8: not utf-8" in search.problems["ddi_metadata.csv"]
    assert 'encoding = "cp1252"' in search.problems["ddi_metadata.csv"]


# ------------------------------------------------------------------ nothing is guessed


def test_two_files_of_one_name_with_different_bytes_are_told_and_not_taken(search: Search) -> None:
    search.put(a={"t.csv": table([1, 2]), **images([1, 2])}, b={name_of(2): picture(99)})
    found = search()
    (conflict,) = found.conflicts
    assert conflict.name == name_of(2)
    assert {one.origin.parent.name for one in conflict.found} == {"a", "b"}
    assert set(pieces(found)) == {name_of(1)}
    assert found.missing_images == (name_of(2),)


def test_copies_of_one_file_are_one_file(search: Search) -> None:
    search.put(a={"t.csv": table([1]), **images([1])}, b={"t again.csv": table([1]), **images([1])})
    found = search()
    assert found.complete
    assert not found.conflicts


def test_of_two_tables_the_one_whose_images_are_there_is_it(search: Search) -> None:
    search.put(a={"one.csv": table(range(50, 60)), "two.csv": table(SIX), **images(SIX)})
    (metadata,) = (one for one in search().adopted if one.file.role == "metadata")
    assert metadata.whole
    assert metadata.whole.leaf == "two.csv"


def test_two_tables_that_fit_equally_are_the_persons_choice(search: Search) -> None:
    """Both are named."""
    search.put(a={"one.csv": table(SIX), "two.csv": table(reversed(SIX)), **images(SIX)})
    with pytest.raises(UsageError, match=r"one\.csv.* and .*two\.csv"):
        search()


def test_the_official_name_decides_between_tables(search: Search) -> None:
    search.put(a={"old.csv": table(SIX), "DDI_Metadata.CSV": table([1])}, b=images(SIX))
    found = search()
    assert found.complete
    assert len(pieces(found)) == 1


def test_a_table_with_other_columns_is_no_table(search: Search) -> None:
    columns = (*COLUMNS[:-1], "condition")
    search.put(a={"t.csv": table([1], columns), **images([1])})
    with pytest.raises(ManualDownload):
        search()


# ------------------------------------------------------------------ checksums rule


def known(dataset: str = "ddi", **files: bytes) -> Dataset:
    """An entry that knows these files' sizes and checksums ("." in a name is written "__")."""
    entry = CATALOG[dataset]
    facts = {name.replace("__", "."): data for name, data in files.items()}
    changed = tuple(
        replace(file, size=len(facts[file.name]), checksum=checksum(facts[file.name]))
        if file.name in facts
        else file
        for file in entry.files
    )
    return replace(entry, files=changed)


def test_a_file_with_the_published_checksum_is_it_whatever_its_name(search: Search) -> None:
    official = zipped(images(SIX))
    search.put(a={"download (1).zip": official, "x.txt": table(SIX)})
    entry = known(ddi_metadata__csv=table(SIX), ddidiversedermatologyimages__zip=official)
    assert how(search(dataset=entry)) == {"ddi_metadata.csv": "checksum", HOLDER: "checksum"}


def test_the_official_archive_inside_another_is_found_by_its_checksum(search: Search) -> None:
    official = zipped(images(SIX))
    search.put(a={"all.zip": zipped({"part/odd.zip": official, "t.csv": table(SIX)})})
    assert how(search(dataset=known(ddidiversedermatologyimages__zip=official)))[HOLDER] == "checksum"


def test_a_zip_of_the_official_name_with_other_bytes_is_told_and_taken_by_pieces(search: Search) -> None:
    search.put(a={HOLDER: zipped(images(SIX, "other/")), "t.csv": table(SIX)})
    found = search(dataset=known(ddidiversedermatologyimages__zip=zipped(images(SIX))))
    assert [one.leaf for one in found.mismatched[HOLDER]] == [HOLDER]
    assert how(found)[HOLDER] == "content"


def test_a_table_of_the_official_name_with_other_bytes_is_refused(search: Search) -> None:
    """Where the true bytes are known, nothing that only looks like them will do."""
    search.put(a={"ddi_metadata.csv": table(SIX), **images(SIX)})
    with pytest.raises(ChecksumMismatch, match=r"ddi_metadata\.csv has the name of ddi_metadata\.csv, but"):
        search(dataset=known(ddi_metadata__csv=table([1])))


def test_a_table_that_only_looks_like_one_whose_bytes_are_known_is_not_it(search: Search) -> None:
    search.put(a={"t.csv": table(SIX).replace(b"abscess", b"eczemas"), **images(SIX)})
    with pytest.raises(ManualDownload):
        search(dataset=known(ddi_metadata__csv=table(SIX)))


def test_a_wrong_image_of_the_right_name_is_not_taken(search: Search) -> None:
    """Where each image is a file of its own with a checksum."""
    right = [File(name=f"train/{n}.png", role="images", size=len(picture(n)), checksum=checksum(picture(n)))
             for n in (1, 2)]  # fmt: skip
    entry = replace(CATALOG["fuseg"], name="fuseg", files=tuple(right))
    search.put(train={"1.png": picture(1), "2.png": picture(3)})
    found = search(dataset=entry)
    assert how(found) == {"train/1.png": "checksum"}
    assert [file.name for file in found.missing] == ["train/2.png"]
    assert set(found.mismatched) == {"train/2.png"}


def test_files_of_one_name_are_told_apart_by_their_folders(search: Search) -> None:
    """Without a checksum train/1.png is the 1.png below train."""
    files = tuple(File(name=f"{part}/1.png", role="images") for part in ("train", "test"))
    search.put(x={"train/1.png": picture(1), "test/1.png": picture(2)})
    found = search(dataset=replace(CATALOG["fuseg"], files=files))
    assert {one.file.name: one.whole and one.whole.path.parent.name for one in found.adopted} == {
        "train/1.png": "train",
        "test/1.png": "test",
    }


# ------------------------------------------------------------------ official archives known by name only


def test_the_official_name_will_do_where_no_checksum_is_published(search: Search) -> None:
    search.put(a={HOLDER: zipped(images(SIX)), "t.csv": table(SIX)})
    assert how(search())[HOLDER] == "name"


def test_an_archive_known_by_its_name_that_lacks_images_is_taken_by_pieces(search: Search) -> None:
    """So that the rest can be added later."""
    search.put(a={HOLDER: zipped(images([1, 2])), "t.csv": table(SIX)})
    found = search()
    assert how(found)[HOLDER] == "part"
    assert len(found.missing_images) == 4


def test_an_archive_of_the_right_name_with_another_layout_is_taken_by_pieces(search: Search) -> None:
    search.put(a={"sd-198.zip": zipped({"mine/images/Acne_Vulgaris/1.jpg": picture(1, "JPEG")})})
    assert pieces(search(dataset="sd-198"), "sd-198.zip") == {"sd-198/images/Acne_Vulgaris/1.jpg": "1.jpg"}


# ------------------------------------------------------------------ folders that speak for a table


def test_a_class_folder_is_known_by_its_word(search: Search) -> None:
    """Images below folders that the entry does not know are left alone."""
    search.put(Acne_Vulgaris={"1.jpg": picture(1, "JPEG")}, Holiday={"2.jpg": picture(2, "JPEG")})
    found = search(dataset="sd-198")
    assert pieces(found, "sd-198.zip") == {"sd-198/images/Acne_Vulgaris/1.jpg": "1.jpg"}
    assert found.unnamed == 6584 - 1


def test_a_split_folder_must_be_a_split(search: Search) -> None:
    """Without its train and test folders, DermNet's split cannot be told."""
    search.put(**{"Atopic Dermatitis Photos": {"1.jpg": picture(1, "JPEG")}})
    with pytest.raises(ManualDownload, match="none of its files"):
        search(dataset="dermnet")
    search.put(**{"train/Atopic Dermatitis Photos": {"1.jpg": picture(1, "JPEG")}})
    assert len(pieces(search(dataset="dermnet"), "dermnet.zip")) == 1


def test_what_fits_two_tables_equally_fits_none(search: Search) -> None:
    """Train/ and Test/ of one shape: a class folder alone does not say which."""
    label = next(one.raw_label for one in crosswalk("azh-wound") if one.field == "class folder")
    search.put(**{label: {"1.jpg": picture(1, "JPEG")}})
    with pytest.raises(ManualDownload):
        search(dataset="azh-wound")


# ------------------------------------------------------------------ hostile and broken


def test_an_archive_with_names_that_lead_outside_is_not_opened(search: Search) -> None:
    """The rest is taken; nothing is written anywhere."""
    search.put(a={"bad.zip": raw_zip(Raw(b"../../000001.png")), "t.csv": table([1, 2]), **images([2])})
    found = search()
    assert "'..' in its path" in search.problems["bad.zip"]
    assert found.missing_images == (name_of(1),)
    assert not list(search.root.rglob("workplace/*"))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (raw_zip(Raw(b"../x.png")), ArchiveRefused),
        (raw_zip(Raw(b"x.png", flags=1)), CredentialsMissing),
        (b"no zip at all", ArchiveRefused),
    ],
)
def test_an_archive_that_is_all_there_is_and_refused_is_the_error(
    search: Search, data: bytes, error: type[DermdataError]
) -> None:
    search.put(a={"only.zip": data})
    with pytest.raises(error):
        search(search.own / "a" / "only.zip")


def test_links_are_not_followed(search: Search, tmp_path: Path) -> None:
    """Neither to files nor to folders, and a loop ends; all of them are told."""
    put(tmp_path / "elsewhere", images([1]))
    search.put(a={"t.csv": table([1])})
    (search.own / "a" / name_of(1)).symlink_to(tmp_path / "elsewhere" / name_of(1))
    (search.own / "a" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (search.own / "a" / "loop").symlink_to(search.own, target_is_directory=True)
    found = search()
    assert found.missing_images == (name_of(1),)
    assert set(search.problems) == {name_of(1), "more", "loop"}
    assert set(search.problems.values()) == {"a symbolic link, not followed"}


def test_the_path_itself_may_be_a_link(search: Search, tmp_path: Path) -> None:
    search.put(a={"t.csv": table([1]), **images([1])})
    (tmp_path / "link").symlink_to(search.own)
    assert search(tmp_path / "link").complete


def test_an_image_of_no_bytes_is_missing(search: Search) -> None:
    """Another copy of it is taken without ado."""
    search.put(a={"t.csv": table([1, 2]), name_of(1): b"", name_of(2): b""}, b=images([2]))
    found = search()
    assert found.missing_images == (name_of(1),)
    assert search.problems == {name_of(1): "the file is empty", name_of(2): "the file is empty"}


def test_files_that_may_not_be_read_are_told_in_words(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != name_of(1) and allowed(path, mode)
    )
    search.put(a={"t.csv": table([1, 2]), **images([1, 2])})
    assert search().missing_images == (name_of(1),)
    assert search.problems == {name_of(1): "permission denied"}


def test_a_folder_that_may_not_be_listed_is_told_in_words(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def refusing(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    search.put(a={"t.csv": table([1])}, locked=images([1]))
    monkeypatch.setattr(os, "scandir", refusing)
    assert search().missing_images == (name_of(1),)
    assert search.problems == {"locked": "permission denied"}


def test_what_is_no_regular_file_is_not_opened(search: Search) -> None:
    """A named pipe would wait for ever."""
    search.put(a={"t.csv": table([1]), **images([1])})
    os.mkfifo(search.own / "a" / "pipe.csv")
    assert search().complete
    assert search.problems == {"pipe.csv": "no regular file"}


def test_names_that_are_not_utf8_can_be_shown(search: Search) -> None:
    search.put(a={"t.csv": table([1]), **images([1])})
    Path(os.fsdecode(os.fsencode(search.own) + b"/\xff.png")).write_bytes(picture(9))
    assert search().complete
    assert any(one.shown.endswith("\\xff.png") for one in search.given.all_files())


# ------------------------------------------------------------------ paths


def test_a_path_must_exist(search: Search, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--from .*nowhere: no such file"):
        search(tmp_path / "nowhere")


def test_a_path_in_the_cache_is_refused(search: Search) -> None:
    inside = put(search.cache.root / "datasets" / "ddi", {"t.csv": table([1])})
    with pytest.raises(UsageError, match="lies in the cache itself"):
        search(inside)


def test_a_folder_that_holds_the_cache_is_looked_through_without_it(search: Search) -> None:
    put(search.cache.root / "datasets" / "other", images([1]))
    search.put(a={"t.csv": table([1])})
    assert search(search.root).missing_images == (name_of(1),)


def test_a_file_given_twice_is_there_once(search: Search) -> None:
    search.put(a={"t.csv": table([1]), **images([1])})
    assert search(search.own, search.own / "a", search.own / "a" / "t.csv").complete
    assert len(search.given.loose) == 2
