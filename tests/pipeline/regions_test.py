"""Regions that vote: SAM's run lengths, PNGs, and the vote itself."""

import json

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.pipeline.external.regions import read_regions, vote
from wsgcn_jax.types import DataError

SIZE = (4, 6)
LARGE = np.zeros(SIZE, bool)
LARGE[0:3, 1:5] = True
SMALL = np.zeros(SIZE, bool)
SMALL[1:3, 2:4] = True


def _runs(mask):
    """Run lengths down the columns, of those outside first."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [not flat[-1]]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def _text(runs):
    """COCO's compression: five bits a character, from the fourth on differences."""
    out = ""
    for at, run in enumerate(runs):
        value = run - runs[at - 2] if at > 2 else run
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            out += chr(48 + bits + 32 * more)
    return out


def _records(masks, compressed):
    def counts(mask):
        return _text(_runs(mask)) if compressed else _runs(mask)

    return [{"segmentation": {"size": list(SIZE), "counts": counts(mask)}} for mask in masks]


def _pixels(*masks):
    return [np.flatnonzero(mask).tolist() for mask in masks]


@pytest.mark.fault("SAM's masks as run lengths in JSON", "regions vote on the final scores")
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_run_lengths(tmp_path, compressed, wrapped):
    records = _records([SMALL, LARGE, np.zeros(SIZE, bool)], compressed)
    content = {"image": {}, "annotations": records} if wrapped else records
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_regions(tmp_path, "a", SIZE)
    assert [region.tolist() for region in found] == _pixels(LARGE, SMALL)


def test_a_known_text_of_run_lengths(tmp_path):
    """COCO's documentation of the format: counts of a mask of 1s in rows 2 to 9 of 10x10."""
    mask = np.zeros((300, 400), bool)
    mask[40:220, 100:300] = True
    text = _text(_runs(mask))
    record = {"segmentation": {"size": [300, 400], "counts": text}}
    (tmp_path / "a.json").write_text(json.dumps([record]))
    (region,) = read_regions(tmp_path, "a", (300, 400))
    np.testing.assert_array_equal(region, np.flatnonzero(mask))


@pytest.mark.fault("SAM's masks as PNGs", "regions vote on the final scores")
def test_pngs(tmp_path):
    numbers = LARGE.astype(np.uint8) * 3
    numbers[SMALL] = 200
    Image.fromarray(numbers).save(tmp_path / "a.png")
    found = read_regions(tmp_path, "a", SIZE)
    assert [region.tolist() for region in found] == _pixels(LARGE & ~SMALL, SMALL)
    (tmp_path / "b").mkdir()
    for at, mask in enumerate((SMALL, LARGE)):
        Image.fromarray(mask).save(tmp_path / f"b/{at}.png")
    found = read_regions(tmp_path, "b", SIZE)
    assert [region.tolist() for region in found] == _pixels(LARGE, SMALL)


def test_every_region_takes_its_mean_and_the_smallest_counts(tmp_path):
    del tmp_path
    scores = np.random.default_rng(0).random((3, *SIZE)).astype(np.float32)
    voted = vote(scores, [np.flatnonzero(LARGE), np.flatnonzero(SMALL)])
    expected = scores.copy()
    for k in range(3):
        expected[k][LARGE] = scores[k][LARGE].mean()
        expected[k][SMALL] = scores[k][SMALL].mean()
    np.testing.assert_allclose(voted, expected, rtol=1e-6)


@pytest.mark.fault(
    "regions that are damaged, of another size, or cover the photo too often",
    "the photo is left out",
)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "no list of records"),
        ("[", "regions"),
        ("[[" * 20_000, "regions"),
        (json.dumps([{"segmentation": [[1, 2, 3, 4]]}]), "regions"),
        (json.dumps([{"segmentation": {"size": [6, 4], "counts": [24]}}]), "they are 4x6"),
        (json.dumps([{"segmentation": {"size": [4, 6], "counts": [9]}}]), "do not add up"),
        (json.dumps([{"segmentation": {"size": [4, 6], "counts": [-1, 25]}}]), "do not add up"),
        (json.dumps([{"segmentation": {"size": [4, 6], "counts": "oooooooooooooooo"}}]), "damaged"),
        (json.dumps([{"segmentation": {"size": [4, 6], "counts": "é"}}]), "damaged"),
        (json.dumps(_records([LARGE] * 33, compressed=True)), "cover it 16 times"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=rf"regions .*a\.json are refused.*{said}|{said}"):
        read_regions(tmp_path, "a", SIZE)


def test_missing_or_of_another_size(tmp_path):
    with pytest.raises(DataError, match="are missing"):
        read_regions(tmp_path, "a", SIZE)
    Image.fromarray(np.zeros((6, 4), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png are refused \(they are 4x6"):
        read_regions(tmp_path, "a", SIZE)
