"""`dermdata labels`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bundled_labels import CATALOG


def test_map_shows_every_word_with_its_concept(cli: Callable) -> None:
    """HAM10000's seven words, lumps with their members."""
    items = json.loads(cli("labels", "map", "ham10000", "--format", "json").out)["items"]
    assert len(items) == 7
    akiec = next(item for item in items if item["raw_label"] == "akiec")
    assert akiec["concept"] == "squamous-neoplasia"
    assert akiec["predicate"] == "broadMatch"
    assert akiec["members"] == ["actinic-keratosis", "squamous-cell-carcinoma-in-situ"]
    assert akiec["count"] == 327


@pytest.mark.parametrize(
    ("text", "concept"),
    [("BCC", "basal-cell-carcinoma"), ("C43", "melanoma"), ("nevus sebaceus", "nevus-sebaceus"), ("bowen", "bowen-disease"),
     ("melanomma", "melanoma")],
)  # fmt: skip
def test_find_puts_the_right_concept_first(cli: Callable, text: str, concept: str) -> None:
    """By label, synonym, raw word, code and with a typing error."""
    assert cli("labels", "find", text, "--format", "names").out.splitlines()[0] == concept


@pytest.mark.parametrize(
    ("text", "site"),
    [("face", "head-and-neck-head-face"), ("Sole of foot", "lower-extremity-foot-sole-of-foot"),
     ("lower-extremity", "lower-extremity"), ("foott", "lower-extremity-foot")],
)  # fmt: skip
def test_find_sites_puts_the_right_site_first(cli: Callable, text: str, site: str) -> None:
    """By label and id, and with a typing error; no diagnosis is among them."""
    assert cli("labels", "find", "--sites", text, "--format", "names").out.splitlines()[0] == site


def test_every_body_site_is_listed(cli: Callable) -> None:
    listed = cli("labels", "find", "--sites", "--format", "names").out.splitlines()
    assert len(listed) == len(set(listed)) > 200
    assert cli("labels", "find").code == 2
    none = cli("labels", "find", "--sites", "zzzz")
    assert (none.code, "no body site is called 'zzzz'" in none.err) == (0, True)


def test_spaces_are_listed_with_their_classes_in_order(cli: Callable) -> None:
    spaces = {row["space"]: row for row in json.loads(cli("labels", "spaces", "-f", "json").out)["items"]}
    assert spaces["ham7"]["classes"] == ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    answer = json.loads(cli("labels", "spaces", "ham7", "-f", "json").out)
    assert answer["schema"] == "dermdata.labels-spaces/1"
    assert answer["title"] == "The seven classes of HAM10000 and ISIC 2018 task 3"
    assert answer["items"][3] == {
        "class": "AKIEC", "concepts": ["actinic-keratosis", "squamous-cell-carcinoma-in-situ"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("space", "classes"),
    [
        ("a=melanoma,b=melanocytic-nevus", ["a", "b"]),
        ("bad=skin-finding/malignant,good=skin-finding/benign", ["bad", "good"]),
        ("own.txt", ["melanoma", "NEVUS"]),
    ],
)
def test_a_space_of_one_s_own_is_shown_as_it_is_understood(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str, classes: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.txt").write_text("melanoma\nNEVUS = melanocytic-nevus\n", encoding="utf-8")
    assert cli("labels", "spaces", space, "-f", "names").out.splitlines() == classes


def test_an_unknown_space_gets_did_you_mean(cli: Callable) -> None:
    answer = cli("labels", "spaces", "ham8")
    assert (answer.code, "did you mean ham7?" in answer.err) == (2, True)


def test_tree_and_its_branches(cli: Callable) -> None:
    """The whole tree, or what is under one concept."""
    assert len(cli("labels", "tree", "--format", "names").out.splitlines()) == 710
    branch = cli("labels", "tree", "melanoma", "--format", "names").out.splitlines()
    assert branch[0] == "melanoma"
    assert 1 < len(branch) < 40
    assert cli("labels", "tree", "melanomma").code == 2


def test_align_keeps_apart_what_can_be_told_apart(cli: Callable) -> None:
    """akiec, ACK and SCC share a class, as do SEK and bkl; melanoma, nevus and BCC stand alone."""
    answer = cli("labels", "align", "ham10000", "pad-ufes-20", "--format", "json")
    document = json.loads(answer.out)
    assert set(document) == {"schema", "unassigned", "forced", "wider", "tradeoff", "items"}
    classes = [{label["raw_label"] for label in item["labels"]} for item in document["items"]]
    assert {"akiec", "ACK", "SCC"} in classes
    assert {"bkl", "SEK"} in classes
    assert {"mel", "MEL"} in classes
    assert {"nv", "NEV"} in classes
    assert {"bcc", "BCC"} in classes


def test_align_names_the_label_that_would_glue_everything(cli: Callable) -> None:
    """derm7pt's "miscellaneous" is left out and named; --keep-all shows what it does."""
    names = ("ham10000", "isic-2019", "pad-ufes-20", "derm7pt")
    answer = cli("labels", "align", *names, "--why")
    assert "derm7pt miscellaneous (8)" in answer.err
    assert len(answer.out.splitlines()) > 6
    assert len(cli("labels", "align", *names, "--keep-all", "--format", "names").out.splitlines()) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("ham10000", "pad-ufes-20", "fitzpatrick17k", "scin"),
        ("ham10000", "isic-2019", "pad-ufes-20", "derm7pt"),
        ("ham10000", "derm7pt"),
        ("ham10000", "pad-ufes-20"),
    ],
)
def test_align_is_a_table_and_one_line_that_says_where_the_reasons_are(
    cli: Callable, names: tuple[str, ...]
) -> None:
    """Its reasons are ~95 lines for datasets of many words, which would hide the table; `--why` has all of them."""
    short, long = cli("labels", "align", *names), cli("labels", "align", *names, "--why")
    assert short.out == long.out
    assert len(short.err.splitlines()) == 1
    assert "`--why` says why" in short.err
    assert len(long.err.splitlines()) > 1


def test_align_says_how_many_labels_are_not_as_they_were(cli: Callable) -> None:
    told = cli("labels", "align", "ham10000", "pad-ufes-20").err
    facts = json.loads(cli("labels", "align", "ham10000", "pad-ufes-20", "--format", "json").out)
    assert [len(facts["forced"]), len(facts["unassigned"])] == [1, 0]
    assert told.startswith("1 label forces classes into one, ")
    assert "left out" not in told


def test_align_of_one_dataset_says_nothing(cli: Callable) -> None:
    """No label of HAM10000 is left out or shares a class."""
    assert cli("labels", "align", "ham10000").err == ""


def test_a_share_is_written_as_percent_or_number(cli: Callable) -> None:
    """Anything else is said in words."""
    assert cli("labels", "align", "ham10000", "derm7pt", "--max-loss", "2%").code == 0
    assert cli("labels", "align", "ham10000", "derm7pt", "--max-loss", "lots").code == 2


def own_table(path: Path, *words: str) -> Path:
    """A person's table: an id and a word a row."""
    path.write_text(
        "id,dx\n" + "".join(f"{place},{word}\n" for place, word in enumerate(words)), encoding="utf-8"
    )
    return path


# ------------------------------------------------------------------ the bad day


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["map"], "NAME or --csv"),
        (["map", "ham10000", "--csv", "x.csv"], "NAME or --csv"),
        (["map", "ham10000", "-o", "x.tsv"], "belong to --csv"),
        (["map", "--csv", "nosuch.csv"], "--column"),
        (["map", "--csv", "nosuch.csv", "--column", "dx"], "no table at nosuch.csv"),
        (["map", "nosuch"], "unknown dataset 'nosuch'"),
        (["map", "ham1000", "-f", "sssom"], "did you mean ham10000"),
        (["review", "nosuch"], "unknown dataset 'nosuch'"),
        (["diff", "nosuch", "nosuch"], "no catalog with labels at nosuch"),
        (["align", "ham10000", "nosuch"], "unknown dataset 'nosuch'"),
        (["align", "fuseg"], "has no label words"),
        (["tree", "melanomma"], "did you mean melanoma"),
    ],
)
def test_wrong_requests_are_said_in_words(cli: Callable, words: list[str], says: str) -> None:
    """Exit 2 and nothing on stdout."""
    answer = cli("labels", *words)
    assert (answer.code, answer.out) == (2, ""), answer.err
    assert says in answer.err


def test_a_fuzzy_proposal_is_shown_and_never_written(cli: Callable, tmp_path: Path) -> None:
    """Exit 1 with -o while a word has no row; the proposals alone are no failure."""
    table, out = (
        own_table(tmp_path / "mine.csv", "Melanoma", "Melanomma", "akiec", ""),
        tmp_path / "labels.tsv",
    )
    words = ["labels", "map", "--csv", table, "--column", "dx", "--format", "json"]
    items = {one["raw_label"]: one for one in json.loads(cli(*words).out)["items"]}
    assert {word: (one["how"], one["applied"]) for word, one in items.items()} == {
        "Melanoma": ("exact", True), "Melanomma": ("fuzzy", False), "akiec": ("dataset", False),
    }  # fmt: skip
    assert cli(*words).code == 0
    answer = cli(*words, "-o", out)
    assert answer.code == 1
    assert "2 words (2 rows) without a concept yet" in answer.err
    assert "1 row has no word in dx" in answer.err
    assert [line.split("\t")[1] for line in out.read_text().splitlines()[1:]] == ["Melanoma"]


# ------------------------------------------------------------------ what it is for


def test_a_catalog_takes_the_written_words(cli: Callable, tmp_path: Path) -> None:
    """Decided word by word, kept by the next run, and read as a private catalog's crosswalk."""
    folder = tmp_path / "catalog/datasets/mine"
    table, out = own_table(tmp_path / "mine.csv", "BCC", "Melanomma", "akiec"), folder / "labels.tsv"
    words = ["labels", "map", "--csv", table, "--column", "dx", "-o", out]
    lump = "akiec=actinic-keratosis+squamous-cell-carcinoma-in-situ"
    assert cli(*words, "--accept", "Melanomma=melanoma").code == 1
    answer = cli(*words, "--accept", lump)
    assert answer.code == 0, answer.err
    assert "dataset.toml" in answer.err
    write_entry(folder)
    answer = cli("--catalog", tmp_path / "catalog", "labels", "map", "mine", "--format", "json")
    items = {one["raw_label"]: one for one in json.loads(answer.out)["items"]}
    assert {word: one["concept"] for word, one in items.items()} == {
        "BCC": "basal-cell-carcinoma", "Melanomma": "melanoma", "akiec": "squamous-neoplasia",
    }  # fmt: skip
    assert items["akiec"]["predicate"] == "broadMatch"
    aligned = cli("--catalog", tmp_path / "catalog", "labels", "align", "mine", "ham10000", "-f", "names")
    assert "actinic-keratosis+squamous-cell-carcinoma-in-situ" in aligned.out.splitlines()


def test_how_much_of_the_proposals_is_written(cli: Callable, tmp_path: Path) -> None:
    """Nothing more, all that is likely, single words as broad or narrow; `ask` wants a terminal."""
    table = own_table(tmp_path / "mine.csv", "Melanoma", "Schuppenflechte", "Callus", "Ulcer")
    words = ["labels", "map", "--csv", table, "--column", "dx"]

    def written(name: str, *accept: str) -> tuple[int, dict[str, tuple[str, str]]]:
        out = tmp_path / name
        answer = cli(*words, "-o", out, *(part for one in accept for part in ("--accept", one)))
        rows = [line.split("\t") for line in out.read_text(encoding="utf-8").splitlines()[1:]]
        return answer.code, {row[1]: (row[2], row[3]) for row in rows}

    sure = {"Melanoma": ("melanoma", "exactMatch")}
    likely = {"Schuppenflechte": ("psoriasis", "exactMatch"), "Callus": ("callus-or-corn", "broadMatch")}
    assert written("sure.tsv") == written("sure-too.tsv", "sure") == (1, sure)
    assert written("all.tsv", "all") == (1, sure | likely)
    decided = {"Ulcer": ("chronic-wound", "narrowMatch"), "Callus": ("callus-or-corn", "broadMatch")}
    assert written("some.tsv", "Ulcer<chronic-wound", "Callus>callus-or-corn") == (1, sure | decided)
    assert written("every.tsv", "all", "Ulcer=wound")[0] == 0
    answer = cli(*words, "--accept", "Ulcer<chronic-wound")
    assert "chronic-wound is narrower than Ulcer: narrowMatch, which gives no diagnosis" in answer.err
    assert "2 are for you to decide, 2 of them likely: --accept all takes those" in answer.err
    answer = cli(*words, "--accept", "ask")
    assert (answer.code, "needs a terminal" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("answers", "row"),
    [
        (["y"], ("callus-or-corn", "broadMatch")),
        (["n"], None),
        (["wat", "<callus-or-corn"], ("callus-or-corn", "narrowMatch")),
        (["cyst"], ("cyst", "exactMatch")),
        (["=a+b", ">keratinization-disorder"], ("keratinization-disorder", "broadMatch")),
    ],
)
def test_a_person_answers_what_a_word_means(
    cli: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[str],
    row: tuple[str, str] | None,
) -> None:
    """Yes, no, or a concept; what cannot be meant is told and asked again."""
    from dermdata.cli import label_options, labels_map

    left = iter(answers)
    monkeypatch.setattr(label_options.typer, "prompt", lambda *_, **__: next(left))
    monkeypatch.setattr(labels_map, "find_prompt", lambda: label_options.ask_question)
    table, out = own_table(tmp_path / "mine.csv", "Callus"), tmp_path / "labels.tsv"
    answer = cli("labels", "map", "--csv", table, "--column", "dx", "--accept", "ask", "-o", out)
    rows = [line.split("\t") for line in out.read_text().splitlines()[1:]]
    assert [(one[2], one[3]) for one in rows] == ([row] if row else [])
    assert (answer.code, list(left)) == (0 if row else 1, [])


def write_entry(folder: Path) -> None:
    """The smallest entry that a catalog takes."""
    facts = ['name = "mine"', 'title = "Mine"', 'kind = "dataset"', 'summary = "Mine."']
    facts += ["[license]", 'id = "CC-BY-4.0"', "[access]", 'kind = "open"']
    (folder / "dataset.toml").write_text("\n".join(facts) + "\n", encoding="utf-8")


def test_the_tree_counts_cached_images_of_a_concept_and_of_all_below_it(cli: Callable) -> None:
    """Null where nothing is cached; drawn with branches where a person looks."""
    first = json.loads(cli("labels", "tree", "melanoma", "--depth", "1", "--format", "json").out)["items"]
    assert {one["images"] for one in first} == {None}
    cli("fetch", "demo")
    items = json.loads(cli("labels", "tree", "--format", "json").out)["items"]
    images = {one["concept"]: one["images"] for one in items}
    assert images["skin-finding"] == 120
    assert images["melanocytic-neoplasm"] == images["melanoma"] + images["melanocytic-nevus"] == 77
    drawn = cli("labels", "tree", "melanocytic-neoplasm", "--depth", "1", "--format", "table").out
    assert "Melanoma (melanoma)  14 images" in drawn
    assert "└── " in drawn
    assert (
        cli("labels", "tree", "melanoma", "--depth", "1", "--format", "csv")
        .out.splitlines()[0]
        .endswith("images")
    )


def test_align_says_why_classes_are_shared_and_what_more_would_cost(cli: Callable) -> None:
    """akiec joins two, bkl holds SEK whole; one line for each number of classes."""
    answer = cli("labels", "align", "ham10000", "pad-ufes-20", "--why")
    assert (
        "ham10000 akiec (327) forces actinic-keratosis+squamous-cell-carcinoma into one class" in answer.err
    )
    assert (
        "pad-ufes-20 SEK (235) shares the class of ham10000 bkl (1,099), a lump (seborrheic-keratosis"
        in answer.err
    )
    table = answer.err[answer.err.index("classes  images") :].splitlines()
    assert [line.split(maxsplit=2) for line in table[1:]] == [
        ["7", "0"],
        ["8", "327", "ham10000 akiec (327)"],
    ]
    assert "forces" not in cli("--quiet", "labels", "align", "ham10000", "pad-ufes-20").err


def test_counts_that_the_catalog_does_not_state_are_those_of_the_cache(cli: Callable) -> None:
    """The catalog's own are the same on every machine and come first."""

    def counts() -> dict[str, int | None]:
        items = json.loads(cli("labels", "map", "demo", "--format", "json").out)["items"]
        return {one["raw_label"]: one["count"] for one in items}

    before = counts()
    assert before["nv"] == 63
    cli("fetch", "demo")
    assert {word: count for word, count in counts().items() if before[word] is not None} == {
        word: count for word, count in before.items() if count is not None
    }
    assert None not in counts().values()


def test_sssom_is_written_as_it_is(cli: Callable) -> None:
    """A head of metadata, a header, a row a word; JSON Schema and prefixes are tests/labels/test_sssom.py's."""
    lines = cli("labels", "map", "ham10000", "--format", "sssom").out.splitlines()
    assert lines[0] == "#curie_map:"
    body = [line for line in lines if not line.startswith("#")]
    assert body[0].startswith("subject_id\tsubject_label\tpredicate_id")
    assert len(body) == 8


def test_review_lists_what_a_dermatologist_should_decide(cli: Callable) -> None:
    """All of it, or of one dataset, each with its reason."""
    rows = json.loads(cli("labels", "review", "--format", "json").out)["items"]
    assert len(rows) > 40
    assert all(one["reason"] for one in rows)
    [one] = json.loads(cli("labels", "review", "derm7pt", "-f", "json").out)["items"]
    assert (one["raw_label"], one["concept"], one["count"]) == ("clark nevus", "dysplastic-nevus", 399)


def test_diff_compares_two_folders(cli: Callable) -> None:
    """A catalog with itself, and in rows with another one."""
    answer = cli("labels", "diff", CATALOG, CATALOG, "--format", "tsv")
    assert (answer.code, answer.out) == (0, "kind\twhat\tname\traw_label\tpart\told\tnew\n")
    assert "nothing differs" in answer.err


@pytest.mark.parametrize(
    ("text", "concept"), [("C43.9", "melanoma"), ("SCC in situ", "squamous-cell-carcinoma-in-situ")]
)
def test_find_knows_finer_codes_and_words_of_wider_concepts(cli: Callable, text: str, concept: str) -> None:
    """And what nobody calls anything is said to be nothing."""
    assert cli("labels", "find", text, "--format", "names").out.splitlines()[0] == concept
    answer = cli("labels", "find", "xyzzyq", "--format", "names")
    assert (answer.code, answer.out) == (0, "")
    assert "no concept is called 'xyzzyq'" in answer.err
