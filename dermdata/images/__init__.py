"""What an image file is, whether it decodes whole, and what it looks like: `inspect`, `look`, `raster`.

`read_image_file` is how any of them comes to the bytes of a file that a manifest names.
"""

from dermdata.images.looking import RASTER, Look, look, pixel_digest, raster
from dermdata.images.private import Private
from dermdata.images.whole import FILE_BYTES, inspect

__all__ = ["FILE_BYTES", "RASTER", "Look", "Private", "inspect", "look", "pixel_digest", "raster"]
