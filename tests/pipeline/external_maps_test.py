"""Boundary maps and partial labels of other programs: what they say, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data import write_mask
from wsgcn_jax.pipeline.external.external_maps import read_boundary, read_seeds
from wsgcn_jax.pipeline.external.map_files import Facts
from wsgcn_jax.resize import resize_map
from wsgcn_jax.types import DataError

CAM = np.random.default_rng(0).random((2, 5, 7), np.float32)
FACTS = Facts((8, 15), 21, (5, 7))
TWO = Facts((8,), 21, (2, 2))


@pytest.mark.fault(
    "a boundary map that is damaged, has NaN or another shape",
    "the photo is left out",
)
def test_boundaries_as_arrays(tmp_path):
    np.savez(tmp_path / "e.npz", CAM[0])
    np.testing.assert_array_equal(read_boundary(tmp_path, "e", FACTS), CAM[0])
    np.savez(tmp_path / "e.npz", edge=CAM[1], other=CAM)
    np.testing.assert_array_equal(read_boundary(tmp_path, "e", FACTS), CAM[1])
    np.save(tmp_path / "f.npy", CAM[1])
    np.testing.assert_array_equal(read_boundary(tmp_path, "f", FACTS), CAM[1])
    with pytest.raises(DataError, match=r"f\.npy is refused \(it is 7x5, not of .* 7x20"):
        read_boundary(tmp_path, "f", FACTS._replace(size=(20, 7)))
    np.save(tmp_path / "f.npy", CAM[1] * np.nan)
    with pytest.raises(DataError, match=r"f\.npy is refused \(a value is NaN"):
        read_boundary(tmp_path, "f", FACTS)
    for damage in (b"", b"PK\x03\x04rubbish", (tmp_path / "e.npz").read_bytes()[:90]):
        (tmp_path / "e.npz").write_bytes(damage)
        with pytest.raises(DataError, match=r"e\.npz is refused"):
            read_boundary(tmp_path, "e", FACTS)
    with pytest.raises(DataError, match="missing"):
        read_boundary(tmp_path, "none", FACTS)


@pytest.mark.fault(
    "boundary maps as grey PNGs of 1, 8 or 16 bits",
    "they are read, white is boundary",
)
@pytest.mark.fault("a boundary map in colour", "the photo is left out")
def test_edge_pngs(tmp_path):
    grey = np.array([[0, 51], [255, 102]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_boundary(tmp_path, "a", TWO), grey / 255, rtol=1e-6)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_boundary(tmp_path, "a", TWO), grey / 255, rtol=1e-6)
    Image.fromarray(grey > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_boundary(tmp_path, "a", TWO), grey > 100)
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="it is RGB, not grey"):
        read_boundary(tmp_path, "a", TWO)


def test_maps_are_averaged_where_they_shrink():
    line = np.zeros((16, 16), np.float32)
    line[:, 8] = 1
    small = resize_map(line, (4, 4))
    assert small.shape == (4, 4) and small[0].sum() * 4 == pytest.approx(1)
    np.testing.assert_array_equal(resize_map(line, (16, 16)), line)


@pytest.mark.fault(
    "partial labels of another size, or of classes that the photo does not have",
    "the photo is left out",
)
def test_partial_labels_are_of_the_photos_size_and_classes(tmp_path):
    seeds = np.full((5, 7), 255, np.uint8)
    seeds[0], seeds[1] = 0, 8
    write_mask(tmp_path / "a.png", seeds)
    np.testing.assert_array_equal(read_seeds(tmp_path, "a", FACTS), seeds)
    with pytest.raises(DataError, match=r"a\.png .* \(they are 7x5, but the photo is 5x7"):
        read_seeds(tmp_path, "a", FACTS._replace(size=(7, 5)))
    with pytest.raises(
        DataError, match=r"a\.png .* have the classes \[8\], which the photo is not"
    ):
        read_seeds(tmp_path, "a", FACTS._replace(labels=(15,)))
    with pytest.raises(DataError, match=r"partial labels .*b\.png or .* missing"):
        read_seeds(tmp_path, "b", FACTS)


@pytest.mark.fault(
    "probabilities, logits or scores with background for partial labels",
    "pixels that are sure are taken",
)
@pytest.mark.parametrize("form", ["probabilities", "logits", "of the labels", "own scores"])
def test_probabilities_with_background_become_partial_labels(tmp_path, form):
    logits = np.full((21, 5, 7), -2.0, np.float32)
    logits[0, 0], logits[8, 1], logits[15, 2] = 4, 4, 4  # rows that are sure
    logits[8, 3] = logits[15, 3] = 4  # one that is torn
    logits[3, 4] = 9  # and one that is sure of what the photo is not labelled with
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    own = probabilities[[0, 8, 15]]
    if form == "own scores":
        np.savez(tmp_path / "a.npz", keys=np.array([0, 8, 15], np.uint8), scores=own.astype("f2"))
    else:
        arrays = {"probabilities": probabilities, "logits": logits, "of the labels": own}
        np.save(tmp_path / "a.npy", arrays[form])
    expected = np.full((5, 7), 255)
    expected[:3] = np.array([0, 8, 15])[:, None]
    np.testing.assert_array_equal(read_seeds(tmp_path, "a", FACTS), expected)


@pytest.mark.fault(
    "an array of another number of classes for partial labels",
    "the photo is left out",
)
@pytest.mark.parametrize("shape", [(20, 5, 7), (3, 7, 5), (5, 7), (3, 0, 0)])
def test_other_arrays_are_no_probabilities(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(DataError, match=r"partial labels .*a\.npy are refused"):
        read_seeds(tmp_path, "a", FACTS)
