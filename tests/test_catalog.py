"""Parsing one entry: a closed vocabulary, and every issue of a file at once, with its place."""

import tomllib
from typing import Any

import pytest

from dermdata.catalogs.entries import parse_entry
from dermdata.errors import BadCatalog
from dermdata.model import Access, Dataset, File

LEAST: dict[str, Any] = {
    "name": "demo", "title": "Demo", "kind": "dataset", "summary": "x", "access": {"kind": "open"},
}  # fmt: skip
SHA = f"sha256:{'0' * 64}"


def issues(data: Any) -> list[str]:
    """What is wrong with the data, one issue each."""
    with pytest.raises(BadCatalog) as caught:
        parse_entry(data, "demo.toml")
    first, *lines = caught.value.message.split("\n  ")
    assert first == f"demo.toml has {len(lines)} issue(s):"
    return lines


def of_file(**keys: Any) -> list[str]:
    """What is wrong with a file of these keys, without its place."""
    found = issues({**LEAST, "files": [{"name": "a", "role": "images", **keys}]})
    return [issue.partition(": ")[2] for issue in found]


def of_table(**keys: Any) -> list[str]:
    files = [{"name": "a.csv", "role": "metadata"}]
    return issues({**LEAST, "files": files, "table": [{"reader": "table", **keys}]})


def test_the_least_an_entry_must_say() -> None:
    """Everything else is absent, not guessed."""
    assert parse_entry(LEAST, "x") == Dataset(
        name="demo", title="Demo", kind="dataset", summary="x", access=Access(kind="open")
    )


def test_all_issues_come_at_once_with_their_places() -> None:
    """Types and meaning together: nobody mends a file one error at a time."""
    data = tomllib.loads(
        """
        name = "Demo Set"
        titel = "Demo"
        kind = "dataste"
        summary = 3
        modalities = ["clinical", 7]
        notes = {a = 1}
        [counts]
        images = "many"
        labels = [1]
        [license]
        commercial_use = "no"
        [access]
        kind = "unavailable"
        [[files]]
        name = "../a.zip"
        role = "image"
        size = true
        checksum = "md5:123"
        [[table]]
        reader = "table"
        file = "a.zpi"
        delimiter = ", "
        """
    )
    assert sorted(issues(data)) == sorted(
        [
            "titel: unknown key, did you mean title?",
            "title: is missing",
            "kind: 'dataste' is not allowed, did you mean dataset?",
            "summary: must be text, not a whole number",
            "modalities[1]: must be text, not a whole number",
            "notes[0]: must be text, not a table",
            "counts.images: must be a whole number, not text",
            "counts.labels: must be a table, not a list",
            "license.commercial_use: must be true or false, not text",
            "files[../a.zip].role: 'image' is not allowed, did you mean images?",
            "files[../a.zip].size: must be a whole number, not true or false",
            "name: 'Demo Set' must be kebab-case [a-z0-9-]",
            "access.evidence: is missing: say why it cannot be had",
            "files[../a.zip].checksum: 'md5:123' is no checksum",
            "files[../a.zip].name: must be a plain relative path",
            "table[0].file: no [[files]] entry 'a.zpi', did you mean ../a.zip?",
            "table[0].delimiter: ', ' must be one sign, for example a comma",
        ]
    )


@pytest.mark.parametrize(
    ("data", "kind"), [([], "a list"), ("x", "text"), (3, "a whole number"), (None, "NoneType")]
)
def test_what_is_no_table_at_all(data: Any, kind: str) -> None:
    assert issues(data) == [f"must be a table, not {kind}"]


@pytest.mark.fault(102)
def test_the_order_of_issues_is_the_files() -> None:
    """Row 102: not the hash seed's."""
    unknown = {f"key{n}": 1 for n in range(20)}
    assert issues({**LEAST, **unknown}) == [f"{key}: unknown key" for key in unknown]


@pytest.mark.parametrize("size", [1e3, "1", True, [], 0, -1])
def test_a_size_is_a_positive_whole_number(size: Any) -> None:
    assert of_file(size=size)


@pytest.mark.parametrize("checksum", ["", "md5:", "0" * 64, "sha256:xyz", "crc32:00000000"])
def test_a_checksum_that_is_none(checksum: str) -> None:
    assert of_file(checksum=checksum) == [f"'{checksum}' is no checksum"]


@pytest.mark.fault(100)
@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "C:\\a", "a\nb", "a\0b", "a\rb", "..", "."]
)  # fmt: skip
def test_a_file_stays_where_it_is_put(name: str) -> None:
    """Row 100: names are joined to folders and mirrors, so none may lead out of them."""
    assert of_file(name=name) == ["must be a plain relative path"]


@pytest.mark.parametrize("name", ["a.zip", "train/a b.zip", "ünïcode/图.csv", "...", "..a", "-rf", "~"])
def test_usual_and_odd_but_harmless_names(name: str) -> None:
    assert parse_entry({**LEAST, "files": [{"name": name, "role": "images"}]}, "x").files[0].name == name


@pytest.mark.fault(100)
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "FILE:///etc/passwd", "ftp://host/a", "data:,x", "javascript:1", "//host/a", "host/a", "",
        "https://", "https:///a", "http:a", " https://host/a", "https://host:port/a", "https://[::1/a", "https://host/a\nb",
        "s3://bucket/a",
    ],
)  # fmt: skip
def test_only_http_addresses(url: str) -> None:
    """Row 100: a user's catalog reads no file of the machine and speaks no other protocol."""
    (problem,) = of_file(urls=[url], checksum=SHA)
    assert problem.endswith(("is no http(s) address", "is no address"))


@pytest.mark.fault(100)
def test_http_needs_a_checksum() -> None:
    """Row 100: whoever is on the way could change the bytes, and the first download would be trusted.

    With a checksum http is as good as https, which old atlases do not have; loopback leaves no machine.
    """
    url = "http://host/a"
    assert of_file(urls=[url]) == [f"'{url}' is plain http: it needs a checksum, or https"]
    assert len(of_file(urls=["https://host/a", url], checksum="md5:no")) == 2
    for good in (
        {"urls": [url], "checksum": SHA},
        {"urls": ["http://127.0.0.1:80/a", "http://localhost/a", "http://[::1]/"]},
    ):
        assert parse_entry({**LEAST, "files": [{"name": "a", "role": "images", **good}]}, "x").files


@pytest.mark.fault(100)
def test_a_hospital_may_name_its_own_host() -> None:
    """Row 100: private addresses are the owner's choice; only redirects to them are refused, by `dermdata.http`."""
    data = {
        **LEAST,
        "files": [{"name": "a", "role": "images", "urls": ["https://10.0.0.7/a", "https://pacs.local/a"]}],
    }
    assert len(parse_entry(data, "x").files[0].urls) == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://user:SECRET@host/a", "https://SECRET@host/a", "https://host/a?token=SECRET",
        "https://host/a?x=1&X-Amz-Signature=SECRET",
        "s3://KEY:SECRET@bucket/a",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "key", ["urls", "source", "homepage", "license", "access", "notes", "citation", "facts", "unknown"]
)
def test_no_secret_in_a_catalog_and_none_in_its_refusal(key: str, url: str) -> None:
    """Whatever key it stands in, in running words too: a catalog is shared, and its issues are shown to anybody."""
    data: dict[str, Any] = {**LEAST, "files": [{"name": "a", "role": "images"}]}
    places: dict[str, Any] = {
        "urls": {"files": [{"name": "a", "role": "images", "urls": [url]}]},
        "source": {"files": [{"name": "a", "role": "images", "source": url}]},
        "homepage": {"homepage": url},
        "license": {"license": {"url": url}},
        "access": {"access": {"kind": "account", "steps": f"Open {url} in a browser."}},
        "notes": {"notes": ["x", f"a copy is at {url}, too"]},
        "citation": {"citation": {"bibtex": f"@misc{{a, url={{{url}}}}}"}},
        "facts": {"facts": {"counts.images": url}},
        "unknown": {"unknown": [[{"deep": url}]]},
    }
    found = issues(data | places[key])
    assert any("secrets go into the environment" in issue for issue in found)
    assert "SECRET" not in "".join(found)


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)",
        "data:text/html,<script>",
        "file:///etc/passwd", "vbscript:x", "//host/a", "www.host.example", "https://", "https://[::1", "https://a\x1b[31m",
        "https://a/\u202egpj.exe", "https://a b", "mailto:a@b.example", "",
    ],
)  # fmt: skip
def test_people_are_sent_to_web_pages_only(page: str) -> None:
    """The file's key and the mend are told; a page may be plain http, as old atlases are."""
    whole = {"homepage": page, "license": {"url": page}, "access": {"kind": "open", "url": page}}
    found = issues({**LEAST, **whole})
    assert [issue.partition(":")[0] for issue in found] == ["homepage", "license.url", "access.url"]
    assert all("write the page's, https://" in issue for issue in found)
    good = "http://atlas.example/a?b=c#d"
    assert parse_entry({**LEAST, "homepage": good, "license": {"url": good}}, "x").homepage == good


@pytest.mark.parametrize(
    "doi",
    ["https://doi.org/10.1000/a", "javascript:1", "10/a", "10.1000/", "10.1000/a\nb", "10.1000/\u202ea"],
)
def test_a_doi_is_no_address(doi: str) -> None:
    (problem,) = issues({**LEAST, "citation": {"doi": doi}})
    assert problem.startswith("citation.doi: ")
    assert "write it as 10.1234/abc" in problem


@pytest.mark.parametrize("source", ["dataverse", ":1", "dataverse:", "Data verse:1"])
def test_a_source_is_host_and_id(source: str) -> None:
    assert of_file(source=source) == [f"'{source}' must be <host>:<id>"]


def test_a_file_twice() -> None:
    files = [{"name": "a", "role": "images"}, {"name": "a", "role": "masks"}]
    assert issues({**LEAST, "files": files}) == ["files[a]: is listed twice"]


def test_one_value_stands_for_a_list_of_one() -> None:
    """As in `lesion_id = "id"` beside `lesion_id = ["patient", "id"]`."""
    data = {
        **LEAST,
        "modalities": "clinical",
        "files": {"name": "a", "role": "images", "urls": "https://h/a"},
    }
    assert parse_entry(data, "x").modalities == ("clinical",)
    assert parse_entry(data, "x").files == (File(name="a", role="images", urls=("https://h/a",)),)


@pytest.mark.parametrize("key", ["file", "images"])
def test_a_table_names_only_files_that_there_are(key: str) -> None:
    assert of_table(**{key: "b.csv"}) == [f"table[0].{key}: no [[files]] entry 'b.csv', did you mean a.csv?"]


def test_a_join_names_only_files_that_there_are() -> None:
    assert of_table(join=[{"file": "zzz", "on": "id"}]) == ["table[0].join: no [[files]] entry 'zzz'"]


@pytest.mark.parametrize("encoding", ["", "utf-9", "base64", "rot13", "a\0b"])
def test_an_encoding_that_is_none(encoding: str) -> None:
    assert of_table(encoding=encoding) == [f"table[0].encoding: '{encoding}' is no text encoding"]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"image_id": "id", "label_raw": []}, "columns.label_raw: names no column"),
        ({"image_id": []}, "columns.image_id: names no column"),
        ({"image_id": "id", "differential": ["a", "b"]}, "columns.differential: is one column"),
    ],
)
def test_a_field_comes_from_a_column(columns: dict[str, object], problem: str) -> None:
    """Else a fetch would find out, after the download."""
    assert of_table(columns=columns) == [f"table[0].{problem}"]


@pytest.mark.parametrize("delimiter", ["", ",,", "\n", '"', "§"])
def test_a_delimiter_that_is_none(delimiter: str) -> None:
    assert of_table(delimiter=delimiter) == [
        f"table[0].delimiter: {delimiter!r} must be one sign, for example a comma"
    ]


@pytest.mark.parametrize("pattern", ["", "images", "{a}/{a}", "{}/x", "{1}/x", "{a b}"])
def test_a_pattern_needs_distinct_fields(pattern: str) -> None:
    assert of_table(pattern=pattern) == ["table[0].pattern: needs {fields}, each a word and each once"]
