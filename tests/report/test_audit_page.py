"""What the audit's page says: what is in the set, what was found, and what it leaves out."""

import re

import pyarrow as pa
import pytest

from dermdata.model import Finding
from dermdata.report import audit_page
from dermdata.report.audit import MAX_FINDINGS_PER_CODE, build_chapters
from dermdata.report.overview import age_bars, build_heat_map, count_bars
from report.samples import FACTS, FINDINGS, finding, jpeg, look, page, rows

PATIENTS: dict[str, list[str | None]] = {"patient_id": [f"p{n}" for n in range(12)]}
LESIONS: dict[str, list[str | None]] = {"lesion_id": [f"l{n}" for n in range(12)]}

# ------------------------------------------------------------------ too much and too little


@pytest.mark.parametrize(
    "table",
    [rows(0), rows(1).select(["key"]), pa.table({"x": pa.array([1, 2])})],
    ids=["no rows", "only keys", "no column of ours"],
)
def test_a_page_of_next_to_nothing(table: pa.Table) -> None:
    """Nothing is stated, and the page says just that."""
    text = page(table, [], {})
    assert "No row states a skin type" in text
    assert "Nothing was found that makes results wrong or limits them." in text


def test_25000_images_with_everything_wrong_are_under_10_megabytes() -> None:
    """70 classes of noise, findings of every code that fill what they may, words that grow when they are escaped."""
    count, codes = (
        25_000,
        ("duplicate-near", "leak-image", "label-conflict", "image-truncated", "metadata-missing", "new"),
    )
    table = rows(
        count,
        diagnosis_name=[f"class {n % 70}" for n in range(count)],
        key=[f"demo/r{n:05}" for n in range(count)],
    )
    keys = [tuple(f"demo/r{(n + more) % count:05}" for more in range(40)) for n in range(count)]
    found = [
        finding(
            code, message='"<&>"' * 400, keys=keys[n], evidence={f"<{m}>": ["<&>"] * 400 for m in range(12)}
        )
        for code in codes
        for n in range(500)
    ]
    noise = [jpeg(seed, (200, 180)) for seed in range(4)]
    size = sum(
        len(piece.encode()) for piece in audit_page(table, found, lambda key: noise[int(key[-1]) % 4], FACTS)
    )
    assert 6_000_000 < size < 10_000_000


def test_what_is_not_written_out_is_told() -> None:
    text = page(findings=[finding(message=f"number {n}") for n in range(MAX_FINDINGS_PER_CODE + 30)])
    assert text.count('<article class="finding') == MAX_FINDINGS_PER_CODE
    assert "30 more of this kind are not written out here" in text


def test_the_gravest_are_written_first() -> None:
    """An error is not crowded out by the notes before it."""
    notes = [finding(level="note", message=f"note {n}") for n in range(MAX_FINDINGS_PER_CODE)]
    assert "the one error" in page(findings=[*notes, finding(level="error", message="the one error")])


def test_a_finding_about_rows_that_are_not_here_is_shown_all_the_same() -> None:
    text = page(findings=[finding(keys=("elsewhere/x", "demo/r000"))], look=lambda _: None)
    assert "elsewhere/x" in text
    assert text.count("no image file") >= 2


def test_a_code_that_no_chapter_knows_is_in_the_last_one() -> None:
    *_, last = build_chapters(rows(), [finding("brand-new")], {})
    assert [one.code for one in last.problems] == ["brand-new"]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["p1"] * 3 + [None] * 9, "known for 3 of 12 images (25.0 %)"),
        (["p1"] * 11 + [None], "known for 11 of 12 images (91.7 %)"),
        (["p1"] * 12, "known for each image"),
        ([None] * 12, "nobody says whose images these are"),
    ],
)
def test_images_without_a_patient_are_told_beside_the_patients(ids: list[str | None], said: str) -> None:
    """1,373 patients of 18,869 images are not all of them where 16,571 images have no id."""
    top = page(rows(patient_id=ids)).split("<main")[0]
    assert said in top


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "Nothing was found that makes results wrong or limits them."),
        ([finding(level="note")], "Nothing was found that makes results wrong or limits them."),
        ([finding()], "Nothing makes results wrong; what limits them is below."),
        (
            [finding("leak-patient", "error")] * 2,
            "Do not train on these rows as they are: 2 leaking patients.",
        ),
        (
            [
                finding("image-truncated", "error"),
                finding("leak-lesion", "error"),
                finding("leak-lesion", "error"),
            ],
            "Do not train on these rows as they are: 2 leaking lesions and 1 broken file.",
        ),
    ],
)
def test_the_first_sentence_says_what_it_comes_to(found: list[Finding], said: str) -> None:
    assert said in page(findings=found).split("<main")[0]


@pytest.mark.parametrize(
    ("columns", "found", "checked", "said"),
    [
        (
            PATIENTS | LESIONS,
            [],
            None,
            "no patient, no lesion and no picture is in more than one part (train, test).",
        ),
        (
            PATIENTS,
            [finding("leak-patient", "error"), finding("leak-image", "error")],
            None,
            "1 patient and 1 picture are in more than one part (train, test); "
            "not judged: lesions (no two parts state them).",
        ),
        (
            PATIENTS,
            [finding("leak-patient", "error")],
            ["leak-patient"],
            "1 patient is in more than one part (train, test).",
        ),
        (
            {"patient_id": [*["p1"] * 4, None, *["p2"] * 7]} | LESIONS,
            [],
            ["leak-patient", "leak-lesion"],
            "no patient and no lesion is in more than one part (train, test); "
            "not judged: patients (1 of 12 rows names none).",
        ),
        (
            {},
            [],
            ["leak-patient", "leak-lesion"],
            "not judged: patients (no two parts state them) and lesions (no two parts state them).",
        ),
        (
            {"patient_id": ["p1", None] * 6},
            [],
            ["leak-patient"],
            "not judged: patients (no two parts state them).",
        ),
        (
            {"case_id": [f"c{n}" for n in range(12)]},
            [],
            ["leak-patient"],
            "no patient is in more than one part (train, test).",
        ),
        (
            {},
            [],
            ["leak-image"],
            "no picture is in more than one part (train, test); near duplicates were not looked for (--near).",
        ),
        ({"split": ["train"] * 12}, [], None, "there is no split to judge."),
        ({"split": [None] * 12}, [], None, "there is no split to judge."),
        ({}, [], ["duplicate-exact"], "not looked for."),
        (
            LESIONS | {"split": ["val", "train"] * 6},
            [],
            ["leak-lesion"],
            "no lesion is in more than one part (train, val).",
        ),
    ],
)
def test_leaks_are_told_on_the_first_screen(
    columns: dict[str, list[str | None]], found: list[Finding], checked: list[str] | None, said: str
) -> None:
    """Not judged is not clean: where no two parts state a patient, nobody knows whether one is in both."""
    facts = {**FACTS, **({} if checked is None else {"checked": checked})}
    text = page(rows(**{"split": ["train", "test"] * 6, **columns}), findings=found, facts=facts)
    assert f"<strong>Leaks:</strong> {said}" in text


@pytest.mark.parametrize(
    ("found", "checked", "value", "more"),
    [
        ([], None, "0", "the same bytes or pixels, or near duplicates"),
        ([], ["duplicate-exact"], "0", "near duplicates were not looked for (--near)"),
        ([], ["leak-patient"], "not judged", "nobody compared them"),
        ([finding(), finding("duplicate-near")], None, "2", "the same bytes or pixels, or near duplicates"),
    ],
)
def test_rows_that_share_a_picture_are_counted_once(
    found: list[Finding], checked: list[str] | None, value: str, more: str
) -> None:
    """A pair may be of the same bytes and near, too; what nobody compared is not clean."""
    facts = {**FACTS, **({} if checked is None else {"checked": checked})}
    top = page(findings=found, facts=facts).split("<main")[0]
    assert f'<dt>rows that share a picture</dt><dd>{value}</dd><dd class="more">{more}</dd>' in top


def test_no_kind_of_finding_vanishes_for_want_of_room() -> None:
    """The words of one kind may fill the page: of the others the first is written, and the rest counted."""
    long = [
        finding(
            "image-truncated", "error", message="x" * 600, evidence={f"k{n}": "y" * 300 for n in range(99)}
        )
    ] * 99
    text = page(findings=[*long, *([finding("metadata-missing", "note")] * 3)])
    assert 'data-code="metadata-missing"' in text
    assert "2 more of this kind are not written out here" in text
    assert '<p id="shown" role="status" data-found="102"></p>' in text


def test_known_issues_of_a_dataset_stand_once() -> None:
    """One article per dataset and level, with what all of them have in common told once."""
    source = {"source": "https://example.org/paper"}
    notes = [
        finding("known-issue", "note", keys=(), message=f"note {n}", evidence=source | more)
        for n, more in enumerate([{}, {}, {"overlaps": "isic-2019"}])
    ]
    text = page(findings=[*notes, finding("known-issue", message="both are here", evidence=source)])
    articles = re.findall(r'<article class="finding .*?</article>', text, re.DOTALL)
    assert [re.findall(r'data-size="(\d)"', one) for one in articles] == [["1"], ["3"]]
    assert "both are here" in articles[0]
    assert [f"<li>note {n}" in articles[1] for n in range(3)] == [True] * 3
    assert articles[1].count("https://example.org/paper") == articles[1].count("isic-2019") == 1
    (summary,) = re.findall(r'data-code="known-issue">\s*<summary>.*?</summary>', text, re.DOTALL)
    assert '<span class="n">4</span>' in summary


def test_red_words_are_of_what_is_broken() -> None:
    """`11 of 12 have a sound file` in red marks the sound ones."""
    top = page(findings=[finding("image-truncated", "error", keys=("demo/r001",))]).split("<main")[0]
    assert (
        '<div class="tile error"><dt>images</dt><dd>12</dd><dd class="more">1 of 12 rows has no sound file</dd>'
        in top
    )


def test_lesions_do_not_stand_for_patients() -> None:
    """A dataset that numbers its lesions, as HAM10000 does, may say of no image whose it is."""
    top = page(rows(patient_id=[None] * 12, lesion_id=["l1", "l2"] * 6)).split("<main")[0]
    assert "known for each image; no image says whose it is" in top


def test_leaks_of_rows_without_a_split_are_not_none_found() -> None:
    (chapter,) = re.findall(
        r'<section id="leaks".*?</section>', page(rows(split=[None] * 12), findings=[]), re.DOTALL
    )
    assert "There is no split to judge." in chapter
    assert "None found" not in chapter


def test_the_first_screen_says_which_rows_were_audited() -> None:
    top = page(facts={**FACTS, "rows": "12 images of demo, part test, where age > 40"}).split("<main")[0]
    assert "Audited: 12 images of demo, part test, where age &gt; 40." in top


def test_findings_are_folded_by_kind_with_their_number() -> None:
    text = page(findings=[finding(message=f"number {n}") for n in range(3)])
    (kind,) = re.findall(
        r'<details class="fold warning" data-code="duplicate-exact">.*?</summary>', text, re.DOTALL
    )
    assert all(word in kind for word in ("Pictures with the same bytes", ">3<", "number 0"))


def test_ages_are_named_by_the_first_year_of_each_column() -> None:
    """Whole ranges touch each other; the words for those who cannot see the chart stay whole."""
    text = page(rows(age=[5.0, 15.0, 95.0, None] * 3))
    assert re.findall(r'<text class="tick"[^>]*>([^<]*)</text>', text) == [
        *("0", "10", "20", "30", "40", "50", "60", "70", "80", "90+"),
        "n. s.",
    ]
    assert "10–19: 3" in text


def test_no_age_at_all_is_said_and_not_drawn() -> None:
    """One column of all images, as high as the chart, says nothing."""
    text = page(rows(age=[None] * 12))
    assert "No row states an age." in text
    assert 'class="plot"' not in text


# ------------------------------------------------------------------ what was found


def test_every_finding_is_in_its_chapter() -> None:
    found = {
        chapter.family.id: [one.code for one in chapter.problems]
        for chapter in build_chapters(rows(), FINDINGS, {})
    }
    assert found == {
        "files": ["image-truncated"],
        "leaks": ["leak-patient"],
        "conflicts": ["label-conflict"],
        "duplicates": ["duplicate-exact", "duplicate-near"],
        "coverage": ["skin-tone-coverage"],
        "records": ["metadata-missing"],
    }


def test_none_found_is_not_the_same_as_not_looked_for() -> None:
    text = page(findings=[], facts={"checked": ["image-unreadable", "leak-image"]})
    assert text.count("None found.") == 1
    assert (
        "No picture is in more than one part (train, test); near duplicates were not looked for (--near)."
        in text
    )
    assert text.count("Not looked for in this audit.") == 4
    assert "Not looked for: leak-patient, leak-lesion." in text


def test_copies_stand_side_by_side_with_label_and_part() -> None:
    text = page(findings=[finding()])
    (article,) = re.findall(r"<article class=\"finding.*?</article>", text, re.DOTALL)
    assert article.count("data:image/jpeg") == 2
    assert re.findall(r"<span>(.*?)</span>", article)[-2:] == ["Melanoma", "Melanocytic nevus"]
    assert re.findall(r"part: (\w+)", article) == ["test", "train"]


def test_a_file_that_cannot_be_shown_says_why() -> None:
    text = page(findings=[finding(keys=("demo/r002", "demo/r007"))])
    assert "cannot be decoded" in text
    assert "no image file" in text


def test_an_interval_is_drawn_where_the_evidence_has_one() -> None:
    text = page(findings=[one for one in FINDINGS if one.code == "skin-tone-coverage"])
    assert "<span>9 %</span>" in text
    assert "<span>91 %</span>" in text
    assert 'x1="9.45%" x2="90.55%"' in text


# ------------------------------------------------------------------ what is in the set


def test_the_heat_map_counts_every_image_once() -> None:
    found = build_heat_map(rows(), {})
    assert found is not None
    assert found.columns == ("I", "II", "III", "IV", "V", "VI")
    assert {row.word: [n for n, _ in row.cells] for row in found.rows}["Melanoma"] == [2, 0, 0, 2, 0, 0]
    assert sum(found.totals) == sum(row.total for row in found.rows) == 12


def test_a_cell_without_images_has_no_shade_and_the_fullest_the_darkest() -> None:
    found = build_heat_map(rows(), {})
    assert found is not None
    assert {n: shade for row in found.rows for n, shade in row.cells} == {0: 0, 2: 9}


def test_groups_of_skin_types_have_columns_of_their_own() -> None:
    """DDI gives 1-2, 3-4 and 5-6; what is not stated comes last."""
    spans = [[1, 2], [3, 4], [5, 6], [6, 5], [4, 4], None]
    found = build_heat_map(rows(6, fitzpatrick=[None] * 6, fitzpatrick_range=spans), {})
    assert found is not None
    assert found.columns == ("I", "II", "III", "IV", "V", "VI", "I–II", "III–IV", "V–VI", "not stated")
    assert found.totals == (0, 0, 0, 1, 0, 0, 1, 1, 2, 1)


def test_monk_tones_where_no_row_has_a_skin_type() -> None:
    found = build_heat_map(rows(3, fitzpatrick=[None] * 3, monk=[1, 10, None]), {})
    assert found is not None
    assert (found.scale, len(found.columns), found.totals[9]) == ("Monk", 11, 1)


def test_many_classes_end_in_one_row_of_the_others() -> None:
    found = build_heat_map(rows(100, diagnosis_name=[f"c{n:02}" for n in range(100)]), {})
    assert found is not None
    assert (len(found.rows), found.rows[-1].word, found.rows[-1].total) == (61, "40 others", 40)


def test_the_classes_of_a_label_space_come_before_the_diagnosis() -> None:
    table = rows(3).append_column("label", pa.array(["melanoma", None, "other"]))
    assert "Label by Fitzpatrick" in page(table)
    assert "MEL &amp; co" in page(table, facts={"names": {"melanoma": "MEL & co"}})


def test_ages_by_decade_with_the_oldest_in_one() -> None:
    """Neither NaN nor what has no end is an age; none is lost."""
    found = age_bars(rows(7, age=[0.0, 9.9, 10.0, 101.0, float("nan"), float("inf"), None]))
    assert [(bar.word, bar.count) for bar in found if bar.count] == [
        ("0–9", 2),
        ("10–19", 1),
        ("90+", 1),
        ("not stated", 3),
    ]


def test_bars_put_the_rest_in_one_and_what_is_not_stated_last() -> None:
    found = count_bars(["a"] * 3 + ["b"] * 2 + ["c", "d", None], most=2)
    assert [(bar.word, bar.count) for bar in found] == [
        ("a", 3),
        ("b", 2),
        ("2 others", 2),
        ("not stated", 1),
    ]
    assert sum(bar.share for bar in found) == pytest.approx(1)


def test_sites_are_called_by_their_label_or_read_as_words() -> None:
    text = page(rows(2, body_site=["trunk-upper-back", "x-y"]), [], {"names": {"x-y": "Nose-bridge"}})
    assert ">trunk upper back</th>" in text
    assert ">Nose-bridge</th>" in text


def test_a_single_word_is_never_called_others() -> None:
    assert [bar.word for bar in count_bars("aaabbc", most=2)] == ["a", "b", "c"]
    found = build_heat_map(rows(61, diagnosis_name=[f"c{n:02}" for n in range(61)]), {})
    assert found is not None
    assert found.rows[-1].word == "c60"


def test_samples_of_each_class_without_those_that_cannot_be_shown() -> None:
    table = rows(9, image_problem=[None, None, None, "truncated", *[None] * 5])
    text = page(table, [])
    strips = re.findall(r'<section class="strip">.*?</section>', text, re.DOTALL)
    assert [re.findall(r"<code>demo/(r\d+)</code>", strip) for strip in strips][-1] != []
    assert "demo/r003" not in "".join(strips)
    assert len(strips) == 3


def test_classes_without_samples_are_counted() -> None:
    text = page(rows(65, diagnosis_name=[f"c{n:02}" for n in range(65)]), [], look=lambda _: None)
    assert text.count('<section class="strip">') == 60
    assert "5 smaller classes are not shown." in text


# ------------------------------------------------------------------ where it comes from


def test_it_says_where_the_rows_come_from_and_whom_to_cite() -> None:
    about = {
        b"dermdata.dataset": b"demo",
        b"dermdata.version": b"1.1",
        b"dermdata.catalog_digest": b"ab" * 32,
    }
    text = page(rows().replace_schema_metadata({**about, b"dermdata.split": b"by=auto seed=7"}))
    for words in (
        "1.1",
        "ab" * 32,
        "by=auto seed=7",
        "select: 12 of 20 rows",
        "@misc{demo}",
        "https://doi.org/10.1000/1",
    ):
        assert words in text


def test_pieces_come_before_the_whole_is_made() -> None:
    """Pictures are read as the page goes: it is never whole in memory."""
    asked: list[str] = []
    pieces = audit_page(rows(), FINDINGS, lambda key: asked.append(key) or look(key), FACTS)
    next(pieces)
    assert asked == []
    assert "".join(pieces)
    assert asked
