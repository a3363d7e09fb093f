"""Masks survive the way to disk and back, byte by byte."""

import io

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


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "1", "I;16", "LA"])
def test_colours_are_refused(mode):
    with pytest.raises(DataError, match=r"m\.png holds colours"):
        decode_png(_png(Image.new(mode, (20, 20))), name="m.png")


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
