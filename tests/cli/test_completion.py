"""What the shell completes: values where an option has some, and only what makes sense where it is asked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata import export
from dermdata.cli.app import app


@pytest.fixture
def completed(demo_cache: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """The completions of a command line's last word, as bash asks for them; demo is in the cache."""

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        settings = {
            "_DERMDATA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
            "DERMDATA_CACHE": str(demo_cache),
        }  # fmt: skip
        capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit):
                app([], prog_name="dermdata")
        return capfd.readouterr().out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dermdata export ", list(export.FORMATS)),
        ("dermdata export imag", ["imagefolder"]),
        ("dermdata stats demo --labels fitz", ["fitzpatrick9", "fitzpatrick3"]),
        ("dermdata labels spaces ham", ["ham7"]),
        ("dermdata stats demo --by sex,ag", ["sex,age"]),
        ("dermdata split demo --stratify mal", ["malignancy", "malignancy_source"]),
        ("dermdata evaluate p.csv --by fitzpatrick_", ["fitzpatrick_band"]),
        ("dermdata list --modality c", ["clinical"]),
        ("dermdata list --access a", ["account", "agreement"]),
        ("dermdata list --has fitz", ["fitzpatrick", "fitzpatrick_range"]),
        ("dermdata list --fetchable yes,a", ["yes,account"]),
        ("dermdata labels tree melanoma-i", ["melanoma-in-situ", "melanoma-invasive"]),
        ("dermdata audit demo --split t", ["train", "test"]),
    ],
)  # fmt: skip
def test_values_are_completed(completed: Callable, line: str, expected: list[str]) -> None:
    assert completed(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "cache remove ",
        "cache bundle ",
        "verify ",
        "stats ",
        "audit ",
        "split ",
        "select ",
        "export csv ",
        "cite ",
        "lock ",
    ],
)
def test_only_cached_names_where_only_these_make_sense(completed: Callable, line: str) -> None:
    assert completed(f"dermdata {line}") == ["demo"]


def test_fetch_offers_models_too(completed: Callable) -> None:
    """As `info` does: they have files and cards."""
    assert completed("dermdata fetch derm-f") == ["derm-foundation"]
    assert completed("dermdata info derm-f") == ["derm-foundation"]
    assert "ham10000" in completed("dermdata fetch ")


@pytest.mark.parametrize(
    "line",
    [
        "labels align ",
        "labels map ",
        "labels review ",
        "select demo --refine ",
    ],
)
def test_no_models_where_only_datasets_make_sense(completed: Callable, line: str) -> None:
    """A model has neither labels nor rows."""
    offered = completed(f"dermdata {line}")
    assert ("ham10000" in offered, "derm-foundation" in offered) == (True, False)
