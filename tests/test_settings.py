"""Settings: what the environment says, and what it cannot say."""

import os
from pathlib import Path

import pytest

from dermdata.config import default_cache_folder, from_environment, parse_rewrite_rules
from dermdata.errors import UsageError
from dermdata.progress import SilentProgress


def test_an_empty_environment_says_nothing() -> None:
    """Also variables that are set to nothing."""
    assert from_environment({}) == {}
    assert (
        from_environment(dict.fromkeys(("DERMDATA_CACHE", "DERMDATA_CATALOG", "DERMDATA_OFFLINE"), "")) == {}
    )


def test_every_variable() -> None:
    """Catalogs are separated as the platform separates paths; empty parts are none."""
    found = from_environment(
        {
            "DERMDATA_CACHE": "/big disk/dermdata",
            "DERMDATA_CATALOG": os.pathsep.join(["/a", "", "/b c"]),
            "DERMDATA_OFFLINE": "1",
            "DERMDATA_REWRITE": "https://=http://proxy/ http://a/=https://b/?x=1",
            "HOME": "/root",
        }
    )
    assert found == {
        "cache": Path("/big disk/dermdata"),
        "catalogs": (Path("/a"), Path("/b c")),
        "offline": True,
        "rewrite": (("https://", "http://proxy/"), ("http://a/", "https://b/?x=1")),
    }


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("a:~/b", ["a", "HOME/b"]),
        ("~:~/b:", ["HOME", "HOME/b"]),
        ("a:./b:b:HOME/b/../b:a:HOME/b", ["a", "b", "HOME/b/../b"]),
        ("a::a/:./a", ["a"]),
        (":b", ["b"]),
    ],
)
@pytest.mark.parametrize("name", ["DERMDATA_CACHE", "DERMDATA_CATALOG"])
def test_folders_are_parted_as_in_path(
    text: str, folders: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each counts once; `~` is the home also behind a colon, where a shell leaves it as it is."""
    home = str(tmp_path / "home")
    monkeypatch.setenv("HOME", home)
    meant = tuple(Path(one.replace("HOME", home)) for one in folders)
    found = from_environment({name: text.replace(":", os.pathsep).replace("HOME", home)})
    if name == "DERMDATA_CACHE":
        assert (found["cache"], found.get("caches_read_only", ())) == (meant[0], meant[1:])
    else:
        assert found == {"catalogs": meant}


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF", " 0 "])
def test_words_for_not_offline(word: str) -> None:
    """`DERMDATA_OFFLINE=0` does not forbid the network."""
    assert from_environment({"DERMDATA_OFFLINE": word}) == {"offline": False}


@pytest.mark.parametrize(
    "word", ["", "https://a", "=http://b/", "a=ftp://b", "a=httpfoo", "a=http:b", "a=https://"]
)
def test_what_is_no_rewrite_rule(word: str) -> None:
    """Both sides are needed, and the target is an http address; the hint shows one."""
    with pytest.raises(UsageError, match="is no rewrite rule") as caught:
        parse_rewrite_rules([word])
    assert "FROM=TO" in (caught.value.hint or "")


def test_a_rewrite_may_hold_an_equals_sign_on_either_side() -> None:
    """FROM ends at the last `=` before the target's scheme."""
    assert parse_rewrite_rules(["https://a/?x==http://b/?y=2"]) == (("https://a/?x=", "http://b/?y=2"),)


def test_the_default_cache_is_only_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at the default creates nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_cache_folder().name == "dermdata"
    assert list(tmp_path.iterdir()) == []


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """The room below prints nothing by itself."""
    silent = SilentProgress()
    silent.begin("a", 3)
    silent.advance("a", -1)
    silent.say("b")
    silent.end("a", "c")
    assert capsys.readouterr() == ("", "")
