"""A fetch that fails leaves nothing that looks like a dataset; one that is interrupted is told as such, and goes on."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.made_up_dataset import HOST, Ours, images, masks
from support.servers import Site

pytestmark = pytest.mark.usefixtures("small_catalog")


def require_no_trace(cli: Callable, options: list[str], cache: Path) -> None:
    """No dataset in any list, nothing wrong, not a file but locks and the compiled catalog."""
    assert cli(*options, "cache", "list", "-f", "names").out == ""
    assert json.loads(cli(*options, "cache", "list", "-f", "json").out)["items"] == []
    assert cli(*options, "list", "--cached", "-f", "names").out == ""
    answer = cli(*options, "verify")
    assert (answer.code, answer.out) == (0, "")
    assert not [path for path in (cache / "datasets").rglob("*") if path.is_file()]


def gone(ours: Ours, site: Site) -> None:
    """The host has none of the files any more: 404."""
    for name in ours.files:
        del site.files[f"{HOST}{name}".partition("://")[2]]


def refused(ours: Ours, site: Site) -> None:
    """Each file is a page that wants a log-in."""
    for name in ours.files:
        site.put(HOST + name, b"<!doctype html><title>Sign in</title><input type=password>")


def altered(ours: Ours, site: Site) -> None:
    """Each file has other bytes than its checksum says."""
    for name, (_, data, _) in ours.files.items():
        site.put(HOST + name, data[:-1] + b"?")


def with_checksums(ours: Ours) -> None:
    import hashlib

    for name, (role, data, more) in ours.files.items():
        sums = f'\nchecksum = "sha256:{hashlib.sha256(data).hexdigest()}"'
        ours.files[name] = (role, data, more + sums)


@pytest.mark.parametrize("fault", [gone, refused, altered])
@pytest.mark.parametrize("before", ["", "--offline"])
def test_a_fetch_that_brings_nothing_leaves_nothing(
    cli: Callable, ours: Ours, site: Site, tmp_path: Path, fault: Callable[[Ours, Site], None], before: str
) -> None:
    """404, a log-in, wrong bytes, no network: neither a phantom in `cache list` nor a finding of `verify`."""
    with_checksums(ours)
    options = [*ours.options, *filter(None, [before])]
    fault(ours, site)
    assert cli(*options, "fetch", "ours").code in (3, 4, 6)
    require_no_trace(cli, options, tmp_path / "cache")


def test_a_fetch_without_an_account_leaves_nothing(cli: Callable, ours: Ours, tmp_path: Path) -> None:
    """Steps for the person, and no phantom."""
    entry = tmp_path / "catalog" / "datasets" / "ours" / "dataset.toml"
    options = ours.options
    text = entry.read_text().replace(
        'kind = "open"', 'kind = "account"\nservice = "derm7pt"\nurl = "https://data.example/"'
    )
    entry.write_text(text)
    assert cli(*options, "fetch", "ours").code == 6
    require_no_trace(cli, options, tmp_path / "cache")


def test_a_fetch_that_fails_in_part_keeps_what_came_and_calls_it_no_dataset(
    cli: Callable, ours: Ours, site: Site, tmp_path: Path
) -> None:
    """An archive is gone: the table and the other one are kept for the next fetch, and told; verify stays 0."""
    options = ours.options
    data = site.files.pop(f"{HOST}b.zip".partition("://")[2])
    assert cli(*options, "fetch", "ours").code == 3
    listed = cli(*options, "cache", "list", "-f", "names")
    assert listed.out == ""
    assert "of a fetch that failed are kept: `dermdata fetch ours` goes on" in listed.err
    assert json.loads(cli(*options, "cache", "list", "-f", "json").out)["kept_bytes"]["ours"] > 1000
    answer = cli(*options, "verify")
    assert (answer.code, answer.out) == (0, "")
    assert "ours: fetch was interrupted, run `dermdata fetch ours` again" in answer.err
    site.put(f"{HOST}b.zip", data)
    ours.asked()
    assert cli(*options, "fetch", "ours").code == 0
    assert {address.rpartition("/")[2] for address, _ in ours.asked()} == {"b.zip"}
    assert cli(*options, "cache", "list", "-f", "names").out == "ours\n"


def test_a_refused_table_leaves_nothing(cli: Callable, ours: Ours, site: Site, tmp_path: Path) -> None:
    """It came whole and is not what the entry says: no record of nothing."""
    ours.files = {"table.csv": ("metadata", b"other,columns\n1,2\n", "")}
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 4
    require_no_trace(cli, options, tmp_path / "cache")


@pytest.mark.parametrize("part", [["--limit", "3"], ["--where", "age > 30"], ["--only", "metadata"]])
def test_a_part_that_cannot_come_leaves_nothing(
    cli: Callable, ours: Ours, site: Site, tmp_path: Path, part: list[str]
) -> None:
    options = ours.options
    gone(ours, site)
    assert cli(*options, "fetch", "ours", *part).code == 3
    require_no_trace(cli, options, tmp_path / "cache")


def test_what_is_kept_can_be_removed_by_name(cli: Callable, ours: Ours, site: Site, tmp_path: Path) -> None:
    options = ours.options
    site.files.pop(f"{HOST}b.zip".partition("://")[2])
    cli(*options, "fetch", "ours")
    assert cli(*options, "cache", "remove", "ours").code == 0
    require_no_trace(cli, options, tmp_path / "cache")


def test_what_a_failed_fetch_keeps_is_no_dataset_to_take_along(
    cli: Callable, ours: Ours, site: Site, tmp_path: Path
) -> None:
    """No bundle is made of it, and no export of all that is cached."""
    options = ours.options
    site.files.pop(f"{HOST}b.zip".partition("://")[2])
    cli(*options, "fetch", "ours")
    answer = cli(*options, "cache", "bundle", "ours", "-o", tmp_path / "ours.tar")
    assert (answer.code, "ours is not complete" in answer.err) == (2, True), answer.err
    assert not (tmp_path / "ours.tar").exists()
    assert cli(*options, "export", "csv", "-o", tmp_path / "all.csv").code == 2
    assert cli(*options, "stats", "ours").code == 2


def test_what_a_failed_fetch_keeps_is_still_checked(
    cli: Callable, ours: Ours, site: Site, folder: Path
) -> None:
    """Not ended is no excuse for wrong bytes."""
    options = ours.options
    site.files.pop(f"{HOST}b.zip".partition("://")[2])
    cli(*options, "fetch", "ours")
    min((folder / "images").rglob("*.jpg")).write_bytes(b"other")
    answer = cli(*options, "verify", "-f", "json")
    assert answer.code == 1
    assert [item["status"] for item in json.loads(answer.out)["items"]] == ["modified"]


def interrupt(monkeypatch: pytest.MonkeyPatch, ours: Ours, after: str) -> None:
    """A power cut as soon as this file is whole and before the receipt has it: nothing is tidied up."""
    from dermdata.cache.cleanup import PendingFiles
    from dermdata.fetching.receipt_writer import ReceiptWriter

    usual = ReceiptWriter.record_file

    def die(self: ReceiptWriter, file: Any, *more: Any) -> None:
        if file.name != after:
            usual(self, file, *more)
            return
        monkeypatch.setattr(ReceiptWriter, "save_after_failure", lambda _: None)
        monkeypatch.setattr(PendingFiles, "clear", lambda _: None)
        monkeypatch.setattr(ReceiptWriter, "announce_file", dead)  # no other thread goes on either
        raise KeyboardInterrupt

    def dead(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dermdata.fetching.run.STREAMS", 1)
    monkeypatch.setattr(ReceiptWriter, "record_file", die)


@pytest.mark.parametrize("after", ["table.csv", "a.zip", "b.zip", "masks.zip"])
def test_an_interrupted_fetch_is_told_as_such_and_goes_on(
    cli: Callable, ours: Ours, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Its whole good files are not `extra`, its manifest is not `missing`; verify says what to run, with exit 0."""
    with_checksums(ours)
    options = ours.options
    interrupt(monkeypatch, ours, after)
    assert cli(*options, "fetch", "ours").code == 130
    monkeypatch.undo()
    answer = cli(*options, "verify", "-f", "json")
    document = json.loads(answer.out)
    assert (answer.code, document["items"], document["unfinished"]) == (0, [], ["ours"]), answer.out
    assert "ours: fetch was interrupted, run `dermdata fetch ours` again" in answer.err
    assert cli(*options, "fetch", "ours").code == 0
    answer = cli(*options, "verify", "ours", "-f", "json")
    assert (answer.code, json.loads(answer.out)["unfinished"]) == (0, [])


def test_what_was_there_is_not_counted_as_fetched(
    cli: Callable, ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files came before the power cut: nothing more is downloaded, and the last line says so."""
    with_checksums(ours)
    interrupt(monkeypatch, ours, list(ours.files)[-1])
    assert cli(*ours.options, "fetch", "ours").code == 130
    monkeypatch.undo()
    answer = cli(*ours.options, "fetch", "ours")
    assert (answer.code, "was there, its checksum is right" in answer.err) == (0, True), answer.err
    assert ", 0 B fetched" in answer.err


@pytest.mark.parametrize("after", ["table.csv", "a.zip", "masks.zip"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_an_interrupted_fetch_of_own_files_is_told_as_such(
    cli: Callable, ours: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, unpacked: bool
) -> None:
    """`--from` an archive, and `--from` what somebody has unpacked of it."""
    options, given = ours.options, tmp_path / "given"
    given.mkdir()
    for name, (_, data, more) in ours.files.items():
        if more and unpacked:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                archive.extractall(given / name.removesuffix(".zip"))
        else:
            (given / name).write_bytes(data)
    interrupt(monkeypatch, ours, after)
    assert cli(*options, "fetch", "ours", "--from", given).code == 130
    monkeypatch.undo()
    answer = cli(*options, "verify", "-f", "json")
    document = json.loads(answer.out)
    assert (answer.code, document["items"], document["unfinished"]) == (0, [], ["ours"]), answer.out
    assert cli(*options, "fetch", "ours", "--from", given).code == 0
    assert cli(*options, "verify", "ours").code == 0


def test_an_older_version_that_was_never_finished_is_no_matter_of_the_next_fetch(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """`fetch` would not go on with it: nobody is sent there."""
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    (folder.parent / "0.9").mkdir()
    (folder.parent / "0.9" / ".unfinished.json").write_text("")
    answer = cli(*options, "verify", "-f", "json")
    assert (answer.code, json.loads(answer.out)["unfinished"]) == (0, [])


def test_a_strangers_file_in_an_interrupted_fetch_is_extra(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ours.options
    interrupt(monkeypatch, ours, "b.zip")
    cli(*options, "fetch", "ours")
    monkeypatch.undo()
    (folder / "files" / "stranger.txt").write_text("?")
    answer = cli(*options, "verify", "-f", "json")
    assert answer.code == 1
    assert [item["status"] for item in json.loads(answer.out)["items"]] == ["extra"]


def test_a_complete_dataset_whose_refetch_failed_stays_one(cli: Callable, ours: Ours, site: Site) -> None:
    """`--force` that brings nothing: listed, complete, right."""
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    gone(ours, site)
    assert cli(*options, "fetch", "ours", "--force").code == 3
    (item,) = json.loads(cli(*options, "cache", "list", "-f", "json").out)["items"]
    assert (item["dataset"], item["complete"]) == ("ours", True)
    assert cli(*options, "verify", "ours").code == 0


# ------------------------------------------------------------------ --force starts anew


@pytest.mark.parametrize("name", ["table.csv", "a.zip", "masks.zip"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_force_takes_what_the_publisher_has_now(
    cli: Callable, ours: Ours, site: Site, folder: Path, tmp_path: Path, name: str, mirrored: bool
) -> None:
    """No checksum is published and the bytes are others: taken anew, said so, and held to from then on."""
    options = ours.options
    where: list[object] = ["--mirror", tmp_path / "usb"] if mirrored else []
    if mirrored:
        assert cli(*options, "fetch", "ours", "--mirror-out", tmp_path / "usb").code == 0
    assert cli(*options, "fetch", "ours", *where).code == 0
    new = {
        "table.csv": ours.files["table.csv"][1].replace(b"IM_0001,nv", b"IM_0001,df"),
        "a.zip": images([*range(1, 20), 0]),
        "masks.zip": masks(range(39)),
    }[name]
    site.put(HOST + name, new)
    if mirrored:
        (tmp_path / "usb" / "ours" / "SHA256SUMS").unlink(missing_ok=True)
        (tmp_path / "usb" / "ours" / name).write_bytes(new)
    answer = cli(*options, "fetch", "ours", "--force", *where)
    assert answer.code == 0, answer.err
    assert f"{name}: other bytes than those of" in answer.err
    assert answer.err.count("other bytes") == 1
    assert cli(*options, "verify", "ours").code == 0
    assert "other bytes" not in cli(*options, "fetch", "ours", "--force", *where).err


def test_without_force_other_bytes_are_refused_with_the_command(
    cli: Callable, ours: Ours, site: Site, folder: Path
) -> None:
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    site.put(f"{HOST}table.csv", ours.files["table.csv"][1] + b"IM_9999,nv,1\n")
    (folder / "files" / "table.csv").unlink()
    (folder / "receipt.json").write_text((folder / "receipt.json").read_text())
    answer = cli(*options, "fetch", "ours")
    assert (answer.code, "--force" in answer.err) == (4, True), answer.err


def test_force_holds_a_file_to_the_checksum_that_is_published(cli: Callable, ours: Ours, site: Site) -> None:
    """Anew is not unchecked."""
    with_checksums(ours)
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    altered(ours, site)
    assert cli(*options, "fetch", "ours", "--force").code == 4
    assert cli(*options, "verify", "ours").code == 0
