"""A private catalog whose one dataset, `ours`, lies beside it: whatever is put there, a command line can fetch."""

import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

HEAD = """
name = "ours"
title = "Ours"
kind = "dataset"
summary = "made by a test"
no_rows = "a test of its files"
[access]
kind = "open"
evidence = "it lies beside this file"
"""
TABLE = """
[[table]]
reader = "table"
file = "table.csv"
[table.columns]
image_id = "id"
label_raw = "dx"
"""
LABELS = "field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote\n"
WORDS = {"nv": "melanocytic-nevus", "mel": "melanoma"}
ARCHIVES = {".zip": "zip", ".tar": "tar", ".tar.gz": "tar.gz"}


def picture(seed: int = 0, size: tuple[int, int] = (60, 45), kind: str = "JPEG", **options: Any) -> bytes:
    """An image of noise, the same on every run."""
    pixels = random.Random(seed).randbytes(size[0] * size[1] * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(out, kind, **options)
    return out.getvalue()


def role_of(name: str) -> str:
    if name.endswith((".jpg", ".png", *ARCHIVES)):
        return "images"
    return "metadata" if name.endswith((".csv", ".xlsx")) else "other"


class Shelf:
    """Puts files beside a catalog entry, fetches them by command line, and reads what came of them."""

    def __init__(self, root: Path, cli: Callable[..., Any]) -> None:
        self.root, self.cli = root, cli
        self.catalog, self.cache = root / "mine", root / "cache"
        self.folder = self.cache / "datasets" / "ours" / "unversioned"

    def put(
        self,
        files: Mapping[str, bytes],
        *,
        table: str = TABLE,
        words: Mapping[str, str] = WORDS,
        head: str = HEAD,
    ) -> "Shelf":
        """Lay the files, the entry that names them and the crosswalk of its words into the catalog."""
        home = self.catalog / "datasets" / "ours"
        (home / "files").mkdir(parents=True, exist_ok=True)
        text = [head]
        for name, data in files.items():
            (home / "files" / name).write_bytes(data)
            unpack = next((kind for end, kind in ARCHIVES.items() if name.endswith(end)), None)
            text += [
                "[[files]]",
                f'name = "{name}"',
                f'role = "{role_of(name)}"',
                f'source = "package:{name}"',
            ]
            text += [f'unpack = "{unpack}"'] if unpack else []
        text += [table] if any(name.endswith((".csv", ".xlsx")) for name in files) else []
        (home / "dataset.toml").write_text("\n".join(text), encoding="utf-8")
        rows = "".join(f"dx\t{word}\t{concept}\texactMatch\t\t\t\n" for word, concept in words.items())
        (home / "labels.tsv").write_text(LABELS + rows, encoding="utf-8")
        return self

    def run(self, *words: object) -> Any:
        """One command line; whatever happens, no traceback reaches the person."""
        answer = self.cli("--catalog", self.catalog, *words)
        assert "Traceback" not in answer.err + answer.out
        return answer

    def fetch(self, *words: object) -> Any:
        return self.run("fetch", "ours", *words)

    def rows(self) -> dict[str, dict[str, Any]]:
        """The manifest's rows by image id."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.folder / "manifest.parquet") as file:
            return {row["image_id"]: row for row in file.read().to_pylist()}

    def outside(self) -> dict[str, bytes]:
        """Every file that is neither in the cache nor in the catalog."""
        inside = (self.cache, self.catalog)
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and not any(path.is_relative_to(one) for one in inside)
        }

    def unpacked(self) -> list[str]:
        """What lies in the cache for `ours`, without dermdata's own records."""
        own = ("receipt.json", "manifest.parquet", ".unfinished.json")
        names = (p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        return sorted(name for name in names if name not in own and not name.startswith("contents-"))
