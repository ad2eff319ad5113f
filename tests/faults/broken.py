"""The deliberately broken downloader: each variant breaks what one promise says, and must be found out.

`python -m faults.broken VARIANT words…` runs one command line with that variant plugged in.
"""

import atexit
import os
import pickle
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

Patch = Callable[[Any, str, Any], None]
BRIEF: dict[str, Any] = {
    "connect_timeout": 2,
    "read_timeout": 0.3,
    "head_deadline": 0.6,
    "minimum_rate_window": 0.4,
}


def nothing(*_args: Any, **_options: Any) -> None:
    """In place of a check."""


def no_checksum(patch: Patch) -> None:
    """Promise 1: whatever came is right."""
    from dermdata.checksum import Hasher

    patch(Hasher, "require", nothing)
    patch(Hasher, "matches", lambda *_: True)


def partials_have_final_names(patch: Patch) -> None:
    """Promise 1: as curl, wget and aria2 write."""
    from dermdata.http.partial_file import PartialFile

    begin = PartialFile.__init__

    def init(self: Any, target: Path, key: str, checksum: str | None) -> None:
        begin(self, target, key, checksum)
        self._shared = self._path = target

    patch(PartialFile, "__init__", init)


def no_resume(patch: Patch) -> None:
    """Promise 2: as pooch and isic-cli."""
    from dermdata.http import responses

    patch(responses, "range_headers", lambda *_, **__: {})


def no_notes(patch: Patch) -> None:
    """Promise 2: nothing is on record of what came before the kill."""
    from dermdata.http.partial_file import PartialFile

    patch(PartialFile, "record", nothing)


def rename_before_fsync(patch: Patch) -> None:
    """Promise 3: the name is there before the bytes are."""
    from dermdata.http.partial_file import PartialFile

    def finish(self: Any) -> None:
        self._path.replace(self.target)
        os.fsync(self._file)

    patch(PartialFile, "finish", finish)


def records_without_fsync(patch: Patch) -> None:
    """Promise 3: receipt, contents and manifest go to the page cache."""
    from dermdata import disk

    @contextmanager
    def replacing(target: Path) -> Iterator[Any]:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        with temporary.open("wb") as file:
            yield file
        temporary.replace(target)

    patch(disk, "atomic_write", replacing)


def no_if_range(patch: Patch) -> None:
    """Promise 4: a range without condition, as hf, curl and wget ask."""
    from dermdata.http import responses

    patch(responses, "range_headers", lambda _, offset, **__: {"Range": f"bytes={offset}-"} if offset else {})


def appends_anything(patch: Patch) -> None:
    """Promise 4: a 206 is a 206."""
    from dermdata.http import responses

    interpret = responses.interpret_response

    def careless(status: int, headers: Any, version: Any, offset: int, size: int | None) -> Any:
        if status == 206:
            return responses.RangeBody(total=version.total)
        return interpret(status, headers, version, offset, size)

    patch(responses, "interpret_response", careless)


def tries_fifty_times(patch: Patch) -> None:
    """Promise 5: no end of retries."""
    from dermdata.http.policy import RetryBudget

    begin = RetryBudget.__init__
    patch(RetryBudget, "__init__", lambda self, net, *rest: begin(self, replace(net, attempts=50), *rest))


def deaf_to_retry_after(patch: Patch) -> None:
    """Promise 5: as if the server had not named a time."""
    from dermdata.http import request_rates

    patch(request_rates, "parse_retry_after", nothing)


def no_turns(patch: Patch) -> None:
    """Promise 5: every thread at one host at once."""
    from dermdata.http.redirects import HostLimits

    patch(HostLimits, "connection", lambda *_: nullcontext())


def waits_for_ever(patch: Patch) -> None:
    """Promise 6: no limit of time or rate."""
    from dermdata.http import HttpClient

    begin = HttpClient.__init__
    patient = {"read_timeout": 600, "head_deadline": 600, "minimum_rate_window": 600}
    patch(HttpClient, "__init__", lambda self, network: begin(self, replace(network, **patient)))


def asks_for_no_room(patch: Patch) -> None:
    """Promise 7: writes until the disk is full."""
    from dermdata import disk
    from dermdata.http import download

    patch(disk, "require_space", nothing)
    patch(download, "require_space", nothing)


def a_full_disk_is_a_bug(patch: Patch) -> None:
    """Promise 7: the operating system's error as it comes."""
    from dermdata.http import partial_file

    patch(partial_file, "storage_errors", lambda *_: nullcontext())


def no_locks(patch: Patch) -> None:
    """Promise 8: two at once."""
    from dermdata.cache import Cache

    patch(Cache, "lock", lambda *_, **__: nullcontext())


def extractall(patch: Patch) -> None:
    """Promise 9: tarfile's own way, as pooch.Untar on Python 3.11."""
    from dermdata import archive

    def unpack(source: Path, kind: str, folder: Path, **_: Any) -> Any:
        with tarfile.open(source) as tar:
            tar.extractall(folder, filter="fully_trusted")
        return archive.Extraction(contents=(), junk=0, unwanted=0)

    patch(archive, "extract", unpack)


def no_limits(patch: Patch) -> None:
    """Promise 10: as much as the archive says."""
    from dermdata.archive.policy import MemberChecker

    patch(MemberChecker, "check_limit", nothing)


def hops_without_end(patch: Patch) -> None:
    """Promise 10: follows redirects as long as they come (a thousand will do)."""
    from dermdata.http import HttpClient

    begin = HttpClient.__init__
    patch(HttpClient, "__init__", lambda self, network: begin(self, replace(network, redirects=1000)))


def secrets_to_every_host(patch: Patch) -> None:
    """Promise 11: as httpx's own redirects treat headers of a name they do not know."""
    from dermdata.http import urls

    patch(urls, "sends_secrets", lambda *_: True)


def addresses_with_queries(patch: Patch) -> None:
    """Promise 11: shows addresses as they are, signature and all."""
    from dermdata.http import urls

    for module in [module for name, module in sys.modules.items() if name.startswith("dermdata.")]:
        if getattr(module, "redact", None) is urls.redact:
            patch(module, "redact", str)


def unpickles(patch: Patch) -> None:
    """Promise 12: looks into every file that the dataset brings."""
    from dermdata.fetching import ingest

    contents = ingest.collect_contents

    def look(file: Any, taken: Any, *rest: Any) -> Any:
        if file.name.endswith(".pkl"):
            pickle.loads(taken.path.read_bytes())
        return contents(file, taken, *rest)

    patch(ingest, "collect_contents", look)


def takes_any_page(patch: Patch) -> None:
    """Promise 13: a page is a file."""
    from dermdata.http import error_pages

    patch(error_pages, "find_wrong_content", nothing)
    patch(error_pages, "explain_page", nothing)


def verifies_sizes(patch: Patch) -> None:
    """Promise 14: size is integrity."""
    from dermdata import verification as verify

    patch(verify, "check_checksum", verify.check_size)


def sees_no_strangers(patch: Patch) -> None:
    """Promise 14: only what is on record is looked at."""
    from dermdata import verification as verify

    patch(verify, "find_extra_files", lambda *_: iter(()))


def notes_the_machine(patch: Patch) -> None:
    """Promise 15: what differs from run to run is in the manifest."""
    from dermdata.fetching import assemble

    about = assemble.manifest_metadata
    patch(
        assemble, "manifest_metadata", lambda *args: {**about(*args), "host": f"{hash('host')} {time.tzname}"}
    )


def drops_rows_silently(patch: Patch) -> None:
    """Promise 15: what does not fit is not mentioned."""
    from dermdata.api import fetch_outcome, fetch_request

    patch(fetch_outcome, "remarks", lambda _: [])
    patch(fetch_request, "require_usable", nothing)


def apply(name: str, patch: Patch) -> None:
    """Plug a variant in; `none` is the downloader as it is."""
    if name != "none":
        globals()[name](patch)


def note_peak(path: str) -> None:
    """Write how much memory this process had at most, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    Path(path).write_text(peak, encoding="utf-8")


if __name__ == "__main__":
    if "DESK_PEAK" in os.environ:
        atexit.register(note_peak, os.environ["DESK_PEAK"])
    from dermdata.cli.app import main
    from dermdata.cli.state import State
    from faults.desk import brief

    State.transfer = brief(State.transfer, [])  # type: ignore[method-assign]
    apply(sys.argv[1], setattr)
    main(sys.argv[2:])
