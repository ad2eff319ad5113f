"""Words for sex and body sites in the languages that tables come in, and letters that two languages use otherwise."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer
from dermdata.api.catalog_words import read_catalog_words
from dermdata.api.resources import Resources
from dermdata.config import Settings
from dermdata.inference.columns import JUDGES, Surroundings, read_column
from dermdata.vocabulary.terms import plain_term

Cli = Callable[..., Answer]
NOWHERE = Surroundings(is_image=lambda _: False, is_diagnosis=lambda _: False, find_site=lambda _: None)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return read_catalog_words(Resources(Settings(cache=tmp_path_factory.mktemp("cache")))).list_sites()


@pytest.mark.parametrize(
    "words",
    [
        {"m\u00e4nnlich": "male", "weiblich": "female"},
        {"m": "male", "w": "female", "d": "other"},
        {"masculino": "male", "femenino": "female"},
        {"Hombre": "male", "Mujer": "female"},
        {"H": "male", "M": "female"},
        {"M": "male", "F": "female"},
        {"H": "male", "F": "female"},
        {"Masculin": "male", "F\u00e9minin": "female"},
        {"MASCULINO": "male", "FEMININO": "female"},
        {"maschio": "male", "femmina": "female"},
        {"erkek": "male", "kad\u0131n": "female"},
        {"E": "male", "K": "female"},
        {"\u7537": "male", "\u5973": "female"},
        {"\u7537\u6027": "male", "\u5973\u6027": "female"},
    ],
    ids=lambda words: "-".join(words),
)
def test_sex_in_seven_languages(words: Mapping[str, str]) -> None:
    """Whatever the column is called: the words can be nothing else."""
    judged = JUDGES["sex"](read_column("x", [*words] * 4), NOWHERE)
    assert judged.values == words
    assert judged.alone


@pytest.mark.parametrize(
    ("words", "female"), [("HMF", "F"), ("MW", "W"), ("M", None), ("HM", "M"), ("EKM", "K")]
)
def test_a_letter_means_what_those_beside_it_say(words: str, female: str | None) -> None:
    """M is mujer beside H alone, and male in every other company."""
    values = JUDGES["sex"](read_column("x", list(words)), NOWHERE).values
    assert {word for word, sex in values.items() if sex == "female"} == ({female} if female else set())


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ("trunk", ["torso", "Trunk", "Rumpf", "tronco", "torse", "\u8eaf\u5e72"]),
        (
            "trunk-posterior-trunk",
            ["R\u00fccken", "Ruecken", "RUCKEN", "espalda", "dos", "schiena", "costas", "s\u0131rt", "\u80cc\u90e8"],
        ),
        ("head-and-neck-head-face", ["Gesicht", "cara", "visage", "viso", "rosto", "y\u00fcz", "\u8138"]),
        ("upper-extremity", ["arm", "Arm", "brazo", "bras", "braccio", "bra\u00e7o", "KOL", "\u624b\u81c2"]),
        ("lower-extremity-foot", ["Fu\u00df", "FUSS", "pie", "pied", "piede", "p\u00e9", "ayak", "\u811a"]),
        ("lower-extremity", ["leg", "Bein", "pierna", "jambe", "gamba", "perna", "bacak", "\u817f"]),
        (None, ["testa", "xyz", "Brustwirbel", ""]),
    ],
)  # fmt: skip
def test_body_sites_in_seven_languages(sites: dict[str, str], site: str | None, words: list[str]) -> None:
    """Without accents and in capitals too; what two languages call otherwise is none (testa: head, forehead)."""
    assert {word: sites.get(plain_term(word)) for word in words} == dict.fromkeys(words, site)


def test_a_spanish_table_in_one_command(cli: Cli, tmp_path: Path) -> None:
    """H and M, espalda and brazo: the entry says what they mean."""
    (tmp_path / "fotos").mkdir()
    lines = ["imagen;sexo;localizaci\u00f3n;diagn\u00f3stico"]
    for number in range(4):
        Image.new("RGB", (8, 8), (number * 60, 9, 9)).save(tmp_path / f"fotos/{number}.png")
        lines.append(
            f"{number}.png;{'HM'[number % 2]};{('espalda', 'brazo')[number % 2]};{('Nevo', 'sarna')[number % 2]}"
        )
    (tmp_path / "t.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    words = ("add", "own", tmp_path / "fotos", "--table", tmp_path / "t.csv", "-o", tmp_path / "lab")
    added = cli(*words, "--accept", "all")
    assert added.code == 0, added.err
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert [(row["sex"], row["body_site"], row["diagnosis"]) for row in rows[:2]] == [
        ("male", "trunk-posterior-trunk", "melanocytic-nevus"),
        ("female", "upper-extremity", "scabies"),
    ]
