"""Progress: bars in one line each at any width, a total over all files, and a line every 30 seconds in a log."""

import io
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dermdata.api.display import (
    BarsProgress,
    LinesProgress,
    Waits,
    format_duration,
    make_bars,
    shorten_middle,
)
from dermdata.hosts import request_limits
from dermdata.http import NetworkSettings
from dermdata.model import RequestLimit
from dermdata.progress import ALL_BYTES, Progress, SummedProgress
from support import made_up_dataset
from support.made_up_dataset import Ours
from support.servers import Site

LONG = "unpack HAM10000_segmentations_lesion_tschandl.zip"


def draw(width: int, fill: Callable[[Progress], None]) -> list[str]:
    """The lines that a terminal of this width shows."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False
    )
    waits: Waits = {}
    bars = make_bars(console, waits)
    fill(BarsProgress(bars, waits))
    with console.capture() as shown:
        console.print(bars.get_renderable())
    return shown.get().rstrip("\n").split("\n")


def four_tasks(progress: Progress) -> None:
    progress.begin("ham10000: 4 files", 2_770_000_000, ALL_BYTES)
    progress.begin("HAM10000_images_part_1.zip", 1_366_522_108)
    progress.begin(LONG, None)
    progress.begin(LONG, 27_500_000)  # its directory is read
    progress.begin("manifest", 10_015, "rows")
    for task in ("ham10000: 4 files", "HAM10000_images_part_1.zip"):
        progress.advance(task, 999_900_000)
    progress.advance(LONG, 9_800_000)
    progress.advance("manifest", 3_000)


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 120, 200])
def test_each_task_is_one_line_that_fits(width: int) -> None:
    """Nothing wraps, and no number is cut: 80x24 of tmux and narrower."""
    lines = draw(width, four_tasks)
    assert len(lines) == 4, lines
    assert max(map(len, lines)) <= width
    assert all(line.startswith(name) for line, name in zip(lines, ("ham", "HAM", "unp", "man"), strict=True))
    amounts = ("/2.8 GB", "/1.4 GB", "9.8/27.5 MB", "3,000/10,015")
    assert [amount for amount, line in zip(amounts, lines, strict=True) if amount not in line] == []


def test_the_ending_of_a_long_name_is_seen() -> None:
    """Two archives of one publisher differ at their end."""
    assert any("tschandl.zip" in line for line in draw(80, four_tasks))
    assert shorten_middle("abcdefghij", 5) == "ab…ij"[:5]
    for width in range(3, 60):
        assert len(shorten_middle(LONG, width)) == min(width, len(LONG))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_log_gets_a_line_every_30_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """The total first, with its rate; between two of them nothing, and a line a file at its end as before."""
    lines = LinesProgress(clock)
    progress = SummedProgress(lines, "pad: 2 files", {"a.zip", "b.zip"})
    lines.begin("pad: 2 files", 1_000_000_000, ALL_BYTES)
    progress.begin("a.zip", 400_000_000)
    for _ in range(12):
        clock.now += 10
        progress.advance("a.zip", 30_000_000)
    told = capsys.readouterr().err.splitlines()
    shares = ((9, 22), (18, 45), (27, 67), (36, 90))
    assert told == [f"pad: 2 files {all_}% 3.0 MB/s, a.zip {one}% 3.0 MB/s" for all_, one in shares]
    progress.end("a.zip")
    lines.end("pad: 2 files")
    assert capsys.readouterr().err.splitlines() == ["a.zip: 360.0 MB", "pad: 2 files: 360.0 MB in 2 min 0 s"]


def test_what_is_no_bytes_and_what_has_no_total_is_told_too(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = LinesProgress(clock)
    progress.begin("look at images", 400, "images")
    progress.begin("unpack a.tar", None)
    progress.advance("unpack a.tar", 60_000_000)
    clock.now = 31
    progress.advance("look at images", 100)
    assert capsys.readouterr().err == "look at images 25%, unpack a.tar 60.0 MB 1.9 MB/s\n"
    clock.now = 62
    progress.advance("unpack a.tar", -60_000_000)  # it starts over
    assert "unpack a.tar 0 B 0 B/s" in capsys.readouterr().err


def test_what_is_quick_says_no_more_than_its_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = LinesProgress(clock)
    for number in range(100):
        progress.begin("a.csv", 10)
        clock.now += 1
        progress.advance("a.csv", 10)
        progress.end("a.csv")
        assert capsys.readouterr().err == "a.csv: 10 B\n", number


ZENODO = ("zenodo.org", 12.0, "its limit is 60 requests a minute")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_wait_stands_below_the_bars_for_as_long_as_it_lasts(width: int) -> None:
    """One line a host, however many threads wait for it; cut at its end where there is no room."""
    whole = "zenodo.org: waits 12 s, its limit is 60 requests a minute"

    running = ExitStack()  # two threads that wait until the end

    def wait(progress: Progress) -> None:
        four_tasks(progress)
        for _ in range(2):
            running.enter_context(progress.show_wait(*ZENODO))
        with progress.show_wait("osf.io", 3, "as it asks"):
            pass

    with running:
        lines = draw(width, wait)
    assert len(lines) == 5
    assert lines[-1].rstrip() == (whole if width > len(whole) else f"{whole[: width - 1]}…")


def test_a_log_tells_a_wait_that_is_worth_a_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the same host one every 30 seconds, also while several threads wait; nothing of a second or two."""
    progress = LinesProgress(clock)
    for seconds in (2.9, 12.0, 12.0, 11.2):
        with progress.show_wait(ZENODO[0], seconds, ZENODO[2]):
            clock.now += 1
    assert capsys.readouterr().err == "zenodo.org: waits 12 s, its limit is 60 requests a minute\n"
    clock.now += 30
    with progress.show_wait(*ZENODO):
        pass
    assert capsys.readouterr().err.count("waits 12 s") == 1


def test_a_fetch_keeps_a_limit_across_its_files(
    cli: Callable[..., Any], ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four files of a host that lets itself be asked five times a second: none is refused, and it takes its time."""
    limit = RequestLimit(name="data", host=r"data\.example", guest=((2, 0.4),))
    monkeypatch.setattr(request_limits, "LIMITS", (limit,))
    times: list[float] = []
    answer = ours.site.answer
    monkeypatch.setattr(
        ours.site, "answer", lambda request: (times.append(time.monotonic()), answer(request))
    )
    assert cli(*ours.options, "fetch", "ours").code == 0
    assert len(times) >= 4
    assert min(later - earlier for earlier, later in zip(times, times[2:], strict=False)) > 0.38


@pytest.mark.parametrize("way", ["limit", "proxy"])
def test_what_keeps_from_every_image_makes_none_of_them_dead(
    cli: Callable[..., Any], tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Images have addresses of their own, and a dead one is noted; a used-up hour and a proxy that is away are not."""
    monkeypatch.setattr(made_up_dataset, "ENTRY", made_up_dataset.ENTRY.replace('"open"', '"per-image"'))
    table = made_up_dataset.TABLE.replace('"table.csv"', '"table.csv"\nimage_url = "url"')
    ours = Ours(tmp_path, site, listing="rows", table=table.replace("masks =", "# "))
    names = [f"{made_up_dataset.name_of(number)}.jpg" for number in range(4)]
    lines = made_up_dataset.rows(range(4)).decode().splitlines()
    cells = ["url", *(f"https://images.example/{name}" for name in names)]
    ours.put("table.csv", "metadata", "\n".join(map(",".join, zip(lines, cells, strict=True))).encode())
    for number, name in enumerate(names):
        site.put(f"https://images.example/{name}", made_up_dataset.picture(number))
    assert cli(*ours.options, "fetch", "ours", "--only", "metadata").code == 0
    with monkeypatch.context() as patch:
        limit = RequestLimit(name="images", host=r"images\.example", guest=((1, 3600),))
        patch.setattr(request_limits, "LIMITS", (limit,) if way == "limit" else ())
        patch.setattr(NetworkSettings, "pause", lambda *_: None)
        patch.setenv("HTTPS_PROXY", "http://anna:geheim@nosuch.invalid:3128")
        answer = cli(*(ours.options if way == "limit" else ours.options[:2]), "fetch", "ours")
    assert answer.code == {"limit": 8, "proxy": 3}[way], answer.err
    said = {
        "limit": "images.example may be asked again in 36",
        "proxy": "cannot connect to the proxy nosuch.inv",
    }
    assert said[way] in answer.err
    answer = cli(*ours.options, "fetch", "ours")
    assert answer.code == 0, answer.err
    assert len(list((tmp_path / "cache").rglob("IM_*.jpg"))) == 4


@pytest.mark.parametrize(
    "words", [[], ["--limit", "3"], ["--mirror-out", "out"]], ids=["whole", "part", "mirror"]
)
def test_ctrl_c_ends_a_wait_at_once(
    cli: Callable[..., Any], ours: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """A host wants nobody to ask it for a minute and a half: whoever gives up is not kept waiting."""
    limit = RequestLimit(name="data", host=r"data\.example", guest=((2, 90),))
    monkeypatch.setattr(request_limits, "LIMITS", (limit,))
    monkeypatch.chdir(tmp_path)
    pressed, waited = threading.Event(), threading.Event()

    def sleep(*_: object) -> None:
        if not pressed.is_set():
            pressed.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        waited.wait(20)

    monkeypatch.setattr(NetworkSettings, "pause", sleep)
    begun = time.monotonic()
    try:
        assert cli(*ours.options, "fetch", "ours", *words).code == 130
        assert time.monotonic() - begun < 10
    finally:
        waited.set()


def test_any_width_any_name() -> None:
    """Names and widths by chance: one line a task, whatever they are."""
    dice = random.Random(7)
    for _ in range(40):
        names = [
            "".join(dice.choices("abcß漢_. -", k=dice.randint(1, 120))) + str(number) for number in range(4)
        ]
        width = dice.randint(40, 250)

        def fill(progress: Progress, names: list[str] = names) -> None:
            for name in names:
                progress.begin(name, dice.choice([None, 0, 10**12]), dice.choice(["B", "rows", ALL_BYTES]))
                progress.advance(name, dice.randint(0, 10**11))

        assert len(draw(width, fill)) == len(names), (width, names)


def test_a_fetch_has_one_total_and_its_zips_have_theirs(
    cli: Callable, ours: Ours, monkeypatch: pytest.MonkeyPatch, small_catalog: None
) -> None:
    """Four files: their sum is known before the first byte, and what an archive holds before it is unpacked."""
    begun: list[tuple[str, int | None, str]] = []
    usual = LinesProgress.begin

    def note(self: LinesProgress, task: str, total: int | None, unit: str = "B") -> None:
        begun.append((task, total, unit))
        usual(self, task, total, unit)

    monkeypatch.setattr(LinesProgress, "begin", note)
    ours.files = {
        name: (role, data, f"{more}\nsize = {len(data)}") for name, (role, data, more) in ours.files.items()
    }
    assert cli(*ours.options, "fetch", "ours").code == 0
    total = sum(len(data) for _, data, _ in ours.files.values())
    assert begun[0] == ("ours: 4 files", total, ALL_BYTES)
    for name in ("a.zip", "b.zip", "masks.zip"):
        known = [one for task, one, _ in begun if task == f"unpack {name}"]
        assert known[-1] is not None, name


def test_durations() -> None:
    words = ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "25 h 0 min"]
    assert [format_duration(one) for one in (0.4, 59, 61, 3661, 90_000)] == words
