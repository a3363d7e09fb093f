"""Stored photos: byte-exact, whole or rebuilt, broken ones named; and no TensorFlow."""

import errno
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import grain
import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data import source
from wsgcn_jax.data.palette_png import encode_png
from wsgcn_jax.data.records import Photo
from wsgcn_jax.data.shapes import SHAPES_CLASSES, ShapesSource, render
from wsgcn_jax.data.source import load, prepare
from wsgcn_jax.types import DataError, Example

REPOSITORY = Path(__file__).parents[2]


def _photo(height: int = 20, width: int = 30) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG")
    return buffer.getvalue()


class _Source:
    """A source made of what a test wants to go wrong."""

    def __init__(self, photos: dict[str, Photo | DataError | None], version: str = "1"):
        self._photos, self._version = photos, version
        self.reads = 0

    def fingerprint(self) -> str:
        return self._version

    def classes(self) -> tuple[str, ...]:
        return ("background", "a", "b")

    def notes(self) -> tuple[str, ...]:
        return ()

    def listing(self) -> dict[str, tuple[str, ...]]:
        return {"train": tuple(self._photos)}

    def read(self, split: str, name: str) -> Photo:
        self.reads += 1
        photo = self._photos[name]
        if photo is None:
            os.kill(os.getpid(), 9)
        if isinstance(photo, DataError):
            raise photo
        assert isinstance(photo, Photo)
        return photo


def _good(labels: tuple[int, ...] = (1,), mask: bytes | None = None) -> Photo:
    return Photo(_photo(), labels, mask, ("photo g.jpg", "mask g.png"))


@pytest.mark.fault(
    "a photo larger than `data.longer_side`",
    "it is seen smaller; its mask has its own size",
)
def test_larger_photos_are_given_smaller_and_their_masks_are_not(tmp_path):
    mask = encode_png(np.zeros((2000, 3000), np.uint8))
    photos = {"large": Photo(_photo(2000, 3000), (1,), mask, ("large.jpg", "large.png"))}
    prepare(_Source({**photos, "small": _good()}), tmp_path)
    split = pickle.loads(pickle.dumps(load(tmp_path, "train", 300)))
    assert split.sizes == ((200, 300), (20, 30))
    assert split.own_sizes == ((2000, 3000), (20, 30))
    assert split[0].image.shape == (200, 300, 3) and split[1].image.shape == (20, 30, 3)
    assert split[0].mask.shape == (2000, 3000)
    blind = pickle.loads(pickle.dumps(split.without_masks()))
    assert blind[0].mask is None and blind[0].image.shape == (200, 300, 3)
    whole = load(tmp_path, "train")[0].image
    # Means of 10x10 pixels of noise, however the JPEG was decoded.
    expected = whole.reshape(200, 10, 300, 10, 3).mean(axis=(1, 3))
    assert np.abs(split[0].image - expected).mean() < 8


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    prepare(ShapesSource(num_train=12, num_val=3), folder)
    return folder


def test_round_trip_is_exact_and_in_order(shapes):
    train, val = load(shapes, "train"), load(shapes, "val")
    assert (len(train), len(val)) == (12, 3)
    assert train.classes == SHAPES_CLASSES and train.skipped == ()
    for split, start in ((train, 0), (val, 1_000_000)):
        for index in range(len(split)):
            image, mask, labels = render(0, start + index)
            example = split[index]
            assert example.name == split.names[index]
            np.testing.assert_array_equal(example.image, image)
            np.testing.assert_array_equal(example.mask, mask)
            np.testing.assert_array_equal(example.labels, labels)
            np.testing.assert_array_equal(split.labels[index], labels)
            assert split.sizes[index] == mask.shape
    assert train[-1].name == "train_0011"
    with pytest.raises(IndexError):
        train[12]
    assert [example.name for example in val] == list(val.names)


def test_feeds_grain_and_pickles(shapes):
    train = load(shapes, "train")
    data = grain.MapDataset.source(train).shuffle(seed=1).map(lambda example: example.name)
    assert sorted(data) == sorted(train.names)
    streamed = list(data.to_iter_dataset())  # read by threads
    assert streamed == list(data)
    copy = pickle.loads(pickle.dumps(train))
    assert isinstance(copy[5], Example) and copy[5].name == train[5].name


def test_no_tensorflow(shapes):
    code = (
        "import sys, wsgcn_jax.data as data\n"
        f"split = data.load({str(shapes)!r}, 'train'); split[0]\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'torch')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_current_build_is_kept_another_is_not(tmp_path):
    source = _Source({"a": _good(), "b": _good((2,))})
    prepare(source, tmp_path)
    assert source.reads == 2
    index = (tmp_path / "index.json").read_bytes()
    prepare(source, tmp_path)
    assert source.reads == 2 and (tmp_path / "index.json").read_bytes() == index
    prepare(_Source({"c": _good()}, version="2"), tmp_path)
    assert load(tmp_path, "train").names == ("c",)
    (tmp_path / "index.json").write_bytes(b"{")
    prepare(source, tmp_path)
    assert load(tmp_path, "train").names == ("a", "b")


def test_index_file(tmp_path):
    prepare(_Source({"a": _good((1, 2)), "b": DataError("no b")}), tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["classes"] == ["background", "a", "b"]
    assert index["splits"]["train"] == {
        "photos": [{"name": "a", "height": 20, "width": 30, "labels": [1, 2]}],
        "skipped": [{"name": "b", "reason": "no b"}],
    }


@pytest.mark.fault("kill -9 while photos are stored", "the next start stores them anew")
def test_killed_half_way_is_rebuilt(tmp_path):
    code = (
        "import source_test as t\n"
        "source = t._Source({'a': t._good(), 'b': t._good(), 'kill': None})\n"
        f"t.prepare(source, {str(tmp_path)!r})"
    )
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{Path(__file__).parent}"}
    prepare(_Source({"old": _good()}, version="0"), tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment)
    assert done.returncode == -9
    with pytest.raises(DataError, match="no whole data set; delete"):
        load(tmp_path, "train")
    prepare(_Source({"a": _good(), "b": _good(), "c": _good()}), tmp_path)
    train = load(tmp_path, "train")
    assert train.names == ("a", "b", "c") and train[2].image.shape == (20, 30, 3)
    left = [path.name for path in tmp_path.rglob("*") if "incomplete" in path.name]
    assert left == []


def _mask(value: int, shape: tuple[int, int] = (20, 30)) -> bytes:
    return encode_png(np.full(shape, value, np.uint8))


def _binary() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.tril(np.full((20, 30), 255, np.uint8))).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.fault("a mask of another size than its photo", "the photo is left out")
@pytest.mark.fault("a mask with a class that the set does not have", "the photo is left out")
@pytest.mark.fault("a grey mask of 0 and 255 only", "the photo is left out: 255 means unlabelled")
@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (DataError("photo x is missing"), "photo x is missing"),
        (_good()._replace(image=_photo()[:-90]), "photo g.jpg cannot be decoded"),
        (_good()._replace(image=_photo(15)), "photo g.jpg is 30x15"),
        (_good(mask=_mask(1, (30, 20))), "mask g.png is 20x30, its photo 30x20"),
        (_good(mask=_mask(3)), "mask g.png holds the class 3, but classes end at 2"),
        (_good(mask=_photo()), "mask g.png is not a PNG"),
        (_good(mask=_binary()), "mask g.png is grey and holds only 0 and 255"),
        (_good(mask=_mask(1)[:60]), "mask g.png cannot be decoded"),
    ],
)
def test_broken_photo_is_skipped_and_named(tmp_path, photo, reason):
    prepare(_Source({"a": _good(mask=_mask(2)), "x": photo, "z": _good()}), tmp_path)
    train = load(tmp_path, "train")
    assert train.names == ("a", "z")
    assert [(name, why.startswith(reason)) for name, why in train.skipped] == [("x", True)]
    assert train[1].mask is None
    assert (train[0].mask == 2).all()


@pytest.mark.fault("a photo without any class", "it is kept as a negative")
def test_photo_without_a_class_is_kept(tmp_path):
    prepare(_Source({"a": _good(), "n": _good(()), "m": _good((), _binary())}), tmp_path)
    train = load(tmp_path, "train")
    assert train.names == ("a", "n", "m")
    assert train.labels.tolist() == [[True, False], [False, False], [False, False]]


def test_ignore_is_no_class(tmp_path):
    prepare(_Source({"a": _good(mask=_mask(255))}), tmp_path)
    assert load(tmp_path, "train").skipped == ()


@pytest.mark.fault("only photos that cannot be used", "one line, with the first reason")
def test_all_broken_is_an_error(tmp_path):
    source = _Source({"a": DataError("photo a is missing."), "b": DataError("photo b")})
    with pytest.raises(DataError, match=r"no photo of the split 'train' .* photo a is missing"):
        prepare(source, tmp_path)
    with pytest.raises(DataError, match="no whole data set; delete"):
        load(tmp_path, "train")


def test_unknown_split_or_folder(shapes, tmp_path):
    with pytest.raises(DataError, match="unknown split 'vall', did you mean 'val'"):
        load(shapes, "vall")
    with pytest.raises(DataError, match="no whole data set; delete"):
        load(tmp_path / "none", "train")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file cannot be written"):
        prepare(ShapesSource(num_train=1, num_val=1), tmp_path / "file")


@pytest.mark.fault(
    "stored photos (`{file}`) that are damaged or gone",
    "one line that says what to delete",
)
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("*.array_record*", b""),
        ("*.array_record*", bytes(2000)),
        ("dataset_info.json", b"{"),
        ("features.json", b'"x"'),
        ("features.json", None),
        ("index.json", b'{"splits": {"train": {}}, "fingerprint": 1, "classes": 2}'),
        ("index.json", b'"x"'),
    ],
)
def test_damage_to_what_is_stored_is_one_line(tmp_path, file, content):
    prepare(_Source({"a": _good(), "b": _good((2,))}), tmp_path)
    path = next(tmp_path.rglob(file))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{tmp_path}.*; delete .* and start the run once more"):
        load(tmp_path, "train")[0]


@pytest.mark.fault(
    "a disk that is full while photos are stored",
    "one line; after making room the same command goes on",
)
def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(source, "write_records", full)
    with pytest.raises(DataError, match="the disk is full; make room and start the same command"):
        prepare(_Source({"a": _good()}), tmp_path)
