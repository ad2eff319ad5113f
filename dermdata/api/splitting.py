"""What `split` needs beside the rows: near duplicates, and a judgment of the split that is there."""

from typing import TYPE_CHECKING

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.results import FINDING
from dermdata.api.targets import Loaded, make_near_finder
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates

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


def judge_split(resources: Resources, loaded: Loaded, *, near: bool) -> Records:
    """The leaks of the split that the rows have.

    Parameters
    ----------
    resources : Resources
        Who is told how near duplicates are known.
    loaded : Loaded
        The rows, with the columns JUDGED.
    near : bool
        Near duplicates in two parts are leaks too.

    Returns
    -------
    Records
        The findings; `facts` have `leaks`, how many of what is in more than one part, and `not_judged`, the ids that
        no row has.

    Raises
    ------
    UsageError
        Where there is no split, or no image to compare.

    """
    from dermdata.split import check_split, count_leaks

    findings = check_split(
        loaded.table,
        # what is alike by hash alone is told as such
        find_near_duplicates(resources, loaded, allow_missing=True) if near else None,
    )
    leaks = count_leaks(tuple(one for one in findings if one.level == "error"))
    absent = [name for name in TOLD if not has_values(loaded, name)]
    return Records([vars(one) for one in findings], FINDING, {"leaks": leaks, "not_judged": absent})
