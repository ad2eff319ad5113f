"""The command line and the API: the same words, the same bytes, or the same rows."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dermdata as dd
from dermdata.api.browsing import PageServer

OLD = "age >= 40 and diagnosis under 'neoplastic'"
SELECTIONS = {
    "where": ({"where": OLD}, ["--where", OLD]),
    "labels": ({"labels": "malignancy"}, ["--labels", "malignancy"]),
    "dedupe": ({"dedupe": "exact"}, ["--dedupe", "exact"]),
    "sample": ({"sample": 20, "per_class": True, "seed": 3}, ["--sample", "20", "--per-class", "--seed", "3"]),
    "all": (
        {"where": "sex = 'female'", "labels": "malignancy", "dedupe": "exact"},
        ["--where", "sex = 'female'", "--labels", "malignancy", "--dedupe", "exact"],
    ),
}  # fmt: skip
SPLITS = {
    "plain": ({"by": "patient", "seed": 7}, ["--by", "patient", "--seed", "7"]),
    "ratios": ({"ratios": {"a": 0.5, "b": 0.5}}, ["--ratios", "a=0.5,b=0.5"]),
    "folds": ({"folds": 4, "stratify": ("diagnosis", "sex")}, ["--folds", "4", "--stratify", "diagnosis,sex"]),
    "labels": ({"labels": "malignancy", "stable": True}, ["--labels", "malignancy", "--stable"]),
}  # fmt: skip
EXPORTS = (
    "parquet",
    "csv",
    "jsonl",
    "webdataset",
    "huggingface",
    "imagefolder",
    "coco",
    "croissant",
    "masks",
    "nnunet",
)


@pytest.mark.parametrize("case", SELECTIONS)
@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
def test_select(session: dd.Session, run: Callable, tmp_path: Path, case: str, ending: str) -> None:
    options, words = SELECTIONS[case]
    session.select("demo", **options).save(tmp_path / f"api.{ending}")
    assert run("select", "demo", *words, "-o", tmp_path / f"cli.{ending}").code == 0
    assert (tmp_path / f"api.{ending}").read_bytes() == (tmp_path / f"cli.{ending}").read_bytes()


@pytest.mark.parametrize("case", SPLITS)
def test_split(demo: dd.Manifest, run: Callable, tmp_path: Path, case: str) -> None:
    options, words = SPLITS[case]
    parts = demo.split(**options)
    parts.manifest.save(tmp_path / "api.parquet")
    answer = run("split", "demo", *words, "-o", tmp_path / "cli.parquet", "-f", "json")
    assert (tmp_path / "api.parquet").read_bytes() == (tmp_path / "cli.parquet").read_bytes()
    document = json.loads(answer.out)
    assert document["items"] == parts.records.items
    assert document["largest_deviation"] == parts.largest_deviation


@pytest.mark.parametrize("name", EXPORTS)
def test_export(demo: dd.Manifest, run: Callable, tmp_path: Path, name: str) -> None:
    options = {"labels": "malignancy"} if name != "croissant" else {}
    words = ["--labels", "malignancy"] if name != "croissant" else []
    result = demo.export(name, tmp_path / "api" / "out", **options)
    answer = run("export", name, "demo", *words, "-o", tmp_path / "cli" / "out")
    assert answer.code == (8 if result.unusable else 0)
    made = {one: contents(tmp_path / one) for one in ("api", "cli")}
    assert made["api"] == made["cli"]
    assert made["api"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the record of the run that wrote it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".dermdata-export")
    }


def test_stats(demo: dd.Manifest, run: Callable) -> None:
    for by in ((), ("diagnosis", "sex")):
        words = ["--by", ",".join(by)] if by else []
        items = json.loads(run("stats", "demo", *words, "-f", "json").out)["items"]
        assert items == json.loads(json.dumps(demo.stats(by).items))


def test_audit(demo: dd.Manifest, run: Callable) -> None:
    document = json.loads(run("audit", "demo", "-f", "json").out)
    found = demo.audit()
    assert document["items"] == json.loads(json.dumps(found.items))
    assert {key: document[key] for key in found.facts} == found.facts


def test_lock_and_sync(demo: dd.Manifest, session: dd.Session, run: Callable, tmp_path: Path) -> None:
    demo.lock(tmp_path / "api.lock")
    assert run("lock", "demo", "-o", tmp_path / "cli.lock").code == 0
    assert (tmp_path / "api.lock").read_bytes() == (tmp_path / "cli.lock").read_bytes()
    session.sync(tmp_path / "cli.lock").save(tmp_path / "api.parquet")
    assert run("sync", tmp_path / "api.lock", "-o", tmp_path / "cli.parquet").code == 0
    assert (tmp_path / "api.parquet").read_bytes() == (tmp_path / "cli.parquet").read_bytes()


def test_cite(demo: dd.Manifest, run: Callable) -> None:
    items = json.loads(run("cite", "demo", "-f", "json").out)["items"]
    assert [(one["dataset"], one["rows"], one["license"]) for one in items] == [
        (one.dataset, one.rows, one.license) for one in demo.cite().credits
    ]


def test_list_info_and_labels(session: dd.Session, run: Callable) -> None:
    items = json.loads(run("list", "-f", "json").out)["items"]
    frame = session.catalog()
    assert [one["name"] for one in items] == sorted(frame["name"])
    [card] = json.loads(run("info", "demo", "-f", "json").out)["items"]
    assert card["title"] == session.info("demo").title
    words = json.loads(run("labels", "map", "demo", "-f", "json").out)["items"]
    assert words == json.loads(json.dumps(session.labels("demo").items))


def test_verify(session: dd.Session, run: Callable) -> None:
    assert json.loads(run("verify", "demo", "-f", "json").out)["items"] == session.verify("demo").items == []


def test_evaluate(demo: dd.Manifest, session: dd.Session, run: Callable, tmp_path: Path) -> None:
    named = demo.with_labels("malignancy")
    frame = named.where("label is not null").to_pandas(["key", "label"])
    frame.rename(columns={"label": "prediction"}).to_csv(tmp_path / "p.csv", index=False)
    named.save(tmp_path / "truth.parquet")
    words = ["--target", tmp_path / "truth.parquet", "--by", "sex", "--bootstrap", "50", "-f", "json"]
    document = json.loads(run("evaluate", tmp_path / "p.csv", *words).out)
    found = session.evaluate(tmp_path / "p.csv", named, by=["sex"], bootstrap=50)
    assert document["items"] == json.loads(json.dumps(found.items))
    assert document["gaps"] == json.loads(json.dumps(found.facts["gaps"]))


@pytest.mark.parametrize("show", ["summary", "images", "dropped", "conflicts", "unexpressed"])
def test_what_a_selection_shows(demo: dd.Manifest, run: Callable, show: str) -> None:
    words = ["--labels", "malignancy", "--dedupe", "exact", "--show", show]
    document = json.loads(run("select", "demo", *words, "-f", "json").out)
    done = demo.select(labels="malignancy", dedupe="exact")
    rows = getattr(done, show)
    assert document["items"] == [
        {name: row.get(name) for name in rows.columns} for row in json.loads(json.dumps(rows.items))
    ]
    assert {key: document[key] for key in done.counts} == done.counts == done.summary.facts


def test_a_split_in_the_command_line_s_own_words(demo: dd.Manifest, run: Callable, tmp_path: Path) -> None:
    """Shares and columns may be texts: the history has them as they were typed."""
    demo.split(ratios="60,40", stratify="diagnosis, sex").manifest.save(tmp_path / "api.parquet")
    words = ["--ratios", "60,40", "--stratify", "diagnosis, sex"]
    assert run("split", "demo", *words, "-o", tmp_path / "cli.parquet").code == 0
    assert (tmp_path / "api.parquet").read_bytes() == (tmp_path / "cli.parquet").read_bytes()


def test_check_split(session: dd.Session, run: Callable, tmp_path: Path) -> None:
    """Of a manifest, and of a list of images and parts that somebody published."""
    rows = [f"DEMO_{number:04},{'train' if number % 2 else 'test'}" for number in range(1, 121)]
    (tmp_path / "parts.csv").write_text("\n".join(["image_id,split", *rows]), encoding="utf-8")
    answer = run("split", "--check", tmp_path / "parts.csv", "-f", "json")
    found = session.check_split(tmp_path / "parts.csv")
    assert json.loads(answer.out)["items"] == json.loads(json.dumps(found.items))
    assert (answer.code, bool(found.facts["leaks"])) == (1, True)
    session.load("demo").split().manifest.save(tmp_path / "split.parquet")
    assert run("split", "--check", tmp_path / "split.parquet").code == 0
    assert not session.check_split(tmp_path / "split.parquet")


def test_the_plan_of_an_export(demo: dd.Manifest, run: Callable, tmp_path: Path) -> None:
    for name in ("csv", "webdataset", "imagefolder"):
        answer = run("export", name, "demo", "-o", tmp_path / "out", "--dry-run", "-f", "json")
        assert json.loads(answer.out)["items"] == demo.plan_export(name, tmp_path / "out").items
    assert not (tmp_path / "out").exists()


def test_the_page_of_an_audit(demo: dd.Manifest, run: Callable, tmp_path: Path) -> None:
    demo.audit(report=tmp_path / "api.html")
    assert run("audit", "demo", "--report", tmp_path / "cli.html").code == 1
    assert (tmp_path / "api.html").read_bytes() == (tmp_path / "cli.html").read_bytes()


def test_the_page_of_an_evaluation(
    session: dd.Session, run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session.select("demo", labels="malignancy", where="malignancy is not null").save("truth.parquet")
    frame = session.load("truth.parquet").to_pandas(["key", "label"]).dropna()
    frame.rename(columns={"label": "prediction"}).to_csv("p.csv", index=False)
    session.evaluate(
        "p.csv", "truth.parquet", bootstrap=20, report="api.html", figures="api", model_card="api.md"
    )
    words = ["--target", "truth.parquet", "--bootstrap", "20", "--report", "cli.html", "--figures", "cli"]
    assert run("evaluate", "p.csv", *words, "--model-card", "cli.md").code == 0
    assert Path("api.html").read_bytes() == Path("cli.html").read_bytes()
    assert Path("api.md").read_bytes() == Path("cli.md").read_bytes()
    assert {path.name: path.read_bytes() for path in Path("api").iterdir()} == {
        path.name: path.read_bytes() for path in Path("cli").iterdir()
    }


# ------------------------------------------------------------------ browse and exclude


@pytest.fixture
def unwanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A list of three images, one of which is not here, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("unwanted.txt").write_text("demo/DEMO_0001\ndemo/DEMO_0007\ndemo/NOBODY\n", encoding="utf-8")
    return "unwanted.txt"


def test_a_selection_without_what_a_list_names(demo: dd.Manifest, run: Callable, unwanted: str) -> None:
    left = demo.exclude(unwanted)
    assert len(left) == len(demo) - 2
    left.save(Path("api.parquet"))
    assert run("select", "demo", "--exclude", unwanted, "-o", "cli.parquet").code == 0
    assert table_of("api.parquet").equals(table_of("cli.parquet"))


def test_a_split_without_what_a_list_names(demo: dd.Manifest, run: Callable, unwanted: str) -> None:
    demo.exclude(unwanted).split(by="patient", seed=7).manifest.save(Path("api.parquet"))
    words = ["--exclude", unwanted, "--by", "patient", "--seed", "7", "-o", "cli.parquet"]
    assert run("split", "demo", *words).code == 0
    assert table_of("api.parquet").equals(table_of("cli.parquet"))


def test_counts_without_what_a_list_names(demo: dd.Manifest, run: Callable, unwanted: str) -> None:
    items = json.loads(run("stats", "demo", "--exclude", unwanted, "--by", "sex", "-f", "json").out)["items"]
    assert items == json.loads(json.dumps(demo.exclude(unwanted).stats(("sex",)).items))


def test_an_evaluation_without_what_a_list_names(
    demo: dd.Manifest, session: dd.Session, run: Callable, unwanted: str
) -> None:
    named = demo.with_labels("malignancy")
    frame = named.where("label is not null").to_pandas(["key", "label"])
    frame.rename(columns={"label": "prediction"}).to_csv("p.csv", index=False)
    named.save(Path("truth.parquet"))
    words = ["--target", "truth.parquet", "--exclude", unwanted, "--bootstrap", "0", "-f", "json"]
    document = json.loads(run("evaluate", "p.csv", *words).out)
    found = session.evaluate("p.csv", named.exclude(unwanted), bootstrap=0)
    assert document["items"] == json.loads(json.dumps(found.items))
    assert document["n"] == found.facts["n"] == len(frame) - 2


def test_a_page(demo: dd.Manifest, run: Callable, unwanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is about, but for the token and the port."""
    seen = []

    def keep(server: PageServer) -> None:
        seen.append(server.browsing.view() | {"session": ""})
        server._socket.close()

    monkeypatch.setattr(PageServer, "run", keep)
    words = ["--labels", "malignancy", "--exclusions", unwanted, "--no-open"]
    assert run("browse", "demo", *words).code == 0
    with demo.browse(labels="malignancy", exclusions=unwanted):
        pass
    assert seen[0] == seen[1]
    assert seen[0]["exclusions"]["count"] == 2


def table_of(path: str) -> pa.Table:
    """The rows and columns of a manifest, without its history, which names the commands."""
    return pq.read_table(path).replace_schema_metadata()
