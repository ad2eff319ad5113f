"""Little images of many kinds, with and without what cameras write into them."""

import io
import zlib

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

PRIVATE = b"Jane Doe's camera"
TURNED = 6
MADE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILE = MADE[:24] + bytes(12) + MADE[36:]  # without the time of its making: the names of tests hold it


def segment(marker: int, content: bytes) -> bytes:
    """Of a JPEG."""
    return b"\xff" + bytes([marker]) + (len(content) + 2).to_bytes(2, "big") + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    check = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + check


def photograph(width: int = 64, height: int = 40, *, mode: str = "RGB") -> Image.Image:
    """Noise over a gradient: what no encoder flattens."""
    pixels = np.random.default_rng(1).integers(0, 60, (height, width, 3), dtype=np.uint8)
    pixels[..., 0] += np.linspace(0, 180, width, dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def exif(orientation: int | None = None) -> bytes:
    held = Image.Exif()
    held[0x010E] = PRIVATE.decode()  # ImageDescription
    if orientation is not None:
        held[0x0112] = orientation
    return held.tobytes()


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def camera_jpeg(orientation: int | None = TURNED, **options: object) -> bytes:
    """A JPEG with EXIF, XMP, IPTC, a comment, a color profile, and something after its end."""
    xmp = b"<x:xmpmeta>" + PRIVATE + b"</x:xmpmeta>"
    data = saved(
        photograph(), "JPEG", exif=exif(orientation), xmp=xmp, comment=PRIVATE, icc_profile=PROFILE,
        quality=90, **options,
    )  # fmt: skip
    iptc = b"Photoshop 3.0\x008BIM" + PRIVATE
    return data[:2] + segment(0xED, iptc) + data[2:] + PRIVATE


def camera_png(orientation: int | None = TURNED) -> bytes:
    """A PNG with EXIF, text of all three kinds, a time, a color profile, and something after its end."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", PRIVATE.decode())
    text.add_text("Comment", PRIVATE.decode(), zip=True)
    text.add_itxt("XML:com.adobe.xmp", PRIVATE.decode())
    text.add(b"tIME", bytes(7))
    options = {"pnginfo": text, "exif": exif(orientation), "icc_profile": PROFILE}
    return saved(photograph(), "PNG", **options) + PRIVATE


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
