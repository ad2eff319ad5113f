"""What `split` needs beside the rows: near duplicates, and a judgment of the split that is there."""

from typing import TYPE_CHECKING

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.results import FINDING
from dermdata.api.targets import Loaded, make_near_finder
from dermdata.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.duplicates import NearDuplicates
    from dermdata.split import GroupBy

PICTURES = ("path", "sha256", "phash")  # by which near duplicates are found
JUDGED = (
    "key", "dataset", "split", "fold", "split_official", "fold_official", "image_id", "isic_id", "patient_id",
    "lesion_id", "case_id", *PICTURES,
)  # fmt: skip
TOLD = ("patient_id", "lesion_id", "sha256")  # ids without which a judgment is less than it seems


def find_near_duplicates(
    resources: Resources, loaded: Loaded, *, allow_missing: bool = False
) -> "NearDuplicates":
    """The near duplicates among rows, and in words how they are known; UsageError where there are no hashes."""
    if not has_values(loaded, "phash"):
        raise UsageError(
            "--near compares images, and no row has a perceptual hash", hint="fetch the images first"
        )
    found = make_near_finder(loaded, allow_missing=allow_missing)(loaded.table)
    resources.say(found.summary)
    return found


def has_values(loaded: Loaded, name: str) -> bool:
    """Whether any row has a value in this column."""
    table = loaded.table
    return name in table.column_names and table[name].null_count < table.num_rows


def choose_strata(table: "pa.Table") -> str:
    """The column whose mix each part mirrors unless another is asked for: the classes where rows have any."""
    has_label = "label" in table.column_names and table["label"].null_count < table.num_rows
    return "label" if has_label else "diagnosis"


def list_notes(loaded: Loaded, *, labeled: bool) -> list[str]:
    """What a person must know of a split beside its balance: by which column it is balanced, and who is in it twice."""
    from dermdata.cohort.dedupe import describe_overlaps

    label = ["each part mirrors label, which the manifest has (--stratify diagnosis for the other)"]
    return [*(label if labeled else []), *describe_overlaps(loaded.rows())]


def judge_split(resources: Resources, loaded: Loaded, *, near: bool, by: "GroupBy" = "auto") -> Records:
    """The leaks of the split that the rows have.

    Parameters
    ----------
    resources : Resources
        Who is told how near duplicates are known.
    loaded : Loaded
        The rows, with the columns JUDGED.
    near : bool
        Near duplicates in two parts are leaks too.
    by : {"auto", "patient", "lesion", "case", "image"}
        What must not be in two parts.

    Returns
    -------
    Records
        The findings; `facts` have `leaks`, how many of what is in more than one part; `not_judged`, the ids that no
        row has; `judged`, what was judged in words; how many of the `rows` in a part were judged as `images_alone`;
        and of how many nothing can be said, `unjudged`: without leaks, only 0 is a clean split.

    Raises
    ------
    UsageError
        Where there is no split, a single part, or no image to compare.

    """
    from dermdata.split import check_split, count_leaks, measure_coverage

    seen = measure_coverage(loaded.table, by, near=near)
    # what is alike by hash alone is told as such
    alike = find_near_duplicates(resources, loaded, allow_missing=True) if near else None
    findings = check_split(loaded.table, alike, by)
    leaks = count_leaks(tuple(one for one in findings if one.level == "error"))
    absent = [name for name in TOLD if not has_values(loaded, name)]
    facts = {
        "leaks": leaks, "not_judged": absent, "judged": list(seen.judged), "rows": seen.rows,
        "in_no_part": seen.apart, "images_alone": seen.alone, "unjudged": seen.unjudged,
    }  # fmt: skip
    return Records([vars(one) for one in findings], FINDING, facts)
