"""Which column is which: by names in several languages and by what stands in them, never by one of them alone."""

from collections.abc import Sequence

import pytest

from dermdata.inference.columns import (
    JUDGES,
    Surroundings,
    guess_columns,
    is_age,
    name_likeness,
    read_column,
    skin_type,
    split_camel_case,
)
from dermdata.inference.one_hot import guess_flags
from dermdata.inference.words import VALUE_WORDS
from dermdata.manifest.schema import MAPPABLE
from dermdata.model import CLOSED_WORDS

FILES = {f"isic_{number}" for number in range(40)}
DIAGNOSES = {"nevus", "nv", "melanoma", "mel", "bcc", "df", "basal cell carcinoma"}
SITES = {"back": "trunk-posterior-trunk", "face": "head-and-neck-head-face", "palms/soles": ""}
AROUND = Surroundings(
    is_image=lambda word: word.lower().removesuffix(".jpg") in FILES,
    is_diagnosis=lambda word: word.lower() in DIAGNOSES,
    find_site=lambda word: SITES.get(word.lower()),
)
IMAGES = [f"ISIC_{number}" for number in range(40)]


def guess(**columns: Sequence[str]) -> dict[str, str]:
    """Field -> column of what is sure."""
    found = guess_columns([read_column(name, words) for name, words in columns.items()], AROUND)
    return {field: one.column for field, one in found.sure.items()}


def ask(**columns: Sequence[str]) -> set[tuple[str, str]]:
    found = guess_columns([read_column(name, words) for name, words in columns.items()], AROUND)
    return {(one.field, one.column) for one in found.questions}


def test_a_table_as_ham10000_has_it() -> None:
    """Names that say what they are, and words that are known."""
    found = guess(
        lesion_id=[f"HAM_{number // 2}" for number in range(40)],
        image_id=IMAGES,
        dx=["nv", "mel"] * 20,
        dx_type=["histo", "follow_up"] * 20,
        age=["45.0", "80", ""] * 13 + ["5"],
        sex=["male", "female", "unknown", "male"] * 10,
        localization=["back", "face"] * 20,
        dataset=["vidir"] * 40,
    )
    assert found == {
        "image": "image_id", "lesion_id": "lesion_id", "label_raw": "dx", "confirmation": "dx_type", "age": "age",
        "sex": "sex", "body_site": "localization",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "patient", "age", "sex", "words"),
    [
        ("Bild", "PatNr", "Alter", "Geschlecht", "wm"),
        ("imagen", "Id_Paciente", "Edad", "Sexo", ["Mujer", "Hombre"]),
        ("imagem", "paciente", "idade", "gênero", ["FEMININO", "MASCULINO"]),
        ("immagine", "paziente", "età", "sesso", ["femmina", "maschio"]),
        ("fichier", "id patient", "âge", "sexe", ["femme", "homme"]),
    ],
)
def test_tables_in_other_languages(
    image: str, patient: str, age: str, sex: str, words: Sequence[str]
) -> None:
    """Case, accents and punctuation do not matter."""
    found = guess(
        **{
            image: IMAGES,
            patient: [f"P{number // 3}" for number in range(40)],
            age: [str(20 + number) for number in range(40)],
            sex: list(words) * 20,
        }
    )
    assert found.pop("image") == image
    assert found.pop("patient_id") == patient
    assert found.pop("sex") == sex
    assert found in ({"age": age}, {})  # `âge` is a name of no list: it is asked, if at all


def test_what_can_be_nothing_else_needs_no_name() -> None:
    """Names of the very files, words for female and male."""
    assert guess(a=IMAGES, b=["f", "m"] * 20) == {"image": "a", "sex": "b"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("target", ["0", "1"] * 20),  # a class, but which?
        ("label", ["3", "7"] * 20),
        ("number", ["1", "2", "3", "4", "5", "6"] * 6),  # no skin types
        ("patient", ["P1"] * 40),  # all of one
        ("site", ["Zurich", "Basel"] * 20),
        ("group", ["train", "test"] * 20),
        ("x", ["I", "II"] * 20),
    ],
)
def test_a_name_or_words_alone_are_never_sure(name: str, words: Sequence[str]) -> None:
    """They are a question at most."""
    assert guess(picture=IMAGES, **{name: words}) == {"image": "picture"}


def test_a_label_in_words_that_nobody_knows_is_a_question() -> None:
    """The name says that it is one; the words are for the person to decide."""
    assert ask(Bild=IMAGES, Diagnose=["Muttermal", "Basaliom"] * 20) == {("label_raw", "Diagnose")}


def test_each_column_is_one_field_and_each_field_one_column() -> None:
    """The surer guess takes it: of two columns that name the images the one that is called so."""
    found = guess(image=IMAGES, isic=[f"{one}.jpg" for one in IMAGES])
    assert found == {"image": "image"}


def test_several_pictures_of_a_row_are_views() -> None:
    """Columns that name different files; the same files twice are no views."""
    half = [read_column("derm", IMAGES[:20]), read_column("clinic", IMAGES[20:])]
    assert [one.column for one in guess_columns(half, AROUND).views] == ["derm", "clinic"]
    same = [read_column("image", IMAGES), read_column("file", IMAGES)]
    assert guess_columns(same, AROUND).views == []


@pytest.mark.parametrize("word", ["45", "45.0", "85+", "40-44", "AGE_40_TO_49", "5 years", "0"])
def test_ages_as_people_write_them(word: str) -> None:
    assert is_age(word)


@pytest.mark.parametrize("word", ["", "abc", "1980", "2024-01-02", "P45x", "-3 -4 -5"])
def test_what_is_no_age(word: str) -> None:
    assert not is_age(word)


@pytest.mark.parametrize(
    ("word", "number"),
    [("IV", "4"), ("FST6", "6"), ("type 2", "2"), ("3.0", "3"), ("7", None), ("x", None), ("", None)],
)
def test_skin_types_as_people_write_them(word: str, number: str | None) -> None:
    assert skin_type(word) == number


def test_names_are_likened_by_whole_words() -> None:
    """`percentage` is no age, `image_quality` is a little of an image."""
    assert split_camel_case("PatientID") == "Patient ID"
    assert name_likeness("percentage", "age") == 0
    assert 0 < name_likeness("image quality", "image") < 1


def test_words_that_say_nothing_are_counted_as_rows_alone() -> None:
    column = read_column("age", ["AGE_UNKNOWN", "n/a", "", "45"])
    assert (column.rows, column.words) == (4, {"45": 1})


def test_what_is_inferred_can_be_said_in_an_entry() -> None:
    """Every field is a column of the manifest, every word one that its column may hold."""
    assert set(JUDGES) <= set(MAPPABLE)
    closed = [field for field in VALUE_WORDS if field in CLOSED_WORDS]
    assert [field for field in closed if not set(VALUE_WORDS[field]) <= set(CLOSED_WORDS[field])] == []
    assert closed == ["sex", "confirmation"]


# ------------------------------------------------------------------ columns of 0 and 1


def flags(rows: Sequence[Sequence[str]], *names: str) -> tuple[str, tuple[str, ...]] | None:
    cells = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns = [read_column(name, words) for name, words in cells.items()]
    found = guess_flags(columns, cells, AROUND.is_diagnosis)
    return (found.field, found.columns) if found and found.is_sure else None


def test_one_class_a_row_is_one_hot() -> None:
    rows = [("1.0", "0.0", "0.0"), ("0.0", "1.0", "0.0"), ("0.0", "0.0", "1.0")]
    assert flags(rows, "MEL", "NV", "DF") == ("one_hot", ("MEL", "NV", "DF"))


def test_rows_without_a_class_are_counted() -> None:
    cells = {"MEL": ["1", "0", "0"], "NV": ["0", "1", "0"]}
    found = guess_flags([read_column(*one) for one in cells.items()], cells, AROUND.is_diagnosis)
    assert found
    assert (found.none_set, "1 of 3 rows has none" in found.evidence) == (1, True)


def test_several_in_a_row_are_no_classes() -> None:
    """Concepts, which are asked; names that no diagnosis has are no classes either."""
    rows = [("1", "1", "0"), ("0", "1", "1"), ("1", "0", "0")]
    assert flags(rows, "MEL", "NV", "DF") is None
    assert flags([("1", "0"), ("0", "1")], "biopsied", "smoker") is None
