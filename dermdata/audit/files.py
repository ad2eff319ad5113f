"""Images that cannot be used as they are: unreadable, cut off, damaged, misnamed, or telling of the person."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from dermdata.audit.subject import Subject
from dermdata.finding import Finding, Level

ENDINGS = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"), "png": (".png",), "tiff": (".tif", ".tiff"), "gif": (".gif",),
    "bmp": (".bmp",), "webp": (".webp",),
}  # fmt: skip
SAYS_OF = {"place": "where it was taken", "name": "a person's name", "serial number": "the device's serial number",
           "date": "when it was taken", "text": "free text", "unreadable": "EXIF that cannot be read"}  # fmt: skip
GRAVE = {"place", "name"}  # may tell who the patient is


def unreadable(subject: Subject) -> Iterator[Finding]:
    """An error for each image that does not decode whole, a warning for what decoders forgive."""
    for row, seen in enumerate(subject.seen or ()):
        if seen is None:
            continue
        path, look = subject.words("path")[row], seen.look
        evidence = {"path": path, "format": look.format, "width": look.width, "height": look.height}
        if look.problem:
            code = "image-truncated" if look.problem.startswith("truncated") else "image-unreadable"
            said = {**evidence, "problem": look.problem}
            yield subject.finding("error", code, [row], f"{subject.keys[row]}: {look.problem}", said)
        elif look.damage:
            said = {**evidence, "problem": look.damage}
            text = f"{subject.keys[row]} decodes, but its data are damaged: {look.damage}"
            yield subject.finding("warning", "image-unreadable", [row], text, said)


def absent(subject: Subject) -> Iterator[Finding]:
    """The rows without an image file, by dataset and reason."""
    groups: dict[tuple[str | None, str], list[int]] = {}
    for row, path in enumerate(subject.words("path")):
        if path is None:
            why = subject.words("image_problem")[row] or "its images were not fetched"
            groups.setdefault((subject.words("dataset")[row], why), []).append(row)
    for (_, why), rows in sorted(groups.items(), key=str):
        text = f"{len(rows):,} rows have no image: {why}"
        yield subject.finding("note", "image-unreadable", rows, text, {"images": len(rows), "problem": why})


def misnamed(subject: Subject) -> Iterator[Finding]:
    """Files whose name's ending is another format's, by dataset: loaders that trust the ending fail on them."""
    groups: dict[tuple[str | None, str, str], list[int]] = {}
    for row, seen in enumerate(subject.seen or ()):
        ending = PurePosixPath(subject.words("path")[row] or "").suffix.lower()
        if seen and seen.look.format in ENDINGS and ending not in ENDINGS[seen.look.format]:
            groups.setdefault((subject.words("dataset")[row], seen.look.format, ending), []).append(row)
    for (_, form, ending), rows in sorted(groups.items(), key=str):
        text = f"{len(rows):,} files are {form} but end in '{ending}': loaders that trust the ending fail"
        evidence = {"images": len(rows), "format": form, "ending": ending}
        yield subject.finding("warning", "image-unreadable", rows, text, evidence)


def private(subject: Subject) -> Iterator[Finding]:
    """Metadata inside the files that tells of the person, by dataset and kind; the values are never shown."""
    rows: dict[tuple[str | None, str], list[int]] = {}
    tags: dict[tuple[str | None, str], Counter[str]] = {}
    for row, seen in enumerate(subject.seen or ()):
        for kind, tag in seen.look.private if seen else ():
            group = subject.words("dataset")[row], kind
            found = rows.setdefault(group, [])
            if not found or found[-1] != row:
                found.append(row)
            tags.setdefault(group, Counter())[tag] += 1
    for (name, kind), found in sorted(rows.items(), key=str):
        level: Level = "warning" if kind in GRAVE else "note"
        text = f"{len(found):,} images carry {SAYS_OF[kind]} in their EXIF, XMP, IPTC or comments"
        evidence = {"images": len(found), "kind": kind, "tags": dict(sorted(tags[name, kind].items()))}
        yield subject.finding(level, "exif-private", found, text, evidence)
