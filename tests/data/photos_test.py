"""Photos of every mode come out upright and RGB; what cannot is named."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data.photos import (
    FORMATS,
    MAX_PIXELS,
    check_photo,
    decode_photo,
    photo_size,
    stored_size,
    turned,
)
from wsgcn_jax.types import DataError


def _encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def test_png_is_byte_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode_photo(_encode(Image.fromarray(pixels))), pixels)


@pytest.mark.fault("a photo that its EXIF turns", "it is seen and labelled upright")
def test_orientation_is_applied():
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    data = _encode(Image.fromarray(pixels), "JPEG", exif=exif, quality=100)
    assert check_photo(data, name="a") == (40, 24)
    turned = np.rot90(pixels, k=-1).astype(int)
    assert np.abs(decode_photo(data).astype(int) - turned).max() < 60


@pytest.mark.fault("a photo of Pillow's mode `{mode}`", "it is read as RGB, with its brightness")
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


@pytest.mark.fault("a photo with transparent parts", "they are white")
def test_transparent_is_white():
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert decode_photo(_encode(image)).min() == 255


def test_large_photo():
    data = _encode(Image.new("RGB", (6000, 4000), "red"), "JPEG")
    assert check_photo(data, name="a") == (4000, 6000)


@pytest.mark.fault(
    "a photo of more than 89 million pixels, or a file that says so",
    "it is left out before it is decoded",
)
@pytest.mark.parametrize("pixels", [MAX_PIXELS + 10_000, 3 * MAX_PIXELS])
def test_too_large_is_refused_before_decoding(pixels):
    data = bytearray(_encode(Image.new("L", (20, 20))))
    data[16:24] = struct.pack(">II", 10_000, pixels // 10_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(DataError, match=r"big\.png has more than 89,000,000 pixels"):
        check_photo(bytes(data), name="big.png")


@pytest.mark.fault("a photo that is cut short, empty or no photo", "it is left out")
@pytest.mark.fault("a photo with a side below 16 pixels", "it is left out")
def test_broken_or_narrow_is_refused():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = _encode(Image.fromarray(noise), "JPEG")
    for broken in (b"", b"no photo", data[: len(data) // 2], data[:20]):
        with pytest.raises(DataError, match=r"a\.jpg cannot be decoded"):
            check_photo(broken, name="a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg is 64x15; both sides must be at least 16"):
        check_photo(_encode(Image.fromarray(noise[:15])), name="a.jpg")


def _tiff(values: np.ndarray) -> bytes:
    return _encode(Image.fromarray(values), "TIFF")


@pytest.mark.fault(
    "a TIFF of floats in 0..1, or 16 bits a channel",
    "it is read with its brightness, not black",
)
def test_floats_and_16_bits_keep_their_brightness():
    ramp = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    for data in (_tiff(ramp), _tiff((ramp * 65535).astype(np.uint16))):
        grey = decode_photo(data)[..., 0].astype(int)
        assert np.abs(grey - ramp * 255).max() <= 1
    steps = np.round(ramp * 1000)
    pgm = b"P5\n30 20\n1000\n" + steps.astype(">u2").tobytes()
    assert np.abs(decode_photo(pgm)[..., 1].astype(int) - steps / 1000 * 255).max() <= 1


@pytest.mark.fault("a TIFF that {message}", "it is left out: what is white cannot be known")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((20, 30), 200, np.float32), "holds floats outside 0..1"),
        (np.full((20, 30), np.nan, np.float32), "holds floats outside 0..1"),
        (np.full((20, 30), -0.5, np.float32), "holds floats outside 0..1"),
        (np.full((20, 30), 70_000, np.int32), "holds 32-bit integers"),
        (np.full((20, 30), 255, np.uint16), "is nearly black: of 65,535 its 16 bits reach 255"),
    ],
)
def test_numbers_without_a_range_are_refused(values, message):
    with pytest.raises(DataError, match=f"a.tif {message}"):
        decode_photo(_tiff(values), name="a.tif")


@pytest.mark.fault("a photo as {kind}, whatever its ending", "it is read")
@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_that_is_named_is_read(kind):
    grey = Image.new("RGB", (30, 20), (200, 200, 200))
    assert np.abs(decode_photo(_encode(grey, kind)).astype(int) - 200).max() <= 3


@pytest.mark.fault(
    "a file of the format {kind}, called `.jpg`",
    "it is left out; its reader never starts",
)
@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA", "JPEG2000", "PCX", "SGI"])
def test_no_other_format_is(kind):
    with pytest.raises(DataError, match=r"cannot be decoded .it is no JPEG, PNG") as caught:
        decode_photo(_encode(Image.new("RGB", (32, 32)), kind), name="x.jpg")
    assert "BytesIO" not in str(caught.value)


@pytest.mark.fault(
    "an image that would start another program (EPS: Ghostscript)",
    "no such reader is ever asked",
)
def test_no_image_is_opened_without_naming_its_format():
    root = Path(__file__).parents[2]
    for path in (*(root / "wsgcn_jax").rglob("*.py"), *(root / "experiments").rglob("*.py")):
        opened = re.findall(r"Image\.open\(.*", path.read_text())
        assert all("formats=" in call for call in opened), path


@pytest.mark.fault("a photo whose EXIF is damaged", "it is read as it is stored")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage, garbage", b"Exif\0\0II*\0", b"II*\0"])
def test_damaged_exif_turns_nothing(tmp_path, exif):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3)).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(_encode(Image.fromarray(pixels), exif=exif))
    np.testing.assert_array_equal(decode_photo(path.read_bytes()), pixels)
    assert photo_size(path) == (20, 31)


@pytest.mark.fault("any of EXIF's eight orientations", "photo and mask are turned alike")
@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_mask_turns_as_its_photo(tmp_path, turn, kind):
    stored = np.zeros((24, 40), np.uint8)
    stored[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"a.{kind}"
    Image.fromarray(stored).save(path, exif=exif)
    image = decode_photo(path.read_bytes())
    np.testing.assert_array_equal(image[..., 0], turned(stored, turn))
    assert photo_size(path) == image.shape[:2]
    with Image.open(path) as opened:
        assert stored_size(opened) == stored.shape
