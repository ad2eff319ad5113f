"""What an image file is, whether it decodes whole, and what it looks like.

`check_image` tells the first two, `inspect_image` all of it, `read_raster` gives gray levels to compare.
`image_file.read_image_file` is how any of them comes to the bytes of a file that a manifest names.
"""

from dermdata.images.decode import FILE_BYTE_LIMIT, SIGNATURE_BYTES, check_image, is_image_start
from dermdata.images.inspection import (
    RASTER_SIDE,
    ImageInspection,
    PrivateTag,
    hash_pixels,
    inspect_image,
    read_raster,
)

__all__ = [
    "FILE_BYTE_LIMIT",
    "RASTER_SIDE",
    "SIGNATURE_BYTES",
    "ImageInspection",
    "PrivateTag",
    "check_image",
    "hash_pixels",
    "inspect_image",
    "is_image_start",
    "read_raster",
]
