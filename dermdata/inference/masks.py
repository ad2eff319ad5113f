"""Which pictures are masks of others: by their names, or the folder that they lie in, and by what they look like; pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dermdata.inference.columns import SURE
from dermdata.markup import count_share

# what a mask's name has after its picture's, and what folders of masks are called, in small letters
SUFFIXES = re.compile(
    r"(?P<stem>.+?)(?P<suffix>[ _.-]*(?:mask|masks|segmentation|seg|segm|lesion|gt|groundtruth|ground[_-]truth|annotation))",
    re.IGNORECASE,
)
FOLDERS = frozenset(
    {
        "mask", "masks", "segmentation", "segmentations", "seg", "gt", "groundtruth", "ground_truth", "ground truth",
        "annotation", "annotations", "lesion masks", "segmentation_masks", "masken", "mascaras", "masques",
    }
)  # fmt: skip
MEASURED = 12  # pairs whose sizes are compared
EDGE, FLAT = 0.15, 0.8  # of the range of levels; of the places that are near either end of it
LEAST_PAIRED = 0.8  # of the files that are called so, those that have a picture
STRUCTURE = "lesion"  # what a mask is of, where nothing else is said


@dataclass(frozen=True)
class PictureLook:
    """What a picture looks like, as far as that tells a mask."""

    size: tuple[int, int]  # width, height
    is_flat: bool  # whether it has hardly more than two levels, as a mask, and no photograph


Look = Callable[[str], PictureLook | None]


@dataclass(frozen=True, kw_only=True)
class MaskGuess:
    """Files of one way of naming, each perhaps the mask of a picture."""

    structure: str  # what they are of
    template: str  # a mask's name with {image_id}
    globs: tuple[str, ...]  # over paths: all files that are called so
    pictures: Mapping[str, str]  # mask -> its picture, by their paths
    score: float
    evidence: str

    @property
    def is_sure(self) -> bool:
        return self.score >= SURE


@dataclass(frozen=True)
class NamingRule:
    """What all masks of one kind have in their names: an end, or the folder."""

    suffix: str = ""
    folder: str = ""

    @property
    def globs(self) -> tuple[str, ...]:
        """The paths that are named so."""
        if self.folder:
            name = escape_glob(self.folder)
            return (f"{name}/*", f"*/{name}/*")
        return (f"*{escape_glob(self.suffix)}.*",)

    @property
    def word(self) -> str:
        """The rule as a name."""
        return (self.folder or self.suffix).strip(" _.-").lower().replace(" ", "-").replace("_", "-")

    def to_template(self, ending: str) -> str:
        """A mask's name by its picture's."""
        return f"{self.folder}/{{image_id}}{ending}" if self.folder else f"{{image_id}}{self.suffix}{ending}"


def guess_masks(paths: Iterable[str], look: Look) -> list[MaskGuess]:
    """The ways in which pictures are called like masks of others, those with the most files first.

    Parameters
    ----------
    paths
        The pictures' paths, with "/".
    look
        What a picture looks like; None where it cannot be decoded.

    Returns
    -------
    list of MaskGuess
        Those that are not sure too: then the files are pictures like others.

    """
    named: dict[NamingRule, list[str]] = {}
    plain: dict[str, list[str]] = {}
    for path in paths:
        rule, stem = split_mask_name(path)
        if rule:
            named.setdefault(rule, []).append(path)
        else:
            plain.setdefault(stem, []).append(path)
    ordered = sorted(named.items(), key=lambda item: (-len(item[1]), item[0].word))
    found: list[MaskGuess] = []
    for rule, files in ordered:
        pairs = dict(pair_masks(files, plain))
        if pairs:
            found.append(judge_masks(rule, files, pairs, look, STRUCTURE if not found else rule.word))
    return found


def split_mask_name(path: str) -> tuple[NamingRule | None, str]:
    """How a path says that it is a mask, if it does, and the name of its picture without ending, in small letters."""
    folder, _, leaf = path.rpartition("/")
    stem = strip_leaf_ending(leaf)
    if match := SUFFIXES.fullmatch(stem):
        return NamingRule(suffix=match["suffix"]), match["stem"].casefold()
    above = folder.rpartition("/")[2]
    if above.casefold() in FOLDERS:
        return NamingRule(folder=above), stem.casefold()
    return None, stem.casefold()


def pair_masks(files: Sequence[str], plain: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Each mask with the picture of its name, of several the one that lies nearest."""
    for path in files:
        _, stem = split_mask_name(path)
        pictures = plain.get(stem, ())
        if pictures:
            yield path, max(pictures, key=lambda one: count_shared_start(one, path))


def judge_masks(
    rule: NamingRule, files: Sequence[str], pairs: Mapping[str, str], look: Look, structure: str
) -> MaskGuess:
    """How likely files of one way of naming are masks."""
    share = len(pairs) / len(files)
    step = max(1, len(pairs) // MEASURED)
    looked = list(pairs.items())[::step][:MEASURED]
    alike = sum(is_mask_of(look(mask), look(picture)) for mask, picture in looked)
    fits = share >= LEAST_PAIRED and alike >= LEAST_PAIRED * len(looked)
    where = f"lies in '{rule.folder}'" if rule.folder else f"ends in '{rule.suffix}'"
    where = where if len(pairs) == 1 else where.replace("lies", "lie").replace("ends", "end")
    evidence = (
        f"{count_share(len(pairs), len(files), 'file', 'are')} called like a picture, and {where}; "
        f"{count_share(alike, len(looked), 'pair', 'have')} one size, and a mask of hardly more than two levels"
    )
    endings = Counter(path[len(path) - len(leaf_ending(path)) :] for path in files)
    return MaskGuess(
        structure=structure,
        template=rule.to_template(endings.most_common(1)[0][0]),
        globs=rule.globs,
        pictures=dict(pairs),
        score=round(0.9 * share * alike / len(looked) + 0.1, 3) if fits else 0.4,
        evidence=evidence,
    )


def is_mask_of(mask: PictureLook | None, picture: PictureLook | None) -> bool:
    """Whether two pictures look like a mask and what it is of."""
    return mask is not None and picture is not None and mask.size == picture.size and mask.is_flat


def is_flat(levels: Sequence[float]) -> bool:
    """Whether nearly all of a picture is as light as its lightest or as dark as its darkest place."""
    dark, light = min(levels), max(levels)
    edge = (light - dark) * EDGE
    return sum(level <= dark + edge or level >= light - edge for level in levels) >= FLAT * len(levels)


def strip_leaf_ending(leaf: str) -> str:
    return leaf[: len(leaf) - len(leaf_ending(leaf))]


def leaf_ending(path: str) -> str:
    """The ending of a file's name, with its dot."""
    leaf = path.rpartition("/")[2]
    stem, dot, ending = leaf.rpartition(".")
    return f".{ending}" if dot and stem else ""


def count_shared_start(one: str, other: str) -> int:
    """How many folders two paths share, from the first on."""
    count = 0
    for ours, theirs in zip(one.split("/")[:-1], other.split("/")[:-1], strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def escape_glob(text: str) -> str:
    """A text that stands for itself in a glob."""
    return re.sub(r"([*?\[])", r"[\1]", text)
