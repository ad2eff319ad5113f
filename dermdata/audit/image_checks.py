"""Checks of image files and of their duplicates.

Unreadable, missing or misnamed files, private metadata, duplicates, conflicting labels and ids, leaks across a split.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from dermdata.audit.data import AuditData
from dermdata.audit.duplicate_groups import DuplicateGroup
from dermdata.images.orientation import AS_STORED
from dermdata.manifest.schema import OFFICIAL_SPLIT, OWN_SPLIT
from dermdata.markup import count_nouns
from dermdata.model import Finding, Level

FORMAT_EXTENSIONS = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"), "png": (".png",), "tiff": (".tif", ".tiff"), "gif": (".gif",),
    "bmp": (".bmp",), "webp": (".webp",), "heic": (".heic", ".heif"), "avif": (".avif",),
}  # fmt: skip
PRIVATE_KIND_PHRASES = {
    "place": "where it was taken",
    "name": "a person's name",
    "serial number": "the device's serial number",
    "date": "when it was taken",
    "text": "free text",
    "unreadable": "EXIF that cannot be read",
}
IDENTIFYING_KINDS = {"place", "name"}  # may tell who the patient is
DIGEST_COLUMN = "sha256"  # the check of a split would report copies, which are duplicates here
DUPLICATE_PHRASES = {
    "exact": "have the same bytes",
    "pixels": "have the same pixels in other bytes",
    "listed": "are one picture by a published list",
    "near": "are versions of one picture",
}
IDENTITY_PHRASES = {
    "exact": "one picture (same bytes)",
    "pixels": "one picture (same pixels)",
    "listed": "one picture (by a published list)",
    "near": "one picture (versions of it)",
    "isic_id": "one ISIC id",
    "lesion_id": "one lesion",
}
ID_PLURALS = {"patient_id": "patients", "lesion_id": "lesions", "case_id": "cases"}
MAX_KEYS_IN_MESSAGE = 4


def check_readable(data: AuditData) -> Iterator[Finding]:
    """An error for each image that does not decode whole, a warning for what decoders forgive."""
    for row, seen in enumerate(data.inspections or ()):
        if seen is None:
            continue
        path, look = data.text_column("path")[row], seen.look
        evidence = {"path": path, "format": look.format, "width": look.width, "height": look.height}
        if look.problem:
            code = "image-truncated" if look.problem.startswith("truncated") else "image-unreadable"
            text = f"{data.keys[row]}: {look.problem}"
            yield data.make_finding("error", code, [row], text, evidence | {"problem": look.problem})
        elif look.damage:
            text = f"{data.keys[row]} decodes, but its data are damaged: {look.damage}"
            more = evidence | {"problem": look.damage}
            yield data.make_finding("warning", "image-unreadable", [row], text, more)


def check_missing_files(data: AuditData) -> Iterator[Finding]:
    """The rows without an image file, by dataset and reason."""
    groups: dict[tuple[str | None, str], list[int]] = {}
    for row, path in enumerate(data.text_column("path")):
        if path is None:
            why = data.text_column("image_problem")[row] or "its images were not fetched"
            groups.setdefault((data.text_column("dataset")[row], why), []).append(row)
    for (_, why), rows in sorted(groups.items(), key=str):
        text = f"{count_nouns(len(rows), 'row', 'have')} no image: {why}"
        yield data.make_finding("note", "image-unreadable", rows, text, {"images": len(rows), "problem": why})


def check_extensions(data: AuditData) -> Iterator[Finding]:
    """Files whose name's ending is another format's, by dataset: loaders that trust the ending fail on them."""
    groups: dict[tuple[str | None, str, str], list[int]] = {}
    for row, seen in enumerate(data.inspections or ()):
        ending = PurePosixPath(data.text_column("path")[row] or "").suffix.lower()
        if (
            seen
            and seen.look.format in FORMAT_EXTENSIONS
            and ending not in FORMAT_EXTENSIONS[seen.look.format]
        ):
            groups.setdefault((data.text_column("dataset")[row], seen.look.format, ending), []).append(row)
    for (_, form, ending), rows in sorted(groups.items(), key=str):
        text = f"{count_nouns(len(rows), 'file', 'are')} {form} but end in '{ending}': loaders that trust the ending fail"
        evidence = {"images": len(rows), "format": form, "ending": ending}
        yield data.make_finding("warning", "image-unreadable", rows, text, evidence)


def check_orientation(data: AuditData) -> Iterator[Finding]:
    """Images whose tag says how to turn them, by dataset: some loaders obey, and then masks and sizes do not fit."""
    groups: dict[str | None, list[int]] = {}
    for row, turn in enumerate(data.orientations):
        if turn != AS_STORED:
            groups.setdefault(data.text_column("dataset")[row], []).append(row)
    for _, rows in sorted(groups.items(), key=str):
        masked = count_masked(data, rows)
        text = (
            f"{count_nouns(len(rows), 'image', 'have')} an EXIF orientation: "
            "loaders that obey it turn them, others do not"
        )
        text += f"; {masked:,} of them have a mask, which is not turned with them" if masked else ""
        turns = Counter(str(data.orientations[row]) for row in rows)
        evidence = {"images": len(rows), "masks": masked, "orientations": dict(sorted(turns.items()))}
        yield data.make_finding("warning" if masked else "note", "image-turned", rows, text, evidence)


def count_masked(data: AuditData, rows: Sequence[int]) -> int:
    """How many of the rows have a mask of any structure."""
    columns = data.value_column("mask_path"), data.value_column("masks")
    return sum(any(column[row] for column in columns) for row in rows)


def check_private_metadata(data: AuditData) -> Iterator[Finding]:
    """Metadata inside the files that tells of the person, by dataset and kind; the values are never shown."""
    rows: dict[tuple[str | None, str], list[int]] = {}
    tags: dict[tuple[str | None, str], Counter[str]] = {}
    for row, seen in enumerate(data.inspections or ()):
        for kind, tag in seen.look.private if seen else ():
            group = data.text_column("dataset")[row], kind
            found = rows.setdefault(group, [])
            if not found or found[-1] != row:
                found.append(row)
            tags.setdefault(group, Counter())[tag] += 1
    for (name, kind), found in sorted(rows.items(), key=str):
        level: Level = "warning" if kind in IDENTIFYING_KINDS else "note"
        text = (
            f"{count_nouns(len(found), 'image', 'carry')} {PRIVATE_KIND_PHRASES[kind]} "
            f"in {'its' if len(found) == 1 else 'their'} EXIF, XMP, IPTC or comments"
        )
        evidence = {"images": len(found), "kind": kind, "tags": dict(sorted(tags[name, kind].items()))}
        yield data.make_finding(level, "exif-private", found, text, evidence)


def check_duplicates(data: AuditData) -> Iterator[Finding]:
    """A warning for each picture that is there several times."""
    for one in data.duplicates:
        names = {data.text_column("dataset")[row] for row in one.rows}
        across = " across datasets" if len(names) > 1 else ""
        text = f"{list_keys(data, one.rows)} {DUPLICATE_PHRASES[one.how]}{across}"
        evidence = {
            "images": len(one.rows),
            "rows": row_evidence(data, one.rows),
            **pair_evidence(data, one),
        }
        code = "duplicate-near" if one.how == "listed" else f"duplicate-{one.how}"
        yield data.make_finding("warning", code, one.rows, text, {"how": one.how, **evidence})


def check_shared_isic_ids(data: AuditData) -> Iterator[Finding]:
    """A warning for each set of datasets that have ISIC ids in common, whose files may differ in size and encoding."""
    groups: dict[tuple[str, ...], list[list[int]]] = {}
    for rows in data.repeated_values("isic_id").values():
        names = tuple(sorted({data.text_column("dataset")[row] or "" for row in rows}))
        groups.setdefault(names, []).append(rows)
    for names, found in sorted(groups.items()):
        where = f"are in {' and '.join(names)}" if len(names) > 1 else f"are several times in {names[0]}"
        evidence = {"how": "isic_id", "images": len(found), "datasets": list(names)}
        rows = [row for some in found for row in some]
        yield data.make_finding(
            "warning",
            "duplicate-near",
            rows,
            f"{count_nouns(len(found), 'image')}, by isic_id, {where}",
            evidence,
        )


def list_keys(data: AuditData, rows: Sequence[int]) -> str:
    keys = [data.keys[row] for row in rows[:MAX_KEYS_IN_MESSAGE]]
    last = f"{len(rows) - len(keys):,} more" if len(rows) > len(keys) else keys.pop()
    return f"{', '.join(keys)} and {last}"


def row_evidence(data: AuditData, rows: Sequence[int]) -> dict[str, dict[str, str]]:
    """Key -> what the row says of the picture: label, ids and parts."""
    columns = ("label_raw", "diagnosis", *ID_PLURALS, *OWN_SPLIT, *OFFICIAL_SPLIT)
    return {
        data.keys[row]: {
            name: value for name in columns if (value := data.text_column(name)[row]) is not None
        }
        for row in rows
    }


def pair_evidence(data: AuditData, one: DuplicateGroup) -> dict[str, Any]:
    if not one.pairs:
        return {}
    return {"pairs": [{"keys": [data.keys[i], data.keys[j]], **how} for i, j, how in one.pairs]}


# ------------------------------------------------------------------ one picture, several ids


def check_duplicate_ids(data: AuditData) -> Iterator[Finding]:
    """A warning for one picture filed under several patients, lesions or cases of one dataset."""
    for one in data.duplicates:
        for dataset in sorted({str(data.text_column("dataset")[row]) for row in one.rows}):
            rows = [row for row in one.rows if str(data.text_column("dataset")[row]) == dataset]
            several = {name: ids for name in ID_PLURALS if len(ids := data.distinct_values(name, rows)) > 1}
            if several:
                under = " and ".join(f"{len(ids)} {ID_PLURALS[name]}" for name, ids in several.items())
                text = f"{list_keys(data, rows)} {DUPLICATE_PHRASES[one.how]} but are filed under {under}"
                yield data.make_finding("warning", "id-conflict", rows, text, {"how": one.how, **several})


# ------------------------------------------------------------------ one picture, several labels


def check_label_conflicts(data: AuditData) -> Iterator[Finding]:
    """Labels of one thing that cannot all be true: an error where the pixels are the same, else a warning."""
    reported: list[frozenset[int]] = []
    for how, rows in identity_groups(data):
        against = contradicting_rows(data, rows)
        if not against or any(one.issuperset(against) for one in reported):
            continue
        reported.append(frozenset(against))
        words = ", ".join(
            f"{data.keys[row]}: {data.text_column('label_raw')[row]}" for row in against[:MAX_KEYS_IN_MESSAGE]
        )
        text = f"{IDENTITY_PHRASES.get(how, how)} has labels that cannot all be true ({words})"
        evidence = {"how": how, "labels": {data.keys[row]: data.label_evidence(row) for row in against}}
        level: Level = "error" if how in ("exact", "pixels") else "warning"
        yield data.make_finding(level, "label-conflict", against, text, evidence)


def identity_groups(data: AuditData) -> Iterator[tuple[str, Sequence[int]]]:
    """What rows are of one thing, surest first."""
    order = ("exact", "pixels", "isic_id", "listed", "near", "lesion_id")
    groups: list[tuple[str, Sequence[int]]] = [(one.how, one.rows) for one in data.duplicates]
    groups += [
        (name, rows) for name in ("isic_id", "lesion_id") for rows in groups_with_several_labels(data, name)
    ]
    yield from sorted(groups, key=lambda group: order.index(group[0]))


def groups_with_several_labels(data: AuditData, name: str) -> list[tuple[int, ...]]:
    """The rows of each id that several rows have and that have several labels."""
    groups, labels = data.repeated_values(name).values(), data.row_labels
    return [tuple(rows) for rows in groups if len({labels[row] for row in rows}) > 1]


def contradicting_rows(data: AuditData, rows: Sequence[int]) -> list[int]:
    """The rows of which another one's label cannot be true as well."""
    labels, compare = data.row_labels, data.judge.compare
    return [row for row in rows if any(compare(labels[row], labels[one]) == "contradicts" for one in rows)]


# ------------------------------------------------------------------ across the parts of a split


def check_leaks(data: AuditData) -> Iterator[Finding]:
    """An error for what is in several parts of the split in force: the rows' own, else the publisher's.

    Where there is an own split, leaks of the publisher's are warnings: nobody trains by it.
    """
    own = any(has_parts(data, name) for name in OWN_SPLIT)
    official = any(has_parts(data, name) for name in OFFICIAL_SPLIT)
    levels: dict[tuple[str, ...], Level] = {}
    if own:
        levels[OWN_SPLIT] = "error"
    if official:
        levels[OFFICIAL_SPLIT] = "warning" if own else "error"
    for columns, level in levels.items():
        yield from id_leaks(data, columns, level)
        for one in data.duplicates:
            yield from image_leaks(data, one, columns, level)


def has_parts(data: AuditData, name: str) -> bool:
    return any(value is not None for value in data.text_column(name))


def id_leaks(data: AuditData, columns: tuple[str, ...], level: Level) -> Iterator[Finding]:
    if data.check_split is None:
        return
    other = {*OWN_SPLIT, *OFFICIAL_SPLIT, DIGEST_COLUMN} - {*columns}
    table = data.table.drop_columns([name for name in other if name in data.table.column_names])
    yield from (replace(one, level=level) for one in data.check_split(table))


def image_leaks(
    data: AuditData, one: DuplicateGroup, columns: tuple[str, ...], level: Level
) -> Iterator[Finding]:
    for column in columns:
        rows = [row for row in one.rows if data.text_column(column)[row] is not None]
        parts = sorted({str(data.text_column(column)[row]) for row in rows})
        if len(parts) > 1:
            listed = f"{list_keys(data, rows)} {DUPLICATE_PHRASES[one.how]}"
            text = f"{listed} in several parts of {column}: {', '.join(parts)}"
            images = {part: sum(data.text_column(column)[row] == part for row in rows) for part in parts}
            evidence = {"column": column, "how": one.how, "images": images, **pair_evidence(data, one)}
            yield data.make_finding(level, "leak-image", rows, text, evidence)
