"""Catalogs laid over each other: what may change what, and that a broken entry breaks nothing else."""

from pathlib import Path
from typing import Any

import pytest

from dermdata.catalogs import Catalog, bundled_folder, open_catalog, open_index
from dermdata.catalogs.overlays import apply_overlay, build_index
from dermdata.errors import BadCatalog, UnknownName
from dermdata.model import Dataset
from support.catalog_folders import ACCESS, entry, put

BASE = """\
version = "1"
modalities = ["dermoscopic", "clinical"]

[counts]
images = 3
lesions = 2

[[files]]
name = "a.zip"
role = "images"
urls = ["https://public/a.zip"]
size = 10
checksum = "md5:d41d8cd98f00b204e9800998ecf8427e"

[[files]]
name = "b.csv"
role = "metadata"
urls = ["https://public/b.csv"]
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    put(tmp_path / "base", "set-a", entry("set-a", access="") + BASE + '[access]\nkind = "open"\n')
    return tmp_path / "base"


@pytest.fixture
def above(tmp_path: Path) -> Path:
    (tmp_path / "above").mkdir()
    return tmp_path / "above"


def read(*roots: Path) -> tuple[dict[str, Dataset], dict[str, str]]:
    """The entries and what is wrong with others: the same whether the first folder was compiled before or is read."""
    index = build_index(roots, open_index(roots[:1], None))
    assert roots[0] == bundled_folder() or build_index(roots) == index
    catalog = Catalog(roots, {"fingerprint": [], **index})
    return {name: catalog[name] for name in catalog}, catalog.broken


def broken(*roots: Path) -> dict[str, str]:
    return read(*roots)[1]


# ------------------------------------------------------------------ words that a table translates to

TABLE = """[[table]]
reader = "table"
file = "b.csv"
columns = {image_id = "name", body_site = "site", sex = "sex", confirmation = "how"}
"""


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('values.body_site = {Gesicht = "face"}', "unknown body site 'face' (did you mean head-and-neck-head-face?)"),
        ('values.body_site = {A = "zzz"}', "unknown body site 'zzz'; `dermdata labels find --sites TEXT`"),
        ('values.sex = {m = "man"}', "sex cannot be 'man'; it is one of female, male, other"),
        ('values.confirmation = {h = "biopsy"}', "confirmation cannot be 'biopsy'; it is one of histopathology"),
        ('constants.modality = "dermoscopy"', "modality cannot be 'dermoscopy'; it is one of dermoscopic"),
    ],
)  # fmt: skip
def test_a_word_that_the_manifest_cannot_hold_is_told_at_load(tmp_path: Path, lines: str, says: str) -> None:
    """Not after the download, as a word of the source that nobody mapped."""
    table = f"{TABLE}{lines}\n"
    put(tmp_path, "set-a", entry("set-a", access="") + BASE + '[access]\nkind = "open"\n' + table)
    issues = broken(bundled_folder(), tmp_path)["set-a"]
    assert "has 1 issue(s):\n  table[0]." in issues
    assert says in issues


@pytest.mark.parametrize(
    ("reader", "columns", "more", "says"),
    [
        ("tabel", "", "", "reader: unknown reader 'tabel', did you mean table?"),
        ("sqlite", "", "", "reader: unknown reader 'sqlite'; it is one of table, folders"),
        ("table", ', agee = "a"', "", "columns.agee: unknown manifest column 'agee', did you mean age?"),
        ("table", ', diagnosis = "d"', "", "columns.diagnosis: unknown manifest column 'diagnosis'"),
        ("table", "", 'constants = {modalty = "clinical"}', "did you mean modality?"),
        ("table", "", 'first.fitzpatrik = {a = "self"}', "first.fitzpatrik: unknown manifest column"),
        ("table", ', sex = "s"', 'values.sexx = {m = "male"}', "'sexx', which nothing fills, did you mean sex?"),
        ("table", "", 'values.age = {alt = "80"}', "values.age: translates words of 'age', which nothing fills"),
        ("table", ', lesion_id = "l"', 'values.lesion_id = {a = "b"}', "the names of lesion_id are kept as they are"),
        ("table", None, "", "columns: needs image_id or image"),
        ("table", ', sex = "s"', 'separators = {s = ","}', "separators.s: is of a column of body_site, label_raw"),
        ("table", ', body_site = "s"', 'separators = {s = ""}', "separators.s: parts nothing"),
        ("table", ', label_raw = ["s", "t"]', 'separators = {s = ","}', "separators.s: is one of several columns"),
        ("table", "", 'further_labels = ["t"]', "further_labels: go beside one column of label_raw"),
        ("table", "", "concept_from = {ulcer = 1.5}", "concept_from.ulcer: must be a probability"),
    ],
)  # fmt: skip
def test_what_a_fetch_would_refuse_is_told_at_load(
    tmp_path: Path, reader: str, columns: str | None, more: str, says: str
) -> None:
    """Readers, columns and tables of words that there are not, in a copy's table too."""
    named = 'age = "a"' if columns is None else f'image_id = "i"{columns}'
    lines = f'reader = "{reader}"\ncolumns = {{{named}}}\n{more}'
    text = entry("set-a", access="") + BASE + '[access]\nkind = "open"\n'
    put(tmp_path, "set-a", f'{text}[[table]]\nfile = "b.csv"\n{lines}\n')
    copy = '[[copies]]\nname = "other"\nbytes = "same"\nlisting = "zenodo:1"\n'
    put(tmp_path, "set-b", text.replace("set-a", "set-b") + f"{copy}[[copies.table]]\n{lines}\n")
    found = broken(bundled_folder(), tmp_path)
    assert "has 1 issue(s):\n  table[0]." in found["set-a"]
    assert says in found["set-a"]
    assert "\n  copies[other].table[0]." in found["set-b"]


@pytest.mark.parametrize(
    "lines",
    [
        'values.body_site = {Gesicht = "head-and-neck-head-face", W = "Head and neck:Head:Face", U = ""}',
        'values.sex = {m = "Male", w = "female"}',
        'constants.sex = "m"\nvalues.sex = {m = "male"}',
        'constants.body_site = "trunk"',
    ],
)
def test_words_that_the_manifest_holds_are_no_issue(tmp_path: Path, lines: str) -> None:
    table = f"{TABLE}{lines}\n"
    put(tmp_path, "set-a", entry("set-a", access="") + BASE + '[access]\nkind = "open"\n' + table)
    assert broken(bundled_folder(), tmp_path) == {}


def test_body_sites_of_an_overlay_judge_every_entry(base: Path, above: Path) -> None:
    """Also those of the catalog below, of which nothing else is read again."""
    put(base, "set-b", entry("set-b", access="") + '[access]\nkind = "open"\n[[table]]\nreader = "table"\n'
        'file = "b.csv"\ncolumns.image_id = "i"\n'
        'constants.body_site = "trunk"\n[[files]]\nname = "b.csv"\nrole = "metadata"\n')  # fmt: skip
    sites = (bundled_folder() / "vocabulary" / "body-sites.tsv").read_text().splitlines()
    for root, lines in ((base, sites), (above, [line for line in sites if "trunk" not in line])):
        (root / "vocabulary").mkdir()
        (root / "vocabulary" / "body-sites.tsv").write_text("\n".join(lines) + "\n")
    assert broken(base) == {}
    assert "unknown body site 'trunk'" in broken(base, above)["set-b"]


# ------------------------------------------------------------------ what an overlay changes


def test_given_keys_replace_tables_merge_and_files_merge_by_name(base: Path, above: Path) -> None:
    """A hospital points one file at its own copy and leaves all else as it is."""
    put(
        above,
        "set-a",
        """
        extends = "set-a"
        version = "1-local"
        modalities = ["clinical"]
        [counts]
        images = 4
        [[files]]
        name = "b.csv"
        urls = ["https://hospital/b.csv"]
        [[files]]
        name = "c.csv"
        role = "splits"
        """,
    )
    datasets, issues = read(base, above)
    dataset = datasets["set-a"]
    assert issues == {}
    assert (dataset.version, dataset.modalities) == ("1-local", ("clinical",))
    assert (dataset.counts.images, dataset.counts.lesions) == (4, 2)
    assert [file.name for file in dataset.files] == ["a.zip", "b.csv", "c.csv"]
    assert dataset.file("a.zip").size == 10
    assert (dataset.file("b.csv").urls, dataset.file("b.csv").role) == (
        ("https://hospital/b.csv",),
        "metadata",
    )


def test_the_base_is_left_alone() -> None:
    """Laying over is a value, not a change."""
    base: dict[str, Any] = {"a": {"b": 1}, "files": [{"name": "x", "size": 1}]}
    apply_overlay(base, {"extends": "base", "a": {"b": 2}, "files": [{"name": "x", "size": 2}]})
    assert base == {"a": {"b": 1}, "files": [{"name": "x", "size": 1}]}


def test_a_new_name_is_a_private_dataset(base: Path, above: Path) -> None:
    put(above, "ours", entry("ours"))
    assert read(base, above)[0].keys() == {"set-a", "ours"}


def test_overlays_of_overlays(base: Path, above: Path, tmp_path: Path) -> None:
    """In the order they were given, the last one on top."""
    put(above, "set-a", 'extends = "set-a"\nversion = "2"\n')
    put(tmp_path / "top", "set-a", 'extends = "set-a"\nversion = "3"\n')
    assert read(base, above, tmp_path / "top")[0]["set-a"].version == "3"
    assert read(base, tmp_path / "top", above)[0]["set-a"].version == "2"


# ------------------------------------------------------------------ what it may not do


@pytest.mark.fault(100)
def test_a_bundled_name_is_not_taken_silently(base: Path, above: Path) -> None:
    """Row 100: without `extends`, neither the one nor the other is used."""
    put(above, "set-a", entry("set-a"))
    datasets, issues = read(base, above)
    assert datasets == {}
    assert "already in the catalog below" in issues["set-a"]
    assert 'extends = "set-a"' in issues["set-a"]


@pytest.mark.fault(100)
@pytest.mark.parametrize("alias", ["set-a", "old-a"])
def test_nor_by_an_alias(alias: str, base: Path, above: Path) -> None:
    """Row 100: an alias that is another's name or alias would be the same confusion."""
    put(base, "set-b", entry("set-b", 'aliases = ["old-a"]'))
    put(above, "ours", entry("ours", f'aliases = ["{alias}"]'))
    datasets, issues = read(base, above)
    assert datasets.keys() == {"set-a", "set-b"}
    assert f"the alias {alias} already means {'set-b' if alias == 'old-a' else 'set-a'}" in issues["ours"]


def test_nor_by_a_copy_under_another_name(base: Path, above: Path) -> None:
    put(above, "ours", 'extends = "set-a"\n')
    assert "folder and name must be 'set-a' too" in broken(base, above)["ours"]


def test_extending_what_is_not_there(base: Path, above: Path) -> None:
    put(above, "set-b", 'extends = "set-b"\n')
    assert (
        "no entry 'set-b' in the catalogs below to extend, did you mean set-a?"
        in broken(base, above)["set-b"]
    )


@pytest.mark.parametrize("value", ["3", '["set-a"]', "{a = 1}", "true"])
def test_extending_what_is_no_name(value: str, base: Path, above: Path) -> None:
    put(above, "set-a", f"extends = {value}\n")
    assert "to extend" in broken(base, above)["set-a"]


def test_the_name_is_the_folders(base: Path, above: Path) -> None:
    put(above, "ours", entry("theirs"))
    put(above, "set-a", 'extends = "set-a"\nname = "other"\n')
    assert broken(base, above).keys() == {"ours", "set-a"}


@pytest.mark.parametrize("files", ["3", '"b.csv"', "[{size = 1}]", "[3]", '[{name = 3, role = "images"}]'])
def test_files_that_are_none_are_issues(files: str, base: Path, above: Path) -> None:
    put(above, "set-a", f'extends = "set-a"\nfiles = {files}\n')
    assert "set-a" in broken(base, above)


# ------------------------------------------------------------------ broken entries

NOT_TOML = {
    "half": b'name = "x',
    "binary": bytes(range(256)),
    "utf-16": 'name = "x"'.encode("utf-16"),
    "a key twice": b'name = "x"\nname = "x"\n',
    "100,000 deep": b"a = " + b"[" * 100_000,
    "empty": b"",
    "numbers without end": b"[counts]\nimages = inf\n",
}


@pytest.mark.fault(97)
@pytest.mark.parametrize("what", NOT_TOML)
def test_a_broken_file_breaks_only_its_entry(what: str, base: Path, above: Path) -> None:
    """Row 97: everything else is listed and read as before."""
    put(above, "ours", "").write_bytes(NOT_TOML[what])
    datasets, issues = read(base, above)
    assert datasets.keys() == {"set-a"}
    assert str(above) in issues["ours"]


def test_a_folder_or_a_dead_link_in_place_of_the_file(base: Path, above: Path) -> None:
    (above / "datasets" / "ours" / "dataset.toml").mkdir(parents=True)
    (above / "datasets" / "link").mkdir()
    (above / "datasets" / "link" / "dataset.toml").symlink_to(above / "gone")
    datasets, issues = read(base, above)
    assert datasets.keys() == {"set-a"}
    assert "cannot be read" in issues["ours"]


def test_a_byte_order_mark_is_no_fault(above: Path) -> None:
    """Editors on Windows write one."""
    put(above, "ours", "\ufeff" + entry("ours"))
    assert read(above)[0].keys() == {"ours"}


def test_a_broken_labels_file_breaks_no_list(base: Path, above: Path) -> None:
    """Whoever reads the labels is told; `list` goes on."""
    put(above, "set-a", 'extends = "set-a"\n')
    put(above, "set-a", "", "labels.tsv").write_bytes(b'\xff\xfe"x\tno header\n')
    assert opened(base, above)["set-a"].name == "set-a"


def test_asking_for_a_broken_entry_tells_what_is_wrong(base: Path, above: Path) -> None:
    """Exit 2 for that name alone."""
    put(above, "set-a", 'extends = "set-a"\nverison = "2"\n')
    put(above, "ours", entry("ours"))
    catalog = opened(base, above)
    with pytest.raises(BadCatalog, match="did you mean version") as caught:
        catalog["set-a"]
    assert "--catalog" in (caught.value.hint or "")
    assert catalog["ours"].name == "ours"
    assert "set-a" not in catalog


def test_a_catalog_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadCatalog, match="no catalog folder at") as caught:
        open_catalog([tmp_path / "gone"])
    assert "datasets/" in (caught.value.hint or "")


# ------------------------------------------------------------------ files.tsv


def listing(above: Path, text: str) -> None:
    put(
        above,
        "ours",
        entry("ours", "", '[[files]]\nname = "t.csv"\nrole = "metadata"\n[access]\nkind = "open"\n'),
    )
    put(above, "ours", text, "files.tsv")


def test_many_files_stand_in_a_table(above: Path) -> None:
    """Beside those of the TOML; empty cells are absent, quotes are signs like others, CRLF is an end of line."""
    sha = "0" * 64
    listing(
        above,
        f'name\tsize\tchecksum\trole\turl\r\na "1".png\t12\tsha256:{sha}\timages\thttps://h/a\r\nb.png\t\t\timages\t\r\n',
    )
    files = read(above)[0]["ours"].files
    assert [(file.name, file.size, file.urls) for file in files] == [
        ("t.csv", None, ()), ('a "1".png', 12, ("https://h/a",)), ("b.png", None, ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\trole\na\timages\tx\n", "line 2: 3 fields, the header has 2"),
        ("name\trole\na\timages\nb\n", "line 3: 1 field, the header has 2"),
        ("name\tsize\trole\na\t12 MB\timages\n", "files[a].size: must be a whole number, not text"),
        ("nmae\trole\na\timages\n", "unknown key, did you mean name?"),
        ("name\trole\nt.csv\tmetadata\n", "files[t.csv]: is listed twice"),
        ("name\trole\n../a\timages\n", "must be a plain relative path"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_with_its_place(text: str, said: str, above: Path) -> None:
    listing(above, text)
    assert said in broken(above)["ours"]


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"name\x00\n", b""])
def test_a_list_that_is_none(data: bytes, above: Path) -> None:
    listing(above, "")
    (above / "datasets" / "ours" / "files.tsv").write_bytes(data)
    datasets, issues = read(above)
    assert datasets.keys() | issues.keys() == {"ours"}


def test_facts_of_a_file_that_has_no_role_here(above: Path) -> None:
    """In an overlay they belong to what a host's listing names; in an entry of its own a role is missing."""
    listing(above, "name\tsize\na.png\t12\n")
    assert "files[a.png].role: is missing" in broken(above)["ours"]
    assert "@" not in broken(above)["ours"].partition("issue(s)")[2]


# ------------------------------------------------------------------ asking


def opened(*roots: Path) -> Catalog:
    """These alone: compiling the bundled catalog takes its time."""
    return Catalog(roots, {"fingerprint": [], **build_index(roots)})


def test_an_entry_is_found_by_its_alias(above: Path) -> None:
    put(above, "ours", entry("ours", 'aliases = ["mine", "the-old-name"]'))
    catalog = opened(above)
    assert catalog["the-old-name"].name == catalog["mine"].name == "ours"
    assert "mine" not in list(catalog)


def test_an_unknown_name_is_answered_with_the_nearest(above: Path) -> None:
    """Names and aliases are both proposed."""
    put(above, "ours", entry("ours", 'aliases = ["hospital-set"]'))
    with pytest.raises(UnknownName) as caught:
        opened(above)["hopsital-set"]
    assert caught.value.hint == "did you mean hospital-set?"
    with pytest.raises(UnknownName):
        opened(above)["../ours"]


def test_labels_of_all_catalogs_the_bundled_first(above: Path) -> None:
    path = put(above, "ham10000", "", "labels.tsv")
    found = Catalog((bundled_folder(), above), build_index([above])).label_files("ham10000")
    assert len(found) == 2
    assert found[1] == path


def test_a_vocabulary_of_ones_own_wins(above: Path) -> None:
    (above / "vocabulary").mkdir()
    (above / "vocabulary" / "concepts.tsv").write_text("")
    catalog = Catalog((bundled_folder(), above), build_index([above]))
    assert catalog.vocabulary_file("concepts.tsv") == above / "vocabulary" / "concepts.tsv"
    assert catalog.vocabulary_file("body-sites.tsv") == bundled_folder() / "vocabulary" / "body-sites.tsv"
    with pytest.raises(BadCatalog, match=r"no vocabulary/gone\.tsv"):
        catalog.vocabulary_file("gone.tsv")


# ------------------------------------------------------------------ copies

COPY = """
[[copies]]
name = "elsewhere"
bytes = "likely same"
[[copies.files]]
name = "all.zip"
entry = "store"
replaces = ["a.zip"]
"""
STORE = entry("store") + '\n[[files]]\nname = "all.zip"\nrole = "images"\nurls = ["https://s/all.zip"]\n'


def test_an_overlay_changes_a_copy_by_its_name_and_adds_others(base: Path, above: Path) -> None:
    put(base, "store", STORE)
    put(base, "set-b", entry("set-b", access="") + BASE + ACCESS + COPY)
    more = (
        '[[copies]]\nname = "ours"\nbytes = "same"\n[[copies.files]]\nname = "b.csv"\nreplaces = ["b.csv"]\n'
    )
    put(above, "set-b", 'extends = "set-b"\n[[copies]]\nname = "elsewhere"\nbytes = "re-encoded"\n' + more)
    entries, wrong = read(base, above)
    first, second = entries["set-b"].copies
    assert (wrong, first.name, first.bytes, first.files[0].entry) == ({}, "elsewhere", "re-encoded", "store")
    assert (second.name, second.bytes) == ("ours", "same")


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("bytes", "byte", "unknown key, did you mean bytes?"),
        ('"likely same"', '"likly same"', "'likly same' is not allowed, did you mean likely same?"),
        ('"elsewhere"', '"Else where"', "must be kebab-case"),
        ("replaces", "replace", "unknown key, did you mean replaces?"),
        ('["a.zip"]', '["a.zap"]', "no [[files]] entry 'a.zap', did you mean a.zip?"),
        ('"store"', '"stor"', "no entry 'stor', did you mean store?"),
        ('"all.zip"', '"al.zip"', "no file of store called 'al.zip', did you mean all.zip?"),
        ('entry = "store"', "", "no file of the entry called 'all.zip'"),
        (
            "[[copies.files]]",
            '[[copies.table]]\nreader = "table"\nfile = "c.csv"\n[[copies.files]]',
            "'c.csv'",
        ),
        (
            "[[copies]]",
            '[[copies]]\nname = "elsewhere"\nbytes = "same"\nlisting = "x:"\n[[copies]]',
            "listed twice",
        ),
    ],
)
def test_what_is_wrong_with_a_copy_is_named(base: Path, change: str, to: str, said: str) -> None:
    """With the nearest name; the other entries go on working."""
    put(base, "store", STORE)
    assert change in COPY
    put(base, "set-b", entry("set-b", access="") + BASE + ACCESS + COPY.replace(change, to, 1))
    found = broken(base)
    assert (list(found), said in found["set-b"]) == (["set-b"], True), found
