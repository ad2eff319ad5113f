"""What the shell can complete: dataset names, manifest fields."""

import sys
from collections.abc import Iterator
from typing import Any

# the manifest's fields that `list --has` knows; a test holds them equal to the schema's
LIST_FIELDS = (
    "age", "attribution", "body_site", "caption", "case_id", "concepts", "confirmation", "differential",
    "fitzpatrick", "fitzpatrick_range", "fold_official", "isic_id", "label_raw", "lesion_id", "license",
    "malignancy", "mask", "masks", "monk", "patient_id", "sex", "skin_tone", "split_official",
)  # fmt: skip


def dataset_names(ctx: Any, incomplete: str) -> Iterator[str]:
    """The catalog's names that begin so; completion never fails, it only offers nothing."""
    from dermdata.cli.state import state_of
    from dermdata.errors import DermdataError

    try:
        names = list(state_of(ctx).catalog)
    except DermdataError as error:
        sys.stderr.write(f"{error.message}\n")
        return
    yield from (name for name in names if name.startswith(incomplete))
