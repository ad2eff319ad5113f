"""--redistributable: only what may be passed on, and a list of the rest."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from dermdata import export
from dermdata.export.left_out import restriction_reason
from dermdata.model import Dataset, License
from export.conftest import MakeJob
from export.samples import draw, row, table
from export.test_huggingface import entry


@pytest.mark.parametrize(
    ("own", "whole", "reason"),
    [
        ("CC-BY-4.0", License(id="CC-BY-4.0", redistribution=False), "forbid"),
        ("CC0-1.0", License(id="LicenseRef-DUA", redistribution=False), "forbid"),
        ("LicenseRef-X", License(id="LicenseRef-X"), "not known"),
        ("LicenseRef-Y", License(id="LicenseRef-X", redistribution=True), "LicenseRef-Y is not known"),
        (None, License(), "no license is stated"),
        ("All rights reserved", License(), "not known"),
    ],
)
def test_what_may_not_be_passed_on(own: str | None, whole: License, reason: str) -> None:
    """A dataset's ban holds for all its images; what nobody states is not allowed."""
    assert reason in (restriction_reason(own, whole, adapted=False) or "")


@pytest.mark.parametrize(
    ("own", "whole"),
    [
        ("LicenseRef-X", License(id="LicenseRef-X", redistribution=True)),
        (None, License(id="LicenseRef-X", redistribution=True)),
        ("CC-BY-NC", License()),
        ("CC BY-NC-ND 4.0", License()),
        ("CC-0", License(id="LicenseRef-per-image")),
        ("cc0-1.0", License()),
    ],
)
def test_what_may_be_passed_on(own: str | None, whole: License) -> None:
    """The dataset says so, or the image's own license is an open one, however it is spelled."""
    assert restriction_reason(own, whole, adapted=False) is None


def test_no_derivatives_means_no_scaling() -> None:
    """An ND license lets unchanged copies be shared."""
    assert "changed" in (restriction_reason("CC-BY-NC-ND-4.0", License(), adapted=True) or "")


@pytest.mark.parametrize("form", export.FORMATS)
def test_every_format_lists_what_it_left_out(job: MakeJob, root: Path, tmp_path: Path, form: str) -> None:
    """The ids and the reason in left-out.csv, nothing of the image in the export."""
    drawn = [row(root, number) | {"mask_path": draw(root, number)} for number in range(3)]
    rows = table([drawn[0], drawn[1] | {"license": "LicenseRef-secret"}, drawn[2] | {"split": "val"}])
    written = export.write(form, job(table=rows, redistributable=True))
    (listed,) = (tmp_path / "out").parent.rglob("*left-out.csv")
    assert "demo/IMG_0001,demo,IMG_0001,LicenseRef-secret is not known" in listed.read_text()
    assert written.rows == 2
    assert any("LicenseRef-secret" in words for words in written.left_out)


def test_the_catalog_decides_by_dataset(job: MakeJob, rows: pa.Table) -> None:
    """The same manifest under other terms."""
    entries: Mapping[str, Dataset] = {"demo": entry(id="CC0-1.0", redistribution=False)}
    assert export.write("csv", job(redistributable=True, entries=entries)).rows == 0
    assert export.write("csv", job("two", redistributable=True)).rows == 11
