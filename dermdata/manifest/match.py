"""Which cached file is the image, or the mask, that a row names."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from dermdata.model import Content
from dermdata.manifest.schema import BY_NAME


class ImageIndex:
    """The cached images and masks, found by official path, by file name or by name without extension."""

    def __init__(self, contents: Sequence[Content]) -> None:
        self.images = [content for content in contents if content.role == "images" and content.image]
        self.claimed: set[str] = set()
        self.by_name: dict[str, list[Content]] = {}
        for content in self.images:
            for name in names_of(content):
                self.by_name.setdefault(name, []).append(content)
        masks = (content for content in contents if content.role == "masks")
        self.masks = {content.official.rpartition("/")[2]: content for content in masks}

    def find(self, wanted: Sequence[str], files: tuple[str, ...] | None) -> tuple[list[Content | None], list[str | None]]:
        """For each row's image name its file, or None; and why the image is missing or cannot be decoded."""
        found: list[Content | None] = []
        problems: list[str | None] = []
        allowed = set(files) if files else None
        for name in wanted:
            content, problem = self.one(name, allowed)
            found.append(content)
            problems.append(problem)
            if content:
                self.claimed.add(content.path)
        return found, problems

    def one(self, name: str, files: set[str] | None) -> tuple[Content | None, str | None]:
        if not name:
            return None, "the source names no image"
        candidates = [one for one in self.by_name.get(name, ()) if files is None or one.file in files]
        if not candidates:
            return None, "no such image file"
        if len({one.sha256 for one in candidates}) > 1:
            return None, f"{len(candidates)} different files have this name"
        return candidates[0], candidates[0].image.problem if candidates[0].image else None

    def unclaimed(self) -> list[str]:
        """Cached images that no row names."""
        return [content.path for content in self.images if content.path not in self.claimed]

    def mask_columns(self, ids: Sequence[str], masks: Mapping[str, str]) -> dict[str, pa.Array]:
        """`mask_path` for the structure "lesion", `masks` for all others; the catalog gives the file names."""
        columns = {}
        if "lesion" in masks:
            paths = [self.mask(masks["lesion"], image_id) for image_id in ids]
            columns["mask_path"] = pa.array(paths, pa.string())
        others = {name: leaf for name, leaf in masks.items() if name != "lesion"}
        if others:
            rows = [[(name, path) for name, leaf in others.items() if (path := self.mask(leaf, one))] for one in ids]
            columns["masks"] = pa.array([row or None for row in rows], BY_NAME)
        return columns

    def mask(self, leaf: str, image_id: str) -> str | None:
        content = self.masks.get(leaf.replace("{image_id}", image_id))
        return content.path if content else None


def names_of(content: Content) -> set[str]:
    """Every name by which a table may mean this file."""
    path = content.official
    leaf = path.rpartition("/")[2]
    stem = leaf.rpartition(".")[0] or leaf
    return {path, leaf, stem}
