"""Official-looking raw files made from a catalog entry alone: what its hosts would give, in small.

One maker a reader shape. A dataset that is described well enough to be fetched is described well
enough to be faked; the contract tests hold every entry to that.
"""

import csv
import io
import itertools
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from PIL import Image

from dermdata.model import Dataset, File, Label, Table

ROWS = 7
BY_FIELD = {"age": "45", "sex": "female", "fitzpatrick": "3", "fitzpatrick_range": "1-2", "monk": "5",
            "modality": "dermoscopic", "fold_official": "1",
            "confirmation": "histopathology", "body_site": "", "malignancy": "benign",
            "split_official": "train"}  # fmt: skip


@dataclass
class Fake:
    """The raw files of one dataset, and what a fetch of them must give."""

    dataset: Dataset  # the entry, with the fakes' sizes and checksums and without published counts
    files: dict[str, bytes]
    labels: list[str] = field(default_factory=list)  # the raw label of each row that has one
    images: set[str] = field(default_factory=set)  # image ids


def fake(dataset: Dataset, labels: Sequence[Label]) -> Fake:
    """Fake every file that a fetch of this entry asks for."""
    made = Maker(dataset, labels)
    for table in dataset.table:
        SHAPES[table.reader](made, table)
    return made.finish()


class Maker:
    """Collects tables and archive members, then packs them as the entry says."""

    def __init__(self, dataset: Dataset, labels: Sequence[Label]) -> None:
        self.dataset, self.crosswalk = dataset, labels
        self.numbers = itertools.count(1)
        self.members: dict[str, dict[str, bytes]] = {file.name: {} for file in dataset.files if file.fetch}
        self.plain: dict[str, bytes] = {}
        self.labels: list[str] = []
        self.images: set[str] = set()

    def words(self, table: Table) -> list[str]:
        """The raw labels of the table's field, as many as there are rows, every word once if they fit."""
        name = table.label_field or "/".join(table.columns.get("label_raw", ()))
        words = [label.raw_label for label in self.crosswalk if label.field == name]
        return list(itertools.islice(itertools.cycle(words), ROWS)) if words else [""] * ROWS

    def put(self, file: str, member: str | None, data: bytes) -> None:
        if member is None:
            self.plain[file] = data
        else:
            self.members[file][member] = data

    def put_image(self, table: Table, stem: str, number: int) -> None:
        """A picture of its own in one of the table's archives, or as a file of its own."""
        holders = [file for file in self.dataset.files if file.fetch and file.role == "images"
                   and (not table.images or file.name in table.images)]  # fmt: skip
        holder = holders[number % len(holders)]
        self.members[holder.name][f"{stem}.jpg"] = picture(number)

    def put_masks(self, table: Table, image_id: str) -> None:
        holders = [file.name for file in self.dataset.files if file.fetch and file.role == "masks"]
        for leaf in table.masks.values() if holders else ():
            self.members[holders[0]][leaf.replace("{image_id}", image_id)] = mask()

    def finish(self) -> Fake:
        files = {}
        for file in self.dataset.files:
            if file.fetch:
                files[file.name] = packed(file, self.plain.get(file.name), self.members[file.name])
        known = tuple(
            replace(
                file, size=len(files[file.name]), checksum=f"sha256:{sha256(files[file.name]).hexdigest()}"
            )
            for file in self.dataset.files
            if file.fetch
        )
        return Fake(replace(self.dataset, files=known), files, self.labels, self.images)


def packed(file: File, plain: bytes | None, members: Mapping[str, bytes]) -> bytes:
    if file.unpack is None:
        return plain if plain is not None else b"nothing that the table asks for\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("LICENSE.txt", "a text beside the images, as many archives have")
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name), members[name])
    return data.getvalue()


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (24, 16), (number * 37 % 256, number * 91 % 256, 60)).save(data, "JPEG")
    return data.getvalue()


def mask() -> bytes:
    data = io.BytesIO()
    Image.new("1", (24, 16), 1).save(data, "PNG")
    return data.getvalue()


# ------------------------------------------------------------------ shapes


def table(maker: Maker, spec: Table) -> None:
    """CSV files with every column that the entry names, joined ones apart."""
    rows = [row_of(maker, spec, label) for label in maker.words(spec)]
    joined = [join.file for join in spec.join]
    main, *others = shared_out(rows, spec)
    maker.put(spec.file or "", spec.member, text_of(main, spec))
    for name, join, columns in zip(joined, spec.join, others, strict=True):
        renamed = [
            {(join.to or join.on) if key == join.on else key: value for key, value in row.items()}
            for row in columns
        ]
        maker.put(name, join.member, text_of(renamed, replace(spec, header=())))


def row_of(maker: Maker, spec: Table, label: str) -> dict[str, str]:
    number = next(maker.numbers)
    image_id = f"ISIC_{9000000 + number}" if "isic_id" in spec.columns else f"IMG_{number:04d}"
    row: dict[str, str] = {}
    for ours, columns in spec.columns.items():
        for column in columns:
            row.setdefault(column, cell(spec, ours, number, image_id, label))
    for name in spec.one_hot:
        row[name] = "1.0" if name == label else "0.0"
    row.pop("@one-hot", None)
    for join in spec.join:
        row.setdefault(join.on, image_id)
    maker.images.add(image_id)
    if label:
        maker.labels.append(label)
    maker.put_image(spec, image_id, number)
    maker.put_masks(spec, image_id)
    return row


def cell(spec: Table, ours: str, number: int, image_id: str, label: str) -> str:
    if ours in ("image_id", "isic_id", "image"):
        return image_id
    if ours == "label_raw":
        return label
    if ours in ("patient_id", "lesion_id", "case_id"):
        return f"{ours[0].upper()}{(number + 1) // 2}"
    words = list(spec.values.get(ours, ()))
    return words[number % len(words)] if words else BY_FIELD.get(ours, f"{ours} {number}")


def shared_out(rows: list[dict[str, str]], spec: Table) -> list[list[dict[str, str]]]:
    """The rows' columns dealt to the table and its joined files: the key in all, the rest in the last."""
    if not spec.join:
        return [rows]
    keys = {join.on for join in spec.join}
    label = set(spec.columns.get("label_raw", ())) | set(spec.one_hot)
    first = [{key: row[key] for key in row if key in keys | label} for row in rows]
    rest = [{key: row[key] for key in row if key in keys or key not in label} for row in rows]
    return [first, *([rest] + [[{key: row[key] for key in keys} for row in rows]] * (len(spec.join) - 1))]


def text_of(rows: list[dict[str, str]], spec: Table) -> bytes:
    text = io.StringIO(newline="")
    names = list(spec.header) or list(rows[0])
    writer = csv.writer(text, delimiter=spec.delimiter, lineterminator="\r\n")
    if not spec.header:
        writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return text.getvalue().encode(spec.encoding)


def folders(maker: Maker, spec: Table) -> None:
    """Images under paths that fit the pattern."""
    for label in maker.words(spec):
        number = next(maker.numbers)
        parts = {"label_raw": label}
        for ours, (column,) in spec.columns.items():
            if ours in BY_FIELD:
                words = list(spec.values.get(ours, ()))
                parts[column] = words[number % len(words)] if words else BY_FIELD[ours]
        parts["image"] = f"IMG_{number:04d}.jpg"
        path = (spec.pattern or "").format(**parts)
        holder = next(
            f.name
            for f in maker.dataset.files
            if f.role == "images" and (not spec.images or f.name in spec.images)
        )
        maker.members[holder][path] = picture(number)
        maker.images.add(f"IMG_{number:04d}")
        maker.labels.append(label)


SHAPES = {"table": table, "folders": folders}


def known(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    yield from ((name, sha256(data).hexdigest()) for name, data in files.items())
