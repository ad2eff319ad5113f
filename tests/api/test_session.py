"""Sessions and the module's functions: settings, catalog, fetch, verify, locks, and that importing costs nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dermdata as dd
from dermdata.errors import CacheDamaged, CohortDiffers, Offline, UnknownName, UsageError


def test_the_package_shows_what_it_has() -> None:
    names = dir(dd)
    assert {
        "load",
        "fetch",
        "catalog",
        "info",
        "select",
        "verify",
        "evaluate",
        "sync",
        "lock",
        "labels",
    } <= set(names)
    for name in names:
        assert getattr(dd, name) is not None
    with pytest.raises(AttributeError):
        dd.lod  # noqa: B018


def test_no_room_takes_a_function_s_name() -> None:
    """Whatever is imported first, `dermdata.fetch` stays a function."""
    code = (
        "import pkgutil, importlib, dermdata\n"
        "for one in pkgutil.walk_packages(dermdata.__path__, 'dermdata.'):\n"
        "    if '__main__' not in one.name: importlib.import_module(one.name)\n"
        "assert all(callable(getattr(dermdata, name)) for name in dermdata.HOMES)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_loads_no_heavy_library() -> None:
    code = (
        "import sys, dermdata\n"
        "heavy = {'pandas', 'pyarrow', 'numpy', 'PIL', 'httpx', 'httpcore', 'duckdb', 'rich', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_environment_s_settings_are_the_module_s(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMDATA_CACHE", str(fetched))
    assert len(dd.load("demo", download=False)) == 120
    assert not dd.verify("demo")


def test_the_catalog_is_a_frame(session: dd.Session) -> None:
    frame = session.catalog()
    assert {"name", "title", "images", "license", "cached", "fetchable"} <= set(frame)
    assert frame.set_index("name").loc["demo", ["cached", "fetchable"]].all()
    assert not frame.set_index("name").loc[
        "charm" if "charm" in set(frame["name"]) else "dermis", "fetchable"
    ]
    assert "model" in set(session.catalog(kind="all")["kind"])
    assert session.info("demo").version == "1.0"
    with pytest.raises(UnknownName) as caught:
        session.info("demmo")
    assert "demo" in str(caught.value.hint)


def test_what_is_not_here_is_fetched_unless_told(tmp_path: Path) -> None:
    session = dd.open_session(cache=tmp_path / "empty", progress=False)
    with pytest.raises(UsageError, match="not in the cache"):
        session.load("demo", download=False)
    assert len(session.load("demo")) == 120
    assert len(session.fetch("demo")) == 120


def test_an_offline_session_says_so(tmp_path: Path) -> None:
    session = dd.open_session(cache=tmp_path, offline=True, progress=False)
    with pytest.raises(Offline):
        session.load("pad-ufes-20")


def test_a_silent_session_writes_nothing(fetched: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dd.open_session(cache=fetched, progress=False).load("demo").where("age > 40").split()
    assert capfd.readouterr() == ("", "")
    dd.open_session(cache=fetched).load("demo").where("age > 40")
    out, err = capfd.readouterr()
    assert (out, "rows" in err) == ("", True)


def test_verify_finds_what_was_altered(own_cache: Path) -> None:
    session = dd.open_session(cache=own_cache, progress=False)
    path = session.load("demo")[2].path
    assert path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    [wrong] = session.verify()
    assert (wrong["status"], wrong["path"].endswith("DEMO_0003.jpg")) == ("modified", True)
    assert not session.verify(quick=True)


def test_a_lock_is_rebuilt_or_refused(own_cache: Path, tmp_path: Path) -> None:
    session = dd.open_session(cache=own_cache, progress=False)
    cohort = session.load("demo").where("sex = 'female'").split(by="patient").manifest
    again = session.sync(cohort.lock(tmp_path / "c.lock"))
    assert again.table.equals(cohort.table)
    path = again[0].path
    assert path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CohortDiffers):
        session.sync(tmp_path / "c.lock")
    with pytest.raises(CacheDamaged):
        cohort.lock(tmp_path / "d.lock")


def test_label_words_are_records(session: dd.Session) -> None:
    words = session.labels("ham10000")
    assert {"akiec", "mel", "nv"} <= {one["raw_label"] for one in words}
    assert list(words.to_pandas()) == list(words.columns)
    assert len(words[:2]) == 2


def test_predictions_may_be_a_frame_a_table_or_a_file(session: dd.Session, tmp_path: Path) -> None:
    test = session.load("demo").with_labels("malignancy")
    frame = (
        test.where("label is not null").to_pandas(["key", "label"]).rename(columns={"label": "prediction"})
    )
    frame.to_csv(tmp_path / "p.csv", index=False)
    answers = [session.evaluate(one, test, bootstrap=0, by=["sex"]) for one in (frame, tmp_path / "p.csv")]
    assert answers[0].to_pandas().equals(answers[1].to_pandas())
    accuracy = [one for one in answers[0] if one["metric"] == "accuracy" and one["by"] is None]
    assert accuracy[0]["estimate"] == 1.0


def test_the_session_is_where_its_cache_is(fetched: Path) -> None:
    assert str(fetched) in repr(dd.open_session(cache=os.fspath(fetched)))
