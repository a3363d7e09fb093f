"""Photos of every mode come out upright and RGB; what cannot is named."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data.photos import MAX_PIXELS, check_photo, decode_photo
from wsgcn_jax.types import DataError


def _encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def test_png_is_byte_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode_photo(_encode(Image.fromarray(pixels))), pixels)


def test_orientation_is_applied():
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    data = _encode(Image.fromarray(pixels), "JPEG", exif=exif, quality=100)
    assert check_photo(data, name="a") == (40, 24)
    turned = np.rot90(pixels, k=-1).astype(int)
    assert np.abs(decode_photo(data).astype(int) - turned).max() < 60


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
def test_modes_keep_the_colour(mode):
    grey = Image.fromarray(np.full((20, 30), 200, np.uint8))
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 200 * 257, np.uint16))
    elif mode == "1":
        image = Image.new("1", (30, 20), 1)
    else:
        image = grey.convert("RGB").convert(mode, palette=Image.Palette.ADAPTIVE)
    wanted = 255 if mode == "1" else 200
    decoded = decode_photo(_encode(image, kind))
    assert decoded.shape == (20, 30, 3) and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - wanted).max() <= 3


def test_transparent_is_white():
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert decode_photo(_encode(image)).min() == 255


def test_large_photo():
    data = _encode(Image.new("RGB", (6000, 4000), "red"), "JPEG")
    assert check_photo(data, name="a") == (4000, 6000)


@pytest.mark.parametrize("pixels", [MAX_PIXELS + 10_000, 3 * MAX_PIXELS])
def test_too_large_is_refused_before_decoding(pixels):
    data = bytearray(_encode(Image.new("L", (20, 20))))
    data[16:24] = struct.pack(">II", 10_000, pixels // 10_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(DataError, match=r"big\.png has more than 89,000,000 pixels"):
        check_photo(bytes(data), name="big.png")


def test_broken_or_narrow_is_refused():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = _encode(Image.fromarray(noise), "JPEG")
    for broken in (b"", b"no photo", data[: len(data) // 2], data[:20]):
        with pytest.raises(DataError, match=r"a\.jpg cannot be decoded"):
            check_photo(broken, name="a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg is 64x15; both sides must be at least 16"):
        check_photo(_encode(Image.fromarray(noise[:15])), name="a.jpg")
