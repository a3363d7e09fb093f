"""Masks survive the way to disk and back, byte by byte."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data.labels import PALETTE
from wsgcn_jax.data.palette_png import decode_png, encode_png, read_mask, write_mask
from wsgcn_jax.types import DataError


def _png(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (16, 16)])
def test_round_trip(shape):
    mask = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    data = encode_png(mask)
    np.testing.assert_array_equal(decode_png(data), mask)
    # Anyone else's reader sees VOC's colours.
    colours = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(colours, PALETTE[mask])


def test_few_classes_round_trip():
    mask = np.array([[0, 1], [1, 0]], np.uint8)  # encoders like to use fewer bits here
    np.testing.assert_array_equal(decode_png(encode_png(mask)), mask)
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 255, 0, 0])
    np.testing.assert_array_equal(decode_png(_png(image, bits=1)), mask)


def test_grey_is_taken_by_value():
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(decode_png(_png(Image.fromarray(mask))), mask)


@pytest.mark.fault("a mask as an {mode} picture in VOC's colours", "it is read as class numbers")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_voc_are_read(mode):
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(PALETTE[mask]).convert(mode)
    np.testing.assert_array_equal(decode_png(_png(image)), mask)


@pytest.mark.fault("a grey mask, {depth}-bit", "its values are the class numbers")
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_of_any_depth_is_taken_by_value(depth):
    """Written by hand: Pillow writes no grey of 2 or 4 bits."""
    mask = np.arange(min(2**depth, 256)).reshape(-1, 2).repeat(4, axis=1)
    bits = (mask[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(len(mask), -1), axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    np.testing.assert_array_equal(decode_png(data), mask)


@pytest.mark.fault(
    "a mask in other colours, half transparent, or with values above 255",
    "the photo is left out: its classes cannot be known",
)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (20, 20), (1, 2, 3)), r"m\.png holds colours"),
        (Image.new("RGBA", (20, 20), (128, 0, 0, 99)), r"m\.png holds colours"),
        (Image.new("LA", (20, 20), (1, 99)), r"m\.png holds colours"),
        (Image.fromarray(np.full((20, 20), 300, np.uint16)), r"m\.png holds the value 300"),
    ],
)
def test_what_is_uncertain_is_refused(image, message):
    with pytest.raises(DataError, match=message):
        decode_png(_png(image), name="m.png")


@pytest.mark.fault(
    "a mask whose palette holds VOC's colours in another order",
    "the photo is left out: colour and index name different classes",
)
def test_a_palette_in_another_order_is_refused():
    mask = np.repeat(np.array([0, 7, 15, 7], np.uint8), 25).reshape(10, 10)
    image = Image.open(io.BytesIO(encode_png(mask)))
    colours = image.convert("RGB")
    np.testing.assert_array_equal(decode_png(_png(image, optimize=True)), mask)
    for other in (colours.quantize(4), colours.convert("P", palette=Image.Palette.ADAPTIVE)):
        with pytest.raises(DataError, match=r"m\.png has VOC's colours at other places"):
            decode_png(_png(other), name="m.png")
    plain = Image.fromarray(mask)
    plain.putpalette(bytes(768))  # all black says nothing
    np.testing.assert_array_equal(decode_png(_png(plain)), mask)


@pytest.mark.fault("a mask that is cut short or no PNG", "the photo is left out")
def test_broken_is_refused():
    data = encode_png(np.random.default_rng(0).integers(0, 99, (50, 50)).astype(np.uint8))
    for broken in (b"", b"\xff\xd8\xff", data[:30], data[: len(data) // 2]):
        with pytest.raises(DataError, match=r"m\.png"):
            decode_png(broken, name="m.png")


def test_files(tmp_path):
    mask = np.eye(20, dtype=np.uint8)
    path = tmp_path / "sub" / "mask.png"
    write_mask(path, mask)
    write_mask(path, mask * 3)
    np.testing.assert_array_equal(read_mask(path), mask * 3)
    assert [found.name for found in path.parent.iterdir()] == ["mask.png"]
    with pytest.raises(DataError, match=r"none\.png is missing"):
        read_mask(tmp_path / "none.png")


def test_only_masks_are_written():
    with pytest.raises(ValueError, match="u8"):
        encode_png(np.zeros((3, 3), np.int32))
