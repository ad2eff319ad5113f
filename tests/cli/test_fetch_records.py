"""`fetch` of an archive whose records are the table: asked for, kept, and nothing left beside."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.hosts.isic import SEARCH
from support.made_up_dataset import HOST, TABLE, Ours, picture
from support.servers import Site

SPEC = TABLE.replace('"table.csv"', '"metadata.csv"').replace("masks =", "# ").replace('"id"', '"isic_id"')
SPEC = '[[files]]\nname = "metadata.csv"\nrole = "metadata"\nfetch = false\n' + SPEC
FOLDER = "cache/datasets/ours/unversioned"


def record(number: int, more: int = 0) -> dict[str, object]:
    """A record that states a size of so many bytes more than its image has."""
    name = f"ISIC_{number:07}"
    full = {"url": f"{HOST}{name}.JPG", "size": len(picture(number)) + more}
    return {
        "isic_id": name,
        "files": {"full": full},
        "metadata": {"clinical": {"dx": "nv", "age": 40 + number}},
    }


@pytest.fixture
def ours(tmp_path: Path, site: Site) -> Ours:
    made = Ours(tmp_path, site, listing="isic:", table=SPEC)
    put_records(site, [record(number) for number in range(3)])
    for number in range(3):
        site.put(f"{HOST}ISIC_{number:07}.JPG", picture(number))
    return made


def put_records(site: Site, records: list[dict[str, object]]) -> None:
    page = {"results": records, "count": len(records), "next": None}
    site.put(f"{SEARCH}?limit=100", json.dumps(page).encode())


def left(root: Path) -> list[str]:
    """What lies in the dataset's folder and is neither list nor image."""
    return sorted(
        one.name for one in (root / FOLDER).iterdir() if one.is_file() and "contents" not in one.name
    )


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["anew", "forced"])
def test_only_metadata_asks_for_the_records(
    force: tuple[str, ...], cli: Callable, ours: Ours, tmp_path: Path
) -> None:
    """The records are the table: without images a manifest of all rows, again with --force."""
    if force:
        assert cli(*ours.options, "fetch", "ours").code == 0
        ours.asked()
    answer = cli(*ours.options, "fetch", "ours", "--only", "metadata", *force)
    assert answer.code == 0, answer.err
    assert "3 rows of 3" in answer.err
    assert not [address for address, _ in ours.asked() if address.endswith(".JPG")]
    assert left(tmp_path) == ["manifest.parquet", "receipt.json"]


def test_the_records_on_their_way_leave_nothing_behind(cli: Callable, ours: Ours, tmp_path: Path) -> None:
    """The table is in the cache once; what a killed fetch left of it goes with the next one."""
    killed = tmp_path / FOLDER / f".metadata.csv.{host()}-999999999.0123abcd.tmp"
    killed.parent.mkdir(parents=True)
    killed.write_text("isic_id")
    assert cli(*ours.options, "fetch", "ours").code == 0
    assert left(tmp_path) == ["manifest.parquet", "receipt.json"]
    assert cli(*ours.options, "verify").code == 0


def host() -> str:
    from dermdata.process import machine_name

    return machine_name()


@pytest.mark.parametrize("more", [-164, -1, 1, 5000])
def test_the_size_that_a_record_states_is_a_hint(
    more: int, cli: Callable, ours: Ours, site: Site, tmp_path: Path
) -> None:
    """It is of the image before credit and license are written into it; a second fetch and `verify` know the real one."""
    put_records(site, [record(number, more) for number in range(3)])
    planned = cli(*ours.options, "fetch", "ours")
    assert planned.code == 0, planned.err
    assert "3 rows of 3" in planned.err
    assert "nothing to do" in cli(*ours.options, "fetch", "ours").err
    assert cli(*ours.options, "verify").code == 0
    receipt = json.loads((tmp_path / FOLDER / "receipt.json").read_text())
    sizes = {one["name"]: one["size"] for one in receipt["files"] if one["role"] == "images"}
    assert sizes == {f"images/ISIC_{number:07}.jpg": len(picture(number)) for number in range(3)}
