"""huggingface: what `datasets` loads, and what the card says."""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from dermdata import export
from dermdata.errors import UsageError
from dermdata.export import shards
from dermdata.model import Access, Dataset, DatasetCitation, License
from export.conftest import MakeJob
from export.pictures import photograph, saved
from export.samples import jpeg, row, table


def entry(**terms: Any) -> Dataset:
    return Dataset(
        name="demo", title="The demo: a \"set\"", kind="dataset", summary="Pictures.", access=Access(kind="open"),
        homepage="https://demo.example", license=License(**terms),
        citation=DatasetCitation(bibtex="@misc{demo}", text="Doe 2020"),
    )  # fmt: skip


def header(out: Path) -> Mapping[str, Any]:
    lines = (out / "README.md").read_text().split("---\n")[1].splitlines()
    return {name: json.loads(value) for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.slow
def test_datasets_loads_it(
    job: MakeJob, load_dataset: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    """Splits, images, masks, classes and all columns, from more than one shard."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 4)
    (root / "images" / "m.png").write_bytes(saved(photograph(), "PNG"))
    masked = job().table.to_pylist()
    masked[0]["mask_path"] = "images/m.png"
    masked[1]["diagnosis"] = None
    masked[2]["split"] = "val"
    export.write("huggingface", job(table=table(masked)))
    loaded = load_dataset(str(job().out))
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 7, "validation": 1, "test": 2}
    features = loaded["train"].features
    assert features["label"].names == ["melanocytic-nevus", "melanoma"]
    assert type(features["image"]).__name__ == type(features["mask"]).__name__ == "Image"
    first, second = loaded["train"][0], loaded["train"][1]
    assert (first["image"].size, first["mask"].size, first["label"]) == ((6, 5), (64, 40), 1)
    assert (second["mask"], second["label"]) == (None, None)
    assert first["extra"] == [{"key": "source, col", "value": "nv"}]


def test_images_are_the_files_bytes(job: MakeJob, tmp_path: Path) -> None:
    """And the row's own column `label` is replaced by its number."""
    labeled = job().table.append_column("label", pa.array([f"c{n % 2}" for n in range(12)]))
    export.write("huggingface", job(table=labeled))
    read = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    assert [one["bytes"] for one in read["image"].to_pylist()] == [
        jpeg(number) for number in (0, 1, 3, 4, 6, 7, 9)
    ]
    assert read["label"].to_pylist() == [0, 1, 1, 0, 0, 1, 1]


def test_red_team_13_the_card_shows_words_and_nothing_that_they_would_do(
    job: MakeJob, tmp_path: Path
) -> None:
    """No HTML, link, heading or code of the data's; the header stays one, and the BibTeX one entry."""
    bad = "A\n\n# X <script>alert(1)</script> [o](javascript:1) `c` \x1b]0;pwn\x07\u202e ``` | --- \n---\n- x"
    hostile = Dataset(
        name="demo", title=bad, kind="dataset", summary=bad, access=Access(kind="open"), homepage="javascript:alert(1)",
        license=License(id=bad, url="data:text/html,x", statement=bad),
        citation=DatasetCitation(text=bad, bibtex=f"@misc{{x, title={{{bad}}}}}\n```\n@misc{{evil,}}"),
    )  # fmt: skip
    export.write("huggingface", job(entries={"demo": hostile}))
    facts, text = header(tmp_path / "out"), (tmp_path / "out" / "README.md").read_text()
    assert facts["pretty_name"].startswith("A")
    assert text.splitlines().count("---") == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    tokens = MarkdownIt("commonmark").enable("table").parse(text.split("---\n", 2)[2])
    inline = [part for token in tokens for part in token.children or []]
    assert {part.type for part in inline} <= {"text", "code_inline", "softbreak"}
    assert [part.content for part in inline if part.type == "code_inline"] == ["label", "left-out.csv"]
    assert {token.type for token in tokens}.isdisjoint(
        {"html_block", "blockquote_open", "ordered_list_open", "hr"}
    )
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert len(headings) == 3  # the title, the dataset, where it comes from
    assert [token.info for token in tokens if token.type == "fence"] == ["python", "bibtex", "json"]
    entry = next(token.content for token in tokens if token.info == "bibtex")
    assert (entry.count("{"), entry.count("@") - entry.count("{@}")) == (entry.count("}"), 1)


@pytest.mark.parametrize(
    ("name", "split"),
    [("val", "validation"), ("fold-1", "fold_1"), ("all", "all_"), ("a/b", "a_b"), ("train", "train")],
)
def test_split_names_are_what_datasets_takes(
    job: MakeJob, root: Path, tmp_path: Path, name: str, split: str
) -> None:
    """Letters, digits and underscores."""
    export.write("huggingface", job(table=table([row(root, 0) | {"split": name}])))
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == [
        f"{split}-00000-of-00001.parquet"
    ]


def test_without_a_split_everything_is_train(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """As `load_dataset` names it itself."""
    export.write("huggingface", job(table=table([row(root, 0) | {"split": None, "fold": None}])))
    assert header(tmp_path / "out")["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*"}
    ]


def test_the_card_says_what_it_is(job: MakeJob, tmp_path: Path) -> None:
    """License, task, size, features in the header; source, terms and citation in the text."""
    terms = entry(id="CC0-1.0", commercial_use=True, redistribution=False)
    export.write("huggingface", job(entries={"demo": terms}))
    facts, text = header(tmp_path / "out"), (tmp_path / "out" / "README.md").read_text()
    assert facts["license"] == "cc0-1.0"
    assert facts["task_categories"] == ["image-classification"]
    assert facts["size_categories"] == ["n<1K"]
    assert facts["pretty_name"] == 'The demo: a "set"'
    splits = facts["dataset_info"]["splits"]
    assert [(one["name"], one["num_examples"]) for one in splits] == [("train", 7), ("test", 3)]
    for words in (
        "@misc{demo}",
        "Doe 2020",
        "redistribution: not allowed",
        "https://demo.example",
        "| train | 7 |",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("licenses", "said"),
    [(["CC-BY-4.0"], {"license": "cc-by-4.0"}), (["CC-BY-4.0", "CC0-1.0"], {"license": ["cc-by-4.0", "cc0-1.0"]}),
     (["LicenseRef-X", "CC0-1.0"], {"license": "other", "license_name": "cc0-1.0-and-licenseref-x"}),
     ([None], {"license": "other", "license_name": "not-stated"})],
)  # fmt: skip
def test_licenses_in_the_hubs_own_words(
    job: MakeJob, root: Path, tmp_path: Path, licenses: list[str | None], said: dict[str, object]
) -> None:
    """One, several, or one that the Hub has no id for."""
    export.write(
        "huggingface", job(table=table([row(root, n) | {"license": one} for n, one in enumerate(licenses)]))
    )
    found = header(tmp_path / "out")
    assert {key: value for key, value in found.items() if key.startswith("license")} == said


@pytest.mark.slow
def test_the_cards_features_are_those_of_the_files(job: MakeJob, tmp_path: Path) -> None:
    """As the library itself would write them."""
    import datasets

    export.write("huggingface", job())
    schema = pq.read_schema(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    told = header(tmp_path / "out")["dataset_info"]["features"]
    assert datasets.Features._from_yaml_list(told) == datasets.Features.from_arrow_schema(schema)


def test_a_file_name_is_refused(job: MakeJob) -> None:
    """It is a folder."""
    with pytest.raises(UsageError, match="a folder"):
        export.write("huggingface", job("x.parquet"))
