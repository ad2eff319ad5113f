"""A manifest's images for training: a map-style dataset, which `torch.utils.data.DataLoader` takes as it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dermdata.errors import UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Transform = Callable[[Any], Any]
AS_STORED = 1  # EXIF's number of no turn


class ImageDataset:
    """Pairs of an image and its class (or its mask), read when they are asked for; with `values`, triples.

    It needs no PyTorch, and it pickles: workers of a `DataLoader` get paths, not open files.

    Parameters
    ----------
    paths : sequence of str
        The absolute path of each image.
    targets : sequence of int
        The number of each image's class.
    classes : sequence of str
        The classes by their numbers.
    masks : sequence of str, optional
        The absolute path of each image's mask; with them an item is (image, mask).
    transform : callable, optional
        Called with the RGB image, or with image and mask, before an item is returned.
    values : mapping of str to numpy.ndarray, shape (images,), optional
        Further numbers of each image by name; with them an item has a third part, its own numbers by name.
    words : mapping of str to sequence of str, optional
        Of those that number words: the word of each number.

    """

    def __init__(
        self,
        paths: Sequence[str],
        targets: Sequence[int],
        classes: Sequence[str],
        masks: Sequence[str] | None = None,
        transform: Transform | None = None,
        values: "Mapping[str, NDArray[Any]] | None" = None,
        words: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.paths, self.targets, self.masks = list(paths), list(targets), masks and list(masks)
        self.classes = list(classes)
        self.class_to_idx = {name: number for number, name in enumerate(classes)}
        self.transform = transform
        self.values = dict(values or {})
        self.words = {name: list(known) for name, known in (words or {}).items()}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        """Return (image, number of its class), or (image, mask); and a dict of its values where there are any.

        Raises
        ------
        IndexError
            Past the last image, which ends a plain `for` loop.
        StorageError, IntegrityError
            For a file that cannot be read or decoded.

        """
        pair = self._read_pair(place)
        return (*pair, {name: column[place] for name, column in self.values.items()}) if self.values else pair

    def _read_pair(self, place: int) -> tuple[Any, Any]:
        image = open_rgb(self.paths[place])
        if self.masks is None:
            return (self.transform(image) if self.transform else image), self.targets[place]
        mask = open_mask(self.masks[place], self.paths[place])
        pair = self.transform(image, mask) if self.transform else (image, mask)  # type: ignore[call-arg]  # of a pair, where there are masks
        return pair[0], pair[1]

    def __repr__(self) -> str:
        return f"<{count_nouns(len(self), 'image')} of {count_nouns(len(self.classes), 'class')}>"


def open_image(path: str) -> "Image":
    """Open and decode an image as it is stored: an orientation tag is not applied, so that masks and boxes fit."""
    from dermdata.images.image_file import read_image_file
    from dermdata.images.orientation import TIFF_STARTS, reset_orientation

    data = read_image_file(path)
    # Pillow itself obeys the tag of a TIFF
    return decode_image(reset_orientation(data) if data.startswith(TIFF_STARTS) else data, path)


def open_mask(path: str, image: str) -> "Image":
    """Open a mask so that it lies on its image as stored: one that was drawn on the upright picture is turned back."""
    from dermdata.images.image_file import read_image_file
    from dermdata.images.orientation import read_orientation, reset_orientation, to_stored_frame

    mask = decode_image(reset_orientation(read_image_file(path)), path)
    turn = read_orientation(read_image_file(image))
    return mask if turn == AS_STORED else to_stored_frame(mask, turn, open_image(image).size)


def decode_image(data: bytes, path: str) -> "Image":
    """Decode the bytes of a file; IntegrityError names it."""
    import io

    from PIL import Image

    from dermdata.errors import IntegrityError
    from dermdata.images.decode import DECODE_ERRORS

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except DECODE_ERRORS as error:
        hint = 'leave such images out: .where("image_problem is null")'
        raise IntegrityError(f"{path} cannot be decoded: {error}", hint=hint) from error
    return image


def open_rgb(path: str) -> "Image":
    """Open an image in three channels of 8 bits; of gray levels of more bits the upper 8."""
    from dermdata.images.levels import is_deep, to_eight_bits

    image = open_image(path)
    return (to_eight_bits(image) if is_deep(image) else image).convert("RGB")


def require_images(count: int, wanted: str) -> None:
    """UsageError where nothing is left to train on."""
    if not count:
        raise UsageError(f"no row has {wanted}", hint="`fetch` brings images, `with_labels` classes")
