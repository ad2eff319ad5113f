"""SIGKILL at random moments over everything that writes, then: does the next run make it right?

    python tests/slow/chaos.py --runs 500 --seed 1 [--kinds fetch,sync,…]

A command is killed at a random moment of its measured length, or before a random one of its fsyncs, renames and
deletions. Then the same command, or the next plain `fetch`, must complete without help: exit 0, the reference's
bytes under all final names, the manifest and each exported file included, `verify` silent, nothing that only
`cache prune` would mend, nobody waiting for a lock. Three kinds alter an image or the source as well: what is not
right must be refused then. Exits 1 if that was ever otherwise, with the folder in which it can be looked at.

It judges the dermdata of the interpreter that runs it. 500 kills take some eight minutes on two cores.
"""

import argparse
import io
import itertools
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.stage import HOST, CountingSite, finals, noise, own
from support.forks import Forks, Job, Outcome

IMAGES, SIDE = 12, 96
ENTRY = """
name = "ours"
title = "Ours"
kind = "dataset"
summary = "small pictures of noise"
version = "1"
[access]
kind = "open"
evidence = "made by the tests"
[license]
id = "CC-BY-4.0"
[[table]]
reader = "table"
file = "table.csv"
[table.columns]
image_id = "id"
label_raw = "dx"
patient_id = "patient"
age = "age"
sex = "sex"
"""
LABELS = (
    "field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote\n"
    "dx\tnv\tmelanocytic-nevus\texactMatch\t\t\t\ndx\tmel\tmelanoma\texactMatch\t\t\t\n"
)
ROLES = {"table.csv": "metadata", "loose.bin": "other"}
UNPACK = {".zip": "zip", ".tar.gz": "tar.gz"}
UNCHECKED = "loose.bin"  # published without a checksum
PARTS = [
    ("--limit", "5"),
    ("--limit", "9"),
    ("--where", "sex = 'female'"),
    ("--only", "metadata"),
    ("--only", "images"),
]
EXPORTS = {
    "webdataset": [(), ("--size", "32")],
    "imagefolder": [(), ("--copy",), ("--size", "32"), ("--strip-exif",)],
    "huggingface": [(), ("--size", "32")],
    "parquet": [("--embed",), ("--embed", "--size", "32")],
    "csv": [()],
}
SINGLE = {"parquet": "out.parquet", "csv": "out.csv"}  # what is one file, not a folder
FINAL = {"ended", "killed"}
WAITING = "waiting for"
REFUSED = 4
BUSY = 5
SHOWN = 8  # problems of one trial
GUESSED = 0.25, 60  # seconds and boundaries of a command that was not measured


def made_files() -> dict[str, bytes]:
    """The files of the dataset as its publisher gives them: a zip, a tar.gz, a table, a loose one."""
    first, second = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(first, "w", zipfile.ZIP_STORED) as archive:
        for number in range(IMAGES - 4):
            member = zipfile.ZipInfo(f"pictures/IMG_{number:03d}.jpg", (2020, 1, 1, 0, 0, 0))
            archive.writestr(member, noise(number, SIDE))
    with tarfile.open(fileobj=second, mode="w:gz") as archive:
        for number in range(IMAGES - 4, IMAGES):
            member = tarfile.TarInfo(f"IMG_{number:03d}.jpg")
            data = noise(number, SIDE)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    rows = "".join(
        f"IMG_{number:03d},{('nv', 'mel')[number % 2]},P{number // 3},{20 + number},{('female', 'male')[number % 2]}\n"
        for number in range(IMAGES)
    )
    return {
        "images.zip": first.getvalue(),
        "more.tar.gz": second.getvalue(),
        "table.csv": f"id,dx,patient,age,sex\n{rows}".encode(),
        UNCHECKED: random.Random(7).randbytes(200_000),
    }


def publish(folder: Path, site: CountingSite, files: dict[str, bytes]) -> list[str]:
    """Put the files on the server, their entry into a catalog; the options that lead there."""
    text = [ENTRY]
    for name, data in files.items():
        site.put(HOST + name, data)
        lines = ["[[files]]", f'name = "{name}"', f'role = "{ROLES.get(name, "images")}"']
        lines += [f'urls = ["{HOST}{name}"]', f"size = {len(data)}"]
        lines += [f'checksum = "sha256:{sha256(data).hexdigest()}"'] if name != UNCHECKED else []
        lines += [f'unpack = "{kind}"' for end, kind in UNPACK.items() if name.endswith(end)]
        text.append("\n".join(lines))
    home = folder / "datasets" / "ours"
    home.mkdir(parents=True)
    (home / "dataset.toml").write_text("\n".join(text), encoding="utf-8")
    (home / "labels.tsv").write_text(LABELS, encoding="utf-8")
    return ["--catalog", str(folder), "--rewrite", site.rewrite]


def contents(place: Path) -> dict[str, bytes]:
    """A file, or every file of a folder but temporary ones, by path."""
    if place.is_file():
        return {"": place.read_bytes()}
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.name.endswith(".tmp")
    }


def differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """What is missing, extra or other, in words."""
    missing = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    extra = [f"{name} is extra" for name in found.keys() - wanted.keys()]
    other = [
        f"{name} has other bytes" for name in found.keys() & wanted.keys() if found[name] != wanted[name]
    ]
    return sorted([*missing, *extra, *other])


@dataclass
class Tally:
    """What was seen of one kind."""

    runs: int = 0
    killed: int = 0  # processes in flight
    right: int = 0
    wrong: list[str] = field(default_factory=list)  # trials with bytes that are not right, and nobody said so
    failed: list[str] = field(default_factory=list)  # trials that the next run did not mend
    left: int = 0  # hidden files that the next run left for `cache prune`
    seconds: float = 0


@dataclass
class Stage:
    """The server, the dataset, and what whole commands make of it when nobody disturbs them."""

    root: Path
    site: CountingSite
    forks: Forks
    measure: bool = True
    lengths: dict[str, tuple[float, int]] = field(default_factory=dict)  # label -> seconds, boundaries
    outputs: dict[str, dict[str, bytes]] = field(default_factory=dict)  # label -> the reference's files

    def __post_init__(self) -> None:
        self.files = made_files()
        self.options = publish(self.root / "catalog", self.site, self.files)
        self.altered = altered_zip(self.files["images.zip"])
        self.run(self.state("whole"), "fetch", "ours")
        self.good = finals(self.state("whole"))
        shutil.copytree(self.state("whole") / "index", self.state("empty") / "index")
        self.bundle, self.lock = self.root / "ours.tar", self.root / "cohort.lock"
        self.run(self.state("whole"), "cache", "bundle", "ours", "-o", self.bundle)
        self.run(
            self.state("whole"), "select", "ours", "--where", "age < 29", "-o", self.root / "some.parquet"
        )
        self.run(self.state("whole"), "lock", self.root / "some.parquet", "-o", self.lock)

    @property
    def trial(self) -> Path:
        """Where each trial happens, and each reference comes from: what is written may name its folder."""
        return self.root / "trial"

    def state(self, name: str) -> Path:
        """The cache that a kind begins with: empty, whole, or a part (made when first asked for)."""
        place = self.root / "states" / name
        if name.startswith("part") and not place.exists():
            shutil.copytree(self.state("empty"), place)
            self.run(place, "fetch", "ours", *PARTS[int(name[4:])])
        return place

    def line(self, cache: Path, *words: object) -> list[str]:
        return ["--cache", str(cache), *self.options, *map(str, words)]

    def run(self, cache: Path, *words: object) -> Outcome:
        """Undisturbed, to a good end."""
        (done,) = self.forks.run(Job(self.line(cache, *words)))
        if done.code:
            raise AssertionError(f"{' '.join(map(str, words))}: exit {done.code}\n{done.err}")
        return done

    def reference(self, out: str, *words: object) -> dict[str, bytes]:
        """What an undisturbed command makes of the whole cache under the name `out`."""
        label = " ".join(map(str, (*words, out)))
        if label not in self.outputs:
            place = self.root / "aside"
            if self.trial.exists():
                self.trial.rename(place)
            shutil.copytree(self.state("whole"), self.trial / "cache", symlinks=True)
            self.run(self.trial / "cache", *words, "-o", self.trial / "out" / out)
            self.outputs[label] = contents(self.trial / "out" / out)
            shutil.rmtree(self.trial)
            if place.exists():
                place.rename(self.trial)
        return self.outputs[label]

    def length(
        self, label: str, begin: Path, words: Callable[[Path, Path], Sequence[object]]
    ) -> tuple[float, int]:
        """How long a command takes, and how many boundaries it has; measured once."""
        if not self.measure:
            return GUESSED
        if label not in self.lengths:
            with tempfile.TemporaryDirectory(dir=self.root) as name:
                folder, count = Path(name), Path(name) / "count"
                shutil.copytree(begin, folder / "cache", symlinks=True)
                (folder / "out").mkdir()
                seconds = []
                for seams in ({}, {"count": count}):
                    again = folder / f"again{len(seconds)}"
                    shutil.copytree(folder / "cache", again, symlinks=True)
                    line = self.line(again, *words(again, folder / "out"))
                    (done,) = self.forks.run(Job(line, seams=seams))
                    seconds.append(done.seconds)
                    for made in (folder / "out").iterdir():
                        shutil.rmtree(made) if made.is_dir() else made.unlink()
                steps = len(count.read_text().splitlines()) if count.exists() else 1
                self.lengths[label] = (seconds[0], steps)
        return self.lengths[label]


def altered_zip(data: bytes) -> bytes:
    """An archive of the same size, sound in itself, whose last images are other ones."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for number, member in enumerate(old.infolist()):
            content = old.read(member)
            new.writestr(member, flipped(content) if number >= 6 else content)
    assert len(out.getvalue()) == len(data)
    return out.getvalue()


def flipped(content: bytes) -> bytes:
    """The same size, one byte in its middle another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


# ------------------------------------------------------------------ one trial


class Trial:
    """One random trial of a kind: a cache, an output folder, what is killed, what is judged."""

    def __init__(self, stage: Stage, kind: str, number: int, dice: random.Random, tally: Tally) -> None:
        self.stage, self.kind, self.dice, self.tally = stage, kind, dice, tally
        self.folder, self.aside = stage.trial, stage.root / "wrong" / f"{kind}-{number}"
        self.cache, self.out = self.folder / "cache", self.folder / "out"
        self.story: list[str] = []
        self.ending, self.problems = "", 0

    def begin(self, state: str) -> None:
        """A cache of its own in this state."""
        shutil.copytree(self.stage.state(state), self.cache, symlinks=True)
        self.out.mkdir(parents=True)
        self.start = self.stage.state(state)
        self.story.append(f"a cache that is {state}")

    def kill(self, *words: object) -> Outcome:
        return self.kill_some(words)[0]

    def kill_some(self, *commands: Sequence[object], both: bool = False) -> list[Outcome]:
        """Start commands at once; the first is killed, or all."""
        jobs = []
        for number, words in enumerate(commands):
            doomed = number == 0 or both
            jobs.append(self.doomed(words) if doomed else Job(self.stage.line(self.cache, *words)))
        return self.disturb(commands, jobs)

    def stop_one(self, first: Sequence[object], second: Sequence[object]) -> list[Outcome]:
        """The first stops at a random boundary, the second does its work meanwhile, if it is let, then the first goes on."""
        steps = self.measured(first)[1]
        lines = [self.stage.line(self.cache, *words) for words in (first, second)]
        return self.disturb(
            [first, second], [Job(lines[0], stop_at=self.dice.randint(1, steps)), Job(lines[1])]
        )

    def disturb(self, commands: Sequence[Sequence[object]], jobs: Sequence[Job]) -> list[Outcome]:
        found = self.stage.forks.run(*jobs)
        for words, job, done in zip(commands, jobs, found, strict=True):
            self.judge_killed(words, job, done)
        return found

    def doomed(self, words: Sequence[object]) -> Job:
        line = self.stage.line(self.cache, *words)
        seconds, steps = self.measured(words)
        if self.dice.random() < 0.5 or not self.stage.measure:
            return Job(line, seams={"kill_at": self.dice.randint(1, steps)})
        return Job(line, kill_after=self.dice.uniform(0, seconds))

    def measured(self, words: Sequence[object]) -> tuple[float, int]:
        place = lambda cache, out: [self.moved(word, cache, out) for word in words]  # noqa: E731
        return self.stage.length(self.label(words), self.start, place)

    def label(self, words: Sequence[object]) -> str:
        return " ".join(
            str(self.moved(word, Path("CACHE"), Path("OUT"))) for word in (self.start.name, *words)
        )

    def moved(self, word: object, cache: Path, out: Path) -> object:
        text = str(word)
        return text.replace(str(self.cache), str(cache)).replace(str(self.out), str(out))

    def judge_killed(self, words: Sequence[object], job: Job, done: Outcome) -> None:
        """What was killed is counted; what ended by itself must have ended in words."""
        text = " ".join(map(str, words))
        when = f"after {job.kill_after:.3f} s" if job.kill_after is not None else ""
        when = f"before boundary {job.seams['kill_at']}" if job.seams else when
        when = f"stopped for a while before boundary {job.stop_at}" if job.stop_at else when
        self.story.append(f"{text}: exit {done.code} {when}")
        if done.code == -signal.SIGKILL and (job.kill_after is not None or job.seams):
            self.tally.killed += 1
            return
        self.require_words(text, done)

    def require_words(self, text: str, done: Outcome) -> None:
        if done.how not in FINAL or done.code < 0 or done.code == 70 or "Traceback" in done.err:
            self.fail(f"{text}: {done.how}, exit {done.code}\n{done.err[-2000:]}")

    def complete(self, *words: object) -> Outcome:
        """The run that must mend it all."""
        (done,) = self.stage.forks.run(Job(self.stage.line(self.cache, *words)))
        text = " ".join(map(str, words))
        self.story.append(f"{text}: exit {done.code}")
        self.require_words(text, done)
        if done.code:
            self.fail(f"{text}: exit {done.code}\n{done.err[-2000:]}")
        if WAITING in done.err:
            self.fail(f"{text} waited for a lock: {done.err[-500:]}")
        return done

    def kill_and_complete(self, *words: object) -> None:
        """Kill it once, or several times, then let it end."""
        self.kill(*words)
        while self.dice.random() < 0.25:
            self.kill(*words)
        self.complete(*words)

    def fail(self, what: str) -> None:
        """The next run did not mend it."""
        self.note(what)
        self.ending = self.ending or "failed"

    def err(self, what: str) -> None:
        """Bytes that are not right, and nobody said so."""
        self.note(what)
        self.ending = "wrong"

    def note(self, what: str) -> None:
        self.problems += 1
        if self.problems <= SHOWN:
            self.story.append(f"=> {what}")

    def end(self) -> None:
        """Count the trial, with its story where it went wrong."""
        story = "\n  ".join([str(self.aside), *self.story]).replace(f"{self.folder}/", "")
        if self.ending:
            getattr(self.tally, self.ending).append(story)
        self.tally.runs, self.tally.right = self.tally.runs + 1, self.tally.right + (not self.ending)

    def check_names(self) -> None:
        """No final name holds other bytes; an archive that is not let go yet may be there."""
        for name, data in finals(self.cache).items():
            expected = self.stage.good.get(name, self.stage.files.get(name.rpartition("/")[2]))
            if not own(name) and not name.endswith("manifest.parquet") and data != expected:
                self.err(f"{name} holds other bytes after the kill")

    def check_cache(self) -> None:
        """Whole, byte for byte, and nothing is left that verify or prune would have a word on."""
        found = {name: data for name, data in finals(self.cache).items() if not own(name)}
        wanted = {name: data for name, data in self.stage.good.items() if not own(name)}
        for what in differences(found, wanted):
            self.err(f"cache: {what}") if what.endswith("bytes") else self.fail(f"cache: {what}")
        last = [("verify", "--quick")] if self.stage.measure else []
        for words in [("verify",), ("cache", "prune"), *last]:
            done = self.complete(*words)
            if words[0] == "verify" and done.out.strip():
                self.fail(f"verify lists {done.out.decode(errors='replace')[:500]}")
            elif words[0] == "cache" and " leftovers" in done.err:
                self.tally.left += int(done.err.rpartition(" leftovers")[0].split()[-1].replace(",", ""))

        self.tally.left += len(list(self.out.rglob(".*.tmp")))

    def check_output(self, name: str, *words: object) -> None:
        """What a command wrote is what it writes when nobody kills it."""
        wanted = self.stage.reference(name, *words)
        found = contents(self.out / name) if (self.out / name).exists() else {}
        for what in differences(found, wanted):
            self.err(f"{' '.join(map(str, words))}: {what}")

    def output(self, form: str) -> Path:
        return self.out / SINGLE.get(form, form)


# ------------------------------------------------------------------ the kinds


def kill_fetch(trial: Trial) -> None:
    """A whole fetch."""
    trial.begin("empty")
    trial.kill("fetch", "ours")
    trial.check_names()
    trial.kill_and_complete("fetch", "ours")
    trial.check_cache()


def kill_part(trial: Trial) -> None:
    """A part, then the whole, each of which may be killed."""
    trial.begin("empty")
    part = trial.dice.choice(PARTS)
    trial.kill("fetch", "ours", *part)
    trial.check_names()
    if trial.dice.random() < 0.7:
        trial.complete("fetch", "ours", *part)
        trial.complete("verify")
    trial.kill_and_complete("fetch", "ours")
    trial.check_cache()


def kill_rest(trial: Trial) -> None:
    """A whole fetch of what a part has left."""
    trial.begin(f"part{trial.dice.randrange(len(PARTS))}")
    trial.kill("fetch", "ours")
    trial.check_names()
    trial.kill_and_complete("fetch", "ours")
    trial.check_cache()


def kill_force(trial: Trial) -> None:
    """Everything, or a role, fetched again over what is there."""
    trial.begin(trial.dice.choice(["whole", "whole", "part0"]))
    only = trial.dice.choice([(), (), ("--only", "metadata"), ("--only", "images")])
    trial.kill("fetch", "ours", "--force", *only)
    trial.check_names()
    if trial.dice.random() < 0.3:
        trial.kill_and_complete("fetch", "ours", "--force", *only)
    trial.complete("fetch", "ours")
    trial.check_cache()


def kill_bundled(trial: Trial) -> None:
    """A fetch from a bundle."""
    state = trial.dice.choice(["empty", "empty", "part0", "part3"])
    trial.begin(state)
    words = ("fetch", "ours", "--from", trial.stage.bundle, *(("--force",) if state != "empty" else ()))
    trial.kill(*words)
    trial.check_names()
    if trial.dice.random() < 0.7:
        trial.kill_and_complete(*words)
    trial.complete("fetch", "ours")
    trial.check_cache()


def kill_adopted(trial: Trial) -> None:
    """A fetch from the publisher's files, downloaded by hand."""
    trial.begin("empty")
    given = trial.folder / "given"
    given.mkdir()
    for name, data in trial.stage.files.items():
        (given / name).write_bytes(data)
    trial.kill("fetch", "ours", "--from", given)
    trial.check_names()
    if trial.dice.random() < 0.7:
        trial.kill_and_complete("fetch", "ours", "--from", given)
    trial.complete("fetch", "ours")
    trial.check_cache()


def kill_bundle(trial: Trial) -> None:
    """The writing of a bundle."""
    trial.begin("whole")
    trial.kill_and_complete("cache", "bundle", "ours", "-o", trial.out / "ours.tar")
    trial.check_output("ours.tar", "cache", "bundle", "ours")
    trial.check_cache()


def kill_sync(trial: Trial) -> None:
    """A locked cohort brought and rebuilt."""
    trial.begin(trial.dice.choice(["empty", "empty", "part0", "part2", "whole"]))
    words = ("sync", trial.stage.lock)
    trial.kill(*words, "-o", trial.out / "some.parquet")
    trial.check_names()
    trial.kill_and_complete(*words, "-o", trial.out / "some.parquet")
    trial.check_output("some.parquet", *words)
    trial.complete("fetch", "ours")
    trial.check_cache()


def kill_export(trial: Trial, form: str) -> None:
    """An export; sometimes over one with other options, which may have been killed too."""
    trial.begin("whole")
    first, options = trial.dice.choice(EXPORTS[form]), trial.dice.choice(EXPORTS[form])
    words = ("export", form, "ours")
    if first != options and trial.dice.random() < 0.6:
        trial.kill(*words, *first, "-o", trial.output(form))
    trial.kill(*words, *options, "-o", trial.output(form))
    trial.kill_and_complete(*words, *options, "-o", trial.output(form))
    trial.check_output(trial.output(form).name, *words, *options)
    trial.check_cache()


def kill_select(trial: Trial) -> None:
    """A manifest written by select or split, in any form."""
    trial.begin("whole")
    words = trial.dice.choice(
        [("select", "ours", "--where", "age < 30"), ("split", "ours", "--by", "patient")]
    )
    name = f"out.{trial.dice.choice(['parquet', 'csv', 'jsonl'])}"
    trial.kill_and_complete(*words, "-o", trial.out / name)
    trial.check_output(name, *words)
    trial.check_cache()


def kill_repair(trial: Trial) -> None:
    """A repair of one file that was altered, cut or deleted; what lists the files is built anew by --force."""
    trial.begin("whole")
    name = trial.dice.choice(sorted(trial.stage.good))
    damage(trial, name, trial.dice.choice(["flip", "cut", "delete"]))
    words = ("fetch", "ours", "--force") if own(name) else ("verify", "--repair")
    trial.kill(*words)
    trial.kill_and_complete(*words)
    trial.complete("fetch", "ours")
    trial.check_cache()


def damage(trial: Trial, name: str, how: str) -> Path:
    place = trial.cache / "datasets" / "ours" / name
    data = place.read_bytes()
    place.unlink()  # images may be links to one stored file
    if how != "delete":
        place.write_bytes(flipped(data) if how == "flip" else data[: len(data) // 2])
    trial.story.append(f"{how} {name}")
    return place


def kill_one_of_two_on_a_cache(trial: Trial) -> None:
    """Two commands that write to one cache; one dies, or both."""
    trial.begin(trial.dice.choice(["empty", "part0", "whole"]))
    fetch = ("fetch", "ours")
    every = [
        fetch,
        (*fetch, "--limit", "5"),
        (*fetch, "--force"),
        (*fetch, "--from", trial.stage.bundle),
        ("sync", trial.stage.lock),
        ("cache", "prune"),
        ("verify", "--repair"),
        ("cache", "remove", "ours"),
    ]
    first, second = trial.dice.choice(every[:6]), trial.dice.choice(every)
    both = False
    if trial.dice.random() < 0.3:
        found = trial.stop_one(first, second)
    else:
        both = trial.dice.random() < 0.3
        found = trial.kill_some(first, second, both=both)
    # a bundle takes no other fetch's place: where there is one, or the first command brought one, that is told
    refused = "--from" in second and "in the cache already, as another fetch left it" in found[1].err
    if not both and second[0] in ("fetch", "sync") and found[1].code not in (0, BUSY) and not refused:
        trial.fail(f"the other one: exit {found[1].code}\n{found[1].err[-1000:]}")
    trial.check_names()
    trial.complete("fetch", "ours")
    trial.check_cache()


def kill_one_of_two_exports(trial: Trial) -> None:
    """Two exports into one folder, alike or not; one dies, or both, or none; then each alone is right."""
    trial.begin("whole")
    form = trial.dice.choice([*EXPORTS, "webdataset", "huggingface", "imagefolder"])
    every = EXPORTS[form]
    first, second = (
        trial.dice.sample(every, 2) if len(every) > 1 and trial.dice.random() < 0.8 else every[:1] * 2
    )
    lines = [("export", form, "ours", *options, "-o", trial.output(form)) for options in (first, second)]
    both = False
    if trial.dice.random() < 0.5:
        found = trial.stop_one(*lines)
    else:
        both = trial.dice.random() < 0.3
        found = trial.kill_some(*lines, both=both)
    if not both and found[1].code not in (0, BUSY):
        trial.fail(f"the other one: exit {found[1].code}\n{found[1].err[-1000:]}")
    for options in trial.dice.choice([(first, second), (second, first)]):
        trial.complete("export", form, "ours", *options, "-o", trial.output(form))
        trial.check_output(trial.output(form).name, "export", form, "ours", *options)
    trial.check_cache()


def refuse_altered_export(trial: Trial) -> None:
    """An image is another one of the same size: no export carries it, and after a repair all is right."""
    trial.begin("whole")
    form = trial.dice.choice([one for one in sorted(EXPORTS) if one != "csv"])
    options = trial.dice.choice(EXPORTS[form])
    if form == "imagefolder" and not options:
        options = ("--copy",)  # links show what is in the cache, by design
    images = sorted(one for one in trial.stage.good if one.endswith(".jpg"))
    damage(trial, trial.dice.choice(images), "flip")
    words = ("export", form, "ours", *options)
    trial.kill(*words, "-o", trial.output(form))
    (done,) = trial.stage.forks.run(Job(trial.stage.line(trial.cache, *words, "-o", trial.output(form))))
    trial.story.append(f"{' '.join(words)}: exit {done.code}")
    trial.require_words(" ".join(words), done)
    if done.code != REFUSED:
        trial.err(f"{' '.join(words)} of an altered image: exit {done.code}")
    trial.complete("verify", "--repair")
    trial.kill_and_complete(*words, "-o", trial.output(form))
    trial.check_output(trial.output(form).name, *words)
    trial.check_cache()


def refuse_altered_sync(trial: Trial) -> None:
    """An image is another one of the same size: neither `sync` nor `lock` says that it is the locked one."""
    trial.begin("whole")
    locked = [f"1/images/images/pictures/IMG_{number:03d}.jpg" for number in range(8)]
    damage(trial, trial.dice.choice(locked), "flip")
    words = trial.dice.choice([("sync", trial.stage.lock), ("lock", "ours", "-o", trial.out / "new.lock")])
    trial.kill(*words)
    (done,) = trial.stage.forks.run(Job(trial.stage.line(trial.cache, *words)))
    trial.require_words(str(words[0]), done)
    if done.code != REFUSED:
        trial.err(f"{words[0]} with an altered image: exit {done.code}")
    trial.complete("verify", "--repair")
    trial.complete(*words)
    trial.check_cache()


def refuse_changed_source(trial: Trial) -> None:
    """The source is another one, of the same size, for the whole or for a part: a whole never ends well with it."""
    trial.begin(trial.dice.choice(["part0", "part1", "part2", "empty"]))
    part = trial.dice.choice([(), (), ("--limit", "9")])
    trial.stage.site.put(HOST + "images.zip", trial.stage.altered)
    try:
        trial.kill("fetch", "ours", *part)
        if not part:
            trial.check_names()
        (done,) = trial.stage.forks.run(Job(trial.stage.line(trial.cache, "fetch", "ours", *part)))
    finally:
        trial.stage.site.put(HOST + "images.zip", trial.stage.files["images.zip"])
    trial.story.append(f"fetch {' '.join(part)} of a changed source: exit {done.code}")
    trial.require_words("fetch", done)
    if done.code not in (REFUSED, 0 if part else REFUSED):
        trial.err(f"fetch of a changed source: exit {done.code}\n{done.err[-500:]}")
    trial.complete("fetch", "ours")
    trial.check_cache()


def of_form(form: str) -> Callable[[Trial], None]:
    return lambda trial: kill_export(trial, form)


KINDS: dict[str, Callable[[Trial], None]] = {
    "fetch": kill_fetch,
    "part": kill_part,
    "rest": kill_rest,
    "force": kill_force,
    "bundled": kill_bundled,
    "adopted": kill_adopted,
    "bundle": kill_bundle,
    "sync": kill_sync,
    **{form: of_form(form) for form in EXPORTS},
    "select": kill_select,
    "repair": kill_repair,
    "two-fetches": kill_one_of_two_on_a_cache,
    "two-exports": kill_one_of_two_exports,
    "altered-export": refuse_altered_export,
    "altered-sync": refuse_altered_sync,
    "changed-source": refuse_changed_source,
}


def try_kind(stage: Stage, kind: str, number: int, seed: int, tally: Tally, *, keep: bool = False) -> None:
    """One trial, with dice of its own; with `keep`, the folder stays where it went wrong."""
    trial, begun = (
        Trial(stage, kind, number, random.Random(f"{seed}/{kind}/{number}"), tally),
        time.monotonic(),
    )
    KINDS[kind](trial)
    trial.end()
    tally.seconds += time.monotonic() - begun
    if keep and trial.ending:
        trial.aside.parent.mkdir(exist_ok=True)
        trial.folder.rename(trial.aside)
    else:
        shutil.rmtree(trial.folder)


def try_kinds(stage: Stage, kinds: Sequence[str], runs: int, seed: int) -> dict[str, Tally]:
    """Kinds in turn, until so many processes were killed."""
    tallies = {kind: Tally() for kind in kinds}
    for number in itertools.count():
        if sum(one.killed for one in tallies.values()) >= runs:
            return tallies
        kind = kinds[number % len(kinds)]
        try_kind(stage, kind, number, seed, tallies[kind], keep=True)
    raise AssertionError("unreachable")


def show(tallies: dict[str, Tally]) -> str:
    """A line a kind, then what was wrong."""
    head = (
        f"{'kind':16}{'runs':>6}{'killed':>8}{'right':>7}{'wrong':>7}{'failed':>8}{'left':>6}{'seconds':>9}"
    )
    lines = [head]
    for kind, one in [*tallies.items(), ("all", total(tallies))]:
        counts = f"{one.runs:6}{one.killed:8}{one.right:7}{len(one.wrong):7}{len(one.failed):8}{one.left:6}"
        lines.append(f"{kind:16}{counts}{one.seconds:9.1f}")
    for kind, one in tallies.items():
        lines += [f"\n{kind}, wrong: {what}" for what in one.wrong]
        lines += [f"\n{kind}, failed: {what}" for what in one.failed]
    return "\n".join(lines)


def total(tallies: dict[str, Tally]) -> Tally:
    every = Tally()
    for one in tallies.values():
        for name, value in vars(one).items():
            setattr(every, name, getattr(every, name) + value)
    return every


def main() -> int:
    """Kill, print the figures, and say by the exit code whether all was mended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500, help="processes to kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS), help="only these, comma-separated")
    parser.add_argument("--room", type=Path, help="where to work; default: a temporary folder")
    options = parser.parse_args()
    import dermdata

    sys.stdout.write(f"dermdata of {Path(dermdata.__file__).parent}, seed {options.seed}\n")
    root = Path(tempfile.mkdtemp(prefix="chaos-", dir=options.room))
    with CountingSite() as site, Forks(root / "said") as forks:
        tallies = try_kinds(Stage(root, site, forks), options.kinds.split(","), options.runs, options.seed)
    sys.stdout.write(show(tallies) + "\n")
    every = total(tallies)
    if every.wrong or every.failed:
        sys.stdout.write(f"\nthe trials that went wrong are in {root / 'wrong'}\n")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
