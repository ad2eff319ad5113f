"""The concept tree, the label spaces, and the search."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.errors import BadCatalog, UnknownName, UsageError
from dermdata.vocabulary import Vocabulary, find_concepts, parse_body_sites, parse_vocabulary, tsv
from dermdata.vocabulary.concepts import CONCEPT_COLUMNS, SITE_COLUMNS, SLUG
from support.bundled_labels import labels, vocabulary


def concepts(*rows: str) -> str:
    """A concepts.tsv of `id parent level malignancy` rows; `-` is no parent."""
    full = []
    for row in rows:
        ident, parent, level, malignancy = row.split(" ")
        full.append([ident, ident.title(), "" if parent == "-" else parent, level, malignancy, *[""] * 5])
    return tsv.rows_to_text(CONCEPT_COLUMNS, full)


# ------------------------------------------------------------------ the bad day


@pytest.mark.parametrize(
    ("rows", "issue"),
    [
        (["a - root mixed", "b nowhere group benign"], "line 3: unknown parent 'nowhere' of 'b'"),
        (["a - root mixed", "b - root mixed"], "one concept without a parent, not 2: a, b"),
        (["a - root mixed", "b c group benign", "c b group benign"], "line 3: 'b' is its own ancestor"),
        (["a - root mixed", "b a group benign", "b a group benign"], "'b' stands on line 3 already"),
        (["a - root mixed", "B_x a group benign"], "'B_x' is no slug"),
        (["a - root mixed", "b a species benign"], "unknown level 'species'"),
        (["a - root mixed", "b a group nasty"], "unknown malignancy 'nasty'"),
        (["a - root mixed", "b a root benign"], "the concept without parent is the root"),
        ([], "one concept without a parent, not 0"),
    ],
)
def test_a_broken_tree_is_refused_with_its_place(rows, issue):
    """Each kind of damage is named, with its line where it has one."""
    with pytest.raises(BadCatalog) as caught:
        parse_vocabulary(concepts(*rows), "my.tsv")
    assert issue in caught.value.message
    assert "my.tsv" in caught.value.message


def test_all_issues_of_a_file_are_reported_at_once():
    """Nobody mends a file one error at a time."""
    text = concepts("a - root mixed", "b nowhere group benign", "c a species nasty")
    with pytest.raises(BadCatalog) as caught:
        parse_vocabulary(text)
    assert "has 3 issue(s)" in caught.value.message


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("", "the header must be"),
        ("id,label\n", "the header must be"),
        ("\t".join(CONCEPT_COLUMNS) + "\na\tb\n", "line 2: 2 fields instead of 10"),
        ("\t".join(CONCEPT_COLUMNS) + '\na\t"b"c\t\t\t\t\t\t\t\t\n', "line 2:"),
    ],
)
def test_a_file_that_is_no_table_is_refused(text, issue):
    """Another header, a short row and a stray quote are errors, never guesses."""
    with pytest.raises(BadCatalog, match=issue):
        parse_vocabulary(text)


@pytest.mark.parametrize("ask", ["path", "name", "malignancy", "children", "descendants", "leaves"])
def test_an_unknown_concept_gets_a_near_miss(ask):
    """A typo is answered with the concept that was meant."""
    with pytest.raises(UnknownName) as caught:
        getattr(vocabulary(), ask)("melanomma")
    assert caught.value.near[0] == "melanoma"
    assert "unknown concept 'melanomma'" in caught.value.message


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("nevus", ["melanocytic-nevus"]),  # by its letters: reed-nevus, halo-nevus, blue-nevus
        ("mole", ["melanocytic-nevus"]),
        ("BCC", ["basal-cell-carcinoma"]),
        ("eczema", ["dermatitis"]),
        ("wart", ["viral-wart"]),
        ("Basal cell carcinoma", ["basal-cell-carcinoma"]),
    ],
)
def test_an_unknown_concept_is_first_what_is_called_so(word: str, meant: list[str]) -> None:
    """To follow another hint would be a wrong label."""
    with pytest.raises(UnknownName) as caught:
        vocabulary()[word]
    assert caught.value.near == meant


def test_a_misspelled_synonym_leads_to_its_concept() -> None:
    with pytest.raises(UnknownName) as caught:
        vocabulary()["naevuss"]
    assert caught.value.near[0] == "melanocytic-nevus"


def test_no_concepts_have_no_common_one():
    """There is no sensible answer to the ancestor of nothing."""
    with pytest.raises(UsageError):
        vocabulary().lowest_common_ancestor([])


# ------------------------------------------------------------------ the tree


def test_the_tree_answers_where_a_concept_stands():
    """Paths run from the root; is_under counts a concept as under itself."""
    tree = vocabulary()
    assert tree.root == "skin-finding"
    assert tree.path("melanoma") == ("skin-finding", "neoplastic", "melanocytic-neoplasm", "melanoma")
    assert tree.ancestors("melanoma") == tree.path("melanoma")[:-1]
    assert tree.is_under("lentigo-maligna", "melanoma")
    assert tree.is_under("melanoma", "melanoma")
    assert not tree.is_under("melanoma", "melanocytic-nevus")
    assert set(tree.descendants("spitz-reed-nevus")) == {"spitz-nevus", "reed-nevus"}
    assert tree.leaves("normal-skin") == ("normal-skin",)
    assert tree.name("bowen-disease") == "Bowen disease"


def test_lineage_comes_before_malignancy():
    """Nevus and melanoma meet below the root, which they do not where malignancy splits first."""
    assert vocabulary().lowest_common_ancestor(["melanocytic-nevus", "melanoma"]) == "melanocytic-neoplasm"


@pytest.mark.parametrize(
    ("ids", "common"),
    [
        (["actinic-keratosis", "squamous-cell-carcinoma-in-situ"], "squamous-neoplasia"),
        (["seborrheic-keratosis", "solar-lentigo", "lichen-planus-like-keratosis"], "benign-keratosis"),
        (["melanoma", "psoriasis"], "skin-finding"),
        (["melanoma"], "melanoma"),
        (["melanoma", "lentigo-maligna"], "melanoma"),
    ],
)
def test_the_lowest_common_concept_covers_all(ids, common):
    """As in the reference semantics, and for one concept itself."""
    assert vocabulary().lowest_common_ancestor(ids) == common


@given(st.lists(st.sampled_from([concept.id for concept in vocabulary()]), min_size=1, max_size=4))
def test_nothing_below_the_lowest_common_concept_covers_all(ids):
    """It covers each of them, and none of its children does."""
    tree = vocabulary()
    common = tree.lowest_common_ancestor(ids)
    assert all(tree.is_under(one, common) for one in ids)
    for child in tree.children(common):
        assert not all(tree.is_under(one, child) for one in ids)


@st.composite
def trees(draw):
    """Rows of a small tree, in any order of growth."""
    rows = ["n0 - root mixed"]
    for place in range(1, draw(st.integers(1, 12))):
        parent = draw(st.integers(0, place - 1))
        rows.append(
            f"n{place} n{parent} group {draw(st.sampled_from(['benign', 'malignant', 'indeterminate']))}"
        )
    return rows


@given(trees(), st.randoms())
def test_any_order_of_lines_gives_the_same_tree(rows, random):
    """A parent may stand below its child."""
    mixed = list(rows)
    random.shuffle(mixed)
    straight, shuffled = parse_vocabulary(concepts(*rows)), parse_vocabulary(concepts(*mixed))
    for concept in straight:
        assert shuffled.path(concept.id) == straight.path(concept.id)
        assert set(shuffled.leaves(concept.id)) == set(straight.leaves(concept.id))


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3)))
def test_a_written_table_is_read_back_unchanged(rows):
    """Quotes, commas, tabs, line breaks and blanks at either end survive."""
    header = ["a", "b", "c"]
    rows = [[cell.replace("\x00", "") for cell in row] for row in rows]
    issues: list[str] = []
    assert [row for _, row in tsv.read_rows(tsv.rows_to_text(header, rows), header, issues)] == rows
    assert not issues


@given(st.text(alphabet="ab-\n\r\t\"'x ", max_size=40))
def test_any_text_gives_a_vocabulary_or_one_error(body):
    """The parser has no third way out."""
    try:
        tree = parse_vocabulary("\t".join(CONCEPT_COLUMNS) + "\n" + body)
    except BadCatalog:
        return
    assert isinstance(tree, Vocabulary)


# ------------------------------------------------------------------ body sites


def test_body_sites_are_a_forest():
    """Each region is a root of its own."""
    sites = parse_body_sites(
        tsv.rows_to_text(
            SITE_COLUMNS, [["trunk", "Trunk", "", "1", ""], ["back", "Back", "trunk", "2", "dorsum"]]
        )
    )
    assert sites["trunk"].parent is None
    assert sites["back"].synonyms == ("dorsum",)


def test_a_body_site_on_the_wrong_level_is_refused():
    """The level is the depth."""
    with pytest.raises(BadCatalog, match="level '3' is not the depth of 'back'"):
        parse_body_sites(
            tsv.rows_to_text(
                SITE_COLUMNS, [["trunk", "Trunk", "", "1", ""], ["back", "Back", "trunk", "3", ""]]
            )
        )


# ------------------------------------------------------------------ search


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("bowen", "bowen-disease"),
        ("BCC", "basal-cell-carcinoma"),
        ("C43", "melanoma"),
        ("nevus sebaceus", "nevus-sebaceus"),
        ("DOID:8923", "melanoma"),
        ("Cafe au lait", "cafe-au-lait-macule"),
        ("SÉZARY", "sezary-syndrome"),
        ("melanomma", "melanoma"),
        ("seborheic keratosis", "seborrheic-keratosis"),
        ("melanoma", "melanoma"),
        ("keratosis actinic", "actinic-keratosis"),
        ("c43", "melanoma"),
        ("C43.9", "melanoma"),
        ("D04", "squamous-cell-carcinoma-in-situ"),
        ("8923", "melanoma"),
        ("scc in situ", "squamous-cell-carcinoma-in-situ"),
        ("BCC nodular", "nodular-basal-cell-carcinoma"),
        ("nevus sebacius", "nevus-sebaceus"),
    ],
)
def test_the_best_hit_comes_first(text, concept):
    """Labels, synonyms, codes, accents, word order and slips of the pen."""
    assert find_concepts(text, vocabulary())[0].concept == concept


@pytest.mark.parametrize("code", ["C99", "Z99.1", "DOID:8924", "892"])
def test_a_code_is_never_taken_for_another_one(code):
    """A wrong digit is another disease, not a slip of the pen."""
    assert find_concepts(code, vocabulary()) == []


def test_a_wider_code_finds_what_is_under_it():
    """L57 stands for L57.0, L57.5, …; each keeps its own code to be seen."""
    hits = find_concepts("L57", vocabulary())
    assert {hit.matched[:3] for hit in hits} == {"L57"}
    assert "actinic-keratosis" in {hit.concept for hit in hits}


def test_bowen_disease_is_a_carcinoma_in_situ():
    """The finer concept is found; the coarser one is on its path."""
    first = find_concepts("bowen", vocabulary())[0].concept
    assert vocabulary().is_under(first, "squamous-cell-carcinoma-in-situ")


def test_a_datasets_own_word_is_found_with_its_rows():
    """`akiec` is no name of a concept; the crosswalk knows it."""
    assert find_concepts("akiec", vocabulary()) == []
    hit = find_concepts("akiec", vocabulary(), labels("ham10000"))[0]
    assert (hit.concept, hit.matched) == ("squamous-neoplasia", "akiec")


def test_nothing_fits_nothing():
    """No hit is better than a wrong one."""
    assert find_concepts("xyzzyq", vocabulary()) == []
    assert find_concepts(" - ", vocabulary()) == []


def test_each_concept_is_listed_once_best_first():
    """By falling score, none above 1."""
    hits = find_concepts("nevus", vocabulary(), labels("derm7pt"), limit=50)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert len({hit.concept for hit in hits}) == len(hits)
    assert scores[0] <= 1


@given(st.sampled_from(list(vocabulary())))
def test_every_concept_is_found_by_its_own_label(concept):
    """Among the very best hits, as labels may be another concept's synonym."""
    hits = find_concepts(concept.label, vocabulary(), limit=1000)
    assert concept.id in {hit.concept for hit in hits if hit.score == hits[0].score}


def test_the_vocabulary_imports_nothing_heavy():
    """`labels find` must start at once."""
    code = "import sys, dermdata.vocabulary, dermdata.crosswalks, dermdata.crosswalks.alignment; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "numpy",
        "pandas",
        "pyarrow",
        "PIL",
        "httpx",
        "httpcore",
        "tomllib",
        "difflib",
        "rich",
        "typer",
    }


def test_slugs_are_what_the_house_says():
    """Small letters, digits and single hyphens."""
    assert SLUG.match("cd30-lymphoproliferative-disease")
    assert not any(map(SLUG.match, ["", "A", "a--b", "-a", "a-", "a b", "a\n"]))
