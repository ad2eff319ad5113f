"""Which column is which: by names in several languages and by what stands in them, never by one of them alone."""

from collections.abc import Sequence

import pytest

from dermdata.closed_words import CLOSED_WORDS
from dermdata.inference.columns import (
    JUDGES,
    ColumnGuesses,
    Surroundings,
    count_weighed,
    is_age,
    lacks_header,
    read_column,
    skin_type,
    skin_type_range,
    split_camel_case,
)
from dermdata.inference.guessing import guess_columns, name_likeness
from dermdata.inference.one_hot import choose_labels, guess_flags
from dermdata.inference.words import VALUE_WORDS
from dermdata.model import ENTRY_COLUMNS

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
    endings = [read_column("isic_id", IMAGES), read_column("file", [f"{one}.JPG" for one in IMAGES])]
    assert guess_columns(endings, AROUND).views == []


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
    assert set(JUDGES) <= set(ENTRY_COLUMNS)
    closed = [field for field in VALUE_WORDS if field in CLOSED_WORDS]
    assert [field for field in closed if not set(VALUE_WORDS[field]) <= set(CLOSED_WORDS[field])] == []
    assert closed == ["sex", "confirmation"]


# ------------------------------------------------------------------ labels that are more than a word


@pytest.mark.parametrize(
    "words",
    [
        ["Benign:Melanocytic:Nevus", "Malignant:Melanoma"],  # paths, as the ISIC Archive writes them
        ["Skin > Tumor > BCC", "Skin > Nevus"],
        ["nodular melanoma, ulcerated", "irritated nevus"],  # a diagnosis among other words
        ["Nevus", "Other"],  # none of the column's diagnoses
        ["melanoma", "Non-melanoma"],
        ["nevus", "healthy skin"],
        ["nv", "mel", "bcc", *(f"code{number}" for number in range(17))],  # a few known ones are no chance
    ],
)
def test_labels_are_known_by_what_they_hold(words: Sequence[str]) -> None:
    found = guess(image=IMAGES, label=(list(words) * 20)[:40])
    assert found == {"image": "image", "label_raw": "label"}


@pytest.mark.parametrize(
    "words",
    [
        ["ajb", "nv"],  # one known word may be a chance
        ["no", "not yet"],
        ["a mild case", "a severe case"],
        ["renevus", "melanomatic"],  # parts of words are none
    ],
)
def test_a_label_of_which_little_is_known_is_asked(words: Sequence[str]) -> None:
    assert ask(image=IMAGES, label=list(words) * 20) == {("label_raw", "label")}


def test_words_that_are_all_diagnoses_are_asked_whatever_they_are_called() -> None:
    """They may as well be what was suspected, or what the family had."""
    assert ask(image=IMAGES, Verdacht=["nevus", "melanoma"] * 20) == {("label_raw", "Verdacht")}
    assert ask(image=IMAGES, label=["nevus", "mel"] * 20, Verdacht=["nevus", "melanoma"] * 20) == set()


def test_of_several_labels_the_one_that_is_called_so_is_taken() -> None:
    """Levels and groups stand beside it, and their words are known better."""
    full = ["Benign:Nevus", "Malignant:Melanoma", "Benign:Rare thing", "Benign:Nevus"] * 10
    level = ["Benign Nevus", "melanoma", "nevus", "nevus"] * 10
    assert guess(image=IMAGES, diagnosis_1=level, diagnosis=full)["label_raw"] == "diagnosis"
    assert guess(image=IMAGES, three_way_label=["nevus", "mel"] * 20, label=["nevus", "bcc"] * 20) == {
        "image": "image",
        "label_raw": "label",
    }


@pytest.mark.parametrize(
    ("words", "is_weighed"),
    [
        (["{'nevus': 0.6, 'melanoma': 0.4}", "{'bcc': 1}"], True),
        (["{'nevus': 0.6}", "{}"], True),
        (["{'width': 0.6}", "{'height': 1}"], False),
        (["{'nevus': 'likely'}", "{'bcc': 'no'}"], False),
        (["{'nevus': 0.6}", "nevus"], False),
        (["{" * 30_000, "{'nevus': 1}"], False),
    ],
)
def test_weights_of_diagnoses_are_label_and_differential(words: Sequence[str], is_weighed: bool) -> None:
    """A dictionary of diagnoses can be nothing else; each cell's words are counted."""
    found = guess(image=IMAGES, opinion=list(words) * 20)
    weighed = {"differential": "opinion", "label_raw": "opinion"} if is_weighed else {}
    assert found == {"image": "image", **weighed}


def test_weighed_words_are_counted_by_the_cells_that_name_them() -> None:
    cells = {"{'nevus': 0.6, 'melanoma': 0.4}": 3, "{'nevus': 1.0}": 2, "{}": 9, "what": 1}
    assert count_weighed(cells) == {"nevus": 5, "melanoma": 3}


# ------------------------------------------------------------------ without a header line


@pytest.mark.parametrize(
    ("lines", "lacks"),
    [
        ((["ISIC_1", "benign"], ["ISIC_2", "benign"]), True),
        ((["benign", "ISIC_1.jpg"], ["benign", "ISIC_2.jpg"]), True),
        ((["image", "label"], ["ISIC_1", "benign"]), False),
        ((["ISIC_1", "label"], ["x", "benign"]), False),  # a column may be called like a picture
        ((["ISIC_1"], ["label"]), False),
        ((["ISIC_1", "Diagnose"], ["ISIC_2", "benign"]), False),  # a picture may be called like a column
        ((["", ""], ["ISIC_1", "benign"]), False),
    ],
)
def test_a_first_line_that_names_a_picture_is_a_row(lines: tuple[list[str], list[str]], lacks: bool) -> None:
    assert lacks_header(*lines, AROUND.is_image) == lacks


def test_columns_without_a_name_are_known_by_their_words() -> None:
    """Names that are none speak against nothing; codes of which nobody knows what they are become a question."""

    def look(*columns: Sequence[str]) -> ColumnGuesses:
        return guess_columns(
            [read_column(f"column {place}", words, is_named=False) for place, words in enumerate(columns, 1)],
            AROUND,
        )

    found = look(IMAGES, ["nevus", "melanoma"] * 20)
    assert {field: one.column for field, one in found.sure.items()} == {
        "image": "column 1",
        "label_raw": "column 2",
    }
    found = look(IMAGES, ["0.0", "1.0"] * 20)
    assert [(one.field, one.column) for one in found.questions] == [("label_raw", "column 2")]
    assert "0.0, 1.0" in found.questions[0].evidence
    assert look(IMAGES, [f"note {number}" for number in range(40)]).questions == []


# ------------------------------------------------------------------ skin types, folds


@pytest.mark.parametrize(
    ("word", "pair"),
    [
        ("12", "1-2"),
        ("3-4", "3-4"),
        ("V-VI", "5-6"),
        ("FST I/II", "1-2"),
        ("23", None),
        ("1", None),
        ("", None),
    ],
)
def test_pairs_of_skin_types(word: str, pair: str | None) -> None:
    assert skin_type_range(word) == pair


def test_pairs_and_glued_types_come_with_their_meaning() -> None:
    pairs = guess_columns([read_column("skin_tone", ["12", "34", "56"] * 9)], AROUND).sure[
        "fitzpatrick_range"
    ]
    assert pairs.values == {"12": "1-2", "34": "3-4", "56": "5-6"}
    glued = guess_columns([read_column("fst", ["FST2", "FST3", "IV"] * 9)], AROUND).sure["fitzpatrick"]
    assert glued.values == {"FST2": "2", "FST3": "3"}


@pytest.mark.parametrize(
    ("words", "is_fold"),
    [
        (["0", "1", "2"], True),
        (["fold1", "Fold 2"], True),
        (["1"], False),
        (["a", "1"], False),
        (["0.1", "0.2"], False),
    ],
)
def test_folds_are_a_few_numbers(words: Sequence[str], is_fold: bool) -> None:
    assert ("fold_official" in guess(image=IMAGES, fold=(list(words) * 40)[:40])) == is_fold


def test_three_words_of_a_name_are_no_chance_wherever_they_stand() -> None:
    """If the words fit as well."""
    name = "dermatologist_fitzpatrick_skin_type_label_1"
    assert guess(**{name: ["FST1", "FST2"] * 20}) == {"fitzpatrick": name}
    assert guess(**{name: ["YES", "NO"] * 20}) == {}


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


def test_a_few_classes_among_other_flags_are_no_classes_where_most_rows_have_none() -> None:
    """A sign that is called like a diagnosis is one of many concepts; where each row has a class they are classes."""
    signs = [("1", "0", "1"), *[("0", "0", "1")] * 8, ("0", "1", "0")]
    assert flags(signs, "MEL", "NV", "itch") is None
    classes = [("1", "0", "1"), ("0", "1", "1")] * 5
    assert flags(classes, "MEL", "NV", "itch") == ("one_hot", ("MEL", "NV"))


@pytest.mark.parametrize(
    ("histology", "label"),
    [(["nevus", "melanoma", "", ""], "classes"), (["nevus", "melanoma", "nevus", "nevus"], "column")],
)
def test_of_a_column_and_classes_the_label_is_what_says_more_rows(histology: list[str], label: str) -> None:
    """The other one is a question, or nothing."""
    cells = {"diagnosis": histology * 10, "MEL": ["1", "0", "0", "1"] * 10, "NV": ["0", "1", "1", "0"] * 10}
    columns = [read_column(*one) for one in cells.items()]
    found, classes = choose_labels(
        guess_columns(columns, AROUND), guess_flags(columns, cells, AROUND.is_diagnosis), columns
    )
    asked = [(one.field, one.column) for one in found.questions]
    if label == "classes":
        assert ("label_raw" in found.sure, bool(classes), asked) == (
            False,
            True,
            [("label_raw", "diagnosis")],
        )
    else:
        assert (found.sure["label_raw"].column, classes, asked) == ("diagnosis", None, [])


def test_of_a_large_table_only_columns_of_a_field_s_name_are_looked_at_whole() -> None:
    """Twenty columns of half a million measurements are no half hour: what is not called so is judged by a sample."""
    asked: list[str] = []

    def note(word: str) -> bool:
        asked.append(word)
        return word.startswith("ISIC_")

    around = Surroundings(is_image=note, is_diagnosis=note, find_site=lambda word: None)
    size = [str(number / 7) for number in range(20_000)]
    found = guess_columns([read_column(f"size_{place}", size) for place in range(5)], around)
    assert (found.sure, len(asked) < 20_000) == ({}, True)
    found = guess_columns([read_column("anything", [f"ISIC_{number}" for number in range(20_000)])], around)
    assert found.sure["image"].evidence.endswith("20,000 of 20,000 words name an image that is there")
