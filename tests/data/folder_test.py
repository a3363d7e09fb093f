"""Anyone's own photos, and each way a folder can be wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data.class_list import write_classes
from wsgcn_jax.data.folder import FolderSource
from wsgcn_jax.data.palette_png import write_mask
from wsgcn_jax.data.source import load, prepare
from wsgcn_jax.types import DataError

FILES = ("a.jpg", "b.png", "trip/a.jpg", "c.d.jpg")


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "photos"
    for number, file in enumerate(FILES):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20 + number), (9, 99, 199)).save(root / file)
    (root / "labels.csv").write_text(
        "file,labels\na.jpg,zebra\nb.png,apple zebra\ntrip/a.jpg,apple\nc.d.jpg,apple\n"
    )
    return root


def test_reads_photos_and_labels(root, tmp_path):
    prepare(FolderSource(root), tmp_path / "data")
    train = load(tmp_path / "data", "train")
    assert train.classes == ("background", "zebra", "apple")
    assert train.names == ("a", "b", "trip__a", "c.d")
    assert train.labels.tolist() == [[True, False], [True, True], [False, True], [False, True]]
    assert train.sizes == ((20, 40), (21, 40), (22, 40), (23, 40))
    assert all(example.mask is None for example in train)
    with pytest.raises(DataError, match=r"unknown split 'val'.* \(there are train\)"):
        load(tmp_path / "data", "val")


def test_val_list_and_masks(root, tmp_path):
    (root / "val.csv").write_text("b.png,apple\n")
    write_mask(root / "truth" / "b.png", np.full((21, 40), 2, np.uint8))
    write_mask(root / "truth" / "trip" / "a.png", np.full((22, 40), 1, np.uint8))
    write_mask(root / "truth" / "c.d.png", np.full((2, 2), 1, np.uint8))
    prepare(FolderSource(root, masks="truth"), tmp_path / "data")
    train, val = load(tmp_path / "data", "train"), load(tmp_path / "data", "val")
    assert train.names == ("a", "b", "trip__a")
    assert "c.d.png is 2x2, its photo 40x23" in train.skipped[0].reason
    masks = [example.mask for example in train]
    assert masks[0] is None and (masks[1] == 2).all() and (masks[2] == 1).all()
    assert val.names == ("b",) and val.labels.tolist() == [[False, True]]


@pytest.mark.fault("a list with photos that are missing, folders or broken", "they are left out")
def test_photo_faults_are_skipped(root, tmp_path):
    (root / "labels.csv").write_text("a.jpg,cat\nb.png,\nnone.jpg,cat\ntrip,cat\nc.d.jpg,dog\n")
    (root / "c.d.jpg").write_bytes((root / "c.d.jpg").read_bytes()[:200])
    prepare(FolderSource(root), tmp_path / "data")
    train = load(tmp_path / "data", "train")
    assert train.names == ("a", "b") and not train.labels[1].any()
    reasons = {photo.name: photo.reason for photo in train.skipped}
    assert "none.jpg is missing" in reasons["none"]
    assert "cannot be read" in reasons["trip"]
    assert "c.d.jpg cannot be decoded" in reasons["c.d"]


@pytest.mark.fault("two photos whose results would have one name", "one line, with both")
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("../x.jpg,cat\n", "labels.csv, line 1: the name '../x.jpg' leaves"),
        ("a.jpg,cat\ntrip/../../x.jpg,cat\n", "line 2: the name"),
        ("/etc/passwd,cat\n", "line 1: the name"),
        ("C:\\x.jpg,cat\n", "line 1: the name"),
        ("..\\x.jpg,cat\n", "line 1: the name"),
        ("a\x00.jpg,cat\n", "labels.csv is no text"),
        ("a\x1b.jpg,cat\n", "line 1: the name"),
        ("a.jpg,cat\na.png,dog\n", "line 2: a.png and a.jpg share the name 'a'"),
        ("trip/a.jpg,cat\ntrip__a.jpg,cat\n", "line 2: .* share the name 'trip__a'"),
        ("a.jpg,\n", "labels.csv names no label"),
        ("", "names no photo"),
    ],
)
def test_list_faults(root, tmp_path, labels, message):
    (root / "labels.csv").write_text(labels)
    with pytest.raises(DataError, match=message):
        prepare(FolderSource(root), tmp_path / "data")


@pytest.mark.fault("a photo folder, list or mask folder that is missing", "one line")
def test_set_faults(root, tmp_path):
    for source, message in (
        (FolderSource(tmp_path / "none"), "photo folder .*none is missing"),
        (FolderSource(root, labels="other.csv"), r"labels file .*other\.csv is missing"),
        (FolderSource(root, masks="truth"), "mask folder .*truth is missing"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(source, tmp_path / "data")
    (root / "val.csv").write_text("a.jpg,aple\n")
    with pytest.raises(DataError, match=r"val\.csv, line 1: unknown label 'aple', .*'apple'"):
        prepare(FolderSource(root), tmp_path / "data")


def test_pairs_of_photos_and_masks(root, tmp_path):
    write_mask(root / "truth" / "a.png", np.full((20, 40), 2, np.uint8))
    write_mask(root / "truth" / "b.png", np.zeros((21, 40), np.uint8))
    (root / "labels.csv").write_text("a.jpg truth/a.png\nb.png truth/b.png\n")
    prepare(FolderSource(root), tmp_path / "data")
    train = load(tmp_path / "data", "train")
    assert train.classes == ("background", "class 1", "class 2")
    assert train.labels.tolist() == [[False, True], [False, False]]
    assert (train[0].mask == 2).all() and not train[1].mask.any()


@pytest.mark.fault("a file name of more than 255 bytes in a list", "it is left out")
def test_names_that_are_long_or_odd(root, tmp_path):
    long, deep = "x" * 247 + ".jpg", "s" * 200 + "/" + "t" * 200 + ".jpg"
    odd = "it's 10%\u202f[a] (b)&c.jpg"
    (root / deep).parent.mkdir()
    for file in (long, deep, odd):
        Image.new("RGB", (40, 20)).save(root / file)
    (root / "labels.csv").write_text(f"{long},cat\n{deep},dog\n{odd},dog\n{'y' * 300}.jpg,dog\n")
    prepare(FolderSource(root), tmp_path / "data")
    train = load(tmp_path / "data", "train")
    assert len(train) == 3 and train.names[0] == "x" * 247 and train.names[2] == odd[:-4]
    assert all(len(f"{name}.png".encode()) <= 255 for name in train.names)
    assert "File name too long" in train.skipped[0].reason


@pytest.mark.fault(
    "an EPS, a pipe or `/dev/zero` called `.jpg`",
    "it is left out",
    section="Untrusted files",
)
def test_what_is_no_photo_is_left_out(root, tmp_path):
    os.mkfifo(root / "pipe.jpg")
    (root / "zero.jpg").symlink_to("/dev/zero")
    (root / "eps.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\nshowpage\n")
    names = ("a", "pipe", "zero", "eps")
    (root / "labels.csv").write_text("".join(f"{name}.jpg,cat\n" for name in names))
    prepare(FolderSource(root), tmp_path / "data")
    train = load(tmp_path / "data", "train")
    assert train.names == ("a",) and [skip.name for skip in train.skipped] == list(names[1:])
    assert "it is no JPEG, PNG" in train.skipped[2].reason


@pytest.mark.fault(
    "a photo with another content under the same name",
    "what was made of it is made anew",
)
def test_fingerprint_follows_the_content(root):
    first = FolderSource(root).fingerprint()
    os.utime(root / "a.jpg", (0, 0))
    assert FolderSource(root).fingerprint() == first
    (root / "a.jpg").write_bytes(b"other")
    second = FolderSource(root).fingerprint()
    (root / "labels.csv").write_text("a.jpg,zebra\n")
    assert len({first, second, FolderSource(root).fingerprint()}) == 3


@pytest.mark.fault(
    "true masks with a `classes.json` in another order than the labels",
    "the list beside the masks counts; one that contradicts given classes is refused",
)
def test_a_class_list_beside_the_masks_counts(root, tmp_path):
    """Numbers in masks have a meaning already, whatever the order of names in the labels."""
    write_mask(root / "truth" / "a.png", np.full((20, 40), 2, np.uint8))
    write_classes(root / "truth", ("background", "apple", "zebra"))
    assert FolderSource(root, masks="truth").classes() == ("background", "apple", "zebra")
    given = FolderSource(root, masks="truth", classes=("background", "zebra", "apple"))
    with pytest.raises(DataError, match=r"classes\.json .*1 is 'apple' there and 'zebra' here"):
        given.listing()
    write_classes(root / "truth", ("background", "apple"))
    with pytest.raises(DataError, match=r"line 2: unknown label 'zebra' \(there are apple\)"):
        FolderSource(root, masks="truth").listing()
    (root / "pairs.txt").write_text("a.jpg truth/a.png\n")
    pairs = FolderSource(root, labels="pairs.txt")
    assert pairs.classes() == ("background", "apple")
