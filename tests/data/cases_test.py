"""Small sets that people bring: each comes out as they meant it, or says what to do."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data import CocoSource, FolderSource, load, prepare
from wsgcn_jax.data.summary import describe, shortcoming
from wsgcn_jax.types import DataError

SIZE = (24, 32)


def _photos(folder: Path, lines: list[str] | None, encoding: str = "utf-8") -> Path:
    folder.mkdir()
    for i in range(4):
        Image.new("RGB", SIZE[::-1], (60 * i, 90, 99)).save(folder / f"p{i}.jpg")
    if lines is not None:
        (folder / "labels.csv").write_bytes("\n".join(lines).encode(encoding))
    return folder


def _stored(source, tmp_path: Path):
    prepare(source, tmp_path / "data")
    return load(tmp_path / "data", "train")


LISTS = {
    "a header of unknown words": [
        "image_path,label",
        "p0.jpg,cat",
        "p1.jpg,dog",
        "p2.jpg,cat",
        "p3.jpg,dog",
    ],
    "names of two words, in quotes": [
        'p0.jpg,"traffic light"',
        'p1.jpg,"traffic light,stop sign"',
        "p2.jpg,stop sign",
        "p3.jpg,traffic light",
    ],
    "semicolons between the columns": ["p0.jpg;cat", "p1.jpg;dog", "p2.jpg;cat dog", "p3.jpg;dog"],
    "tabs between the columns": ["p0.jpg\tcat", "p1.jpg\tdog", "p2.jpg\tcat", "p3.jpg\tdog"],
    "a list in UTF-16": ["p0.jpg,cat", "p1.jpg,dog", "p2.jpg,cat", "p3.jpg,dog"],
    "names that are nearly alike": ["p0.jpg,cat", "p1.jpg,catt", "p2.jpg,Cat", "p3.jpg,dog"],
    "a table of 0 and 1": ["file,cat,dog", "p0.jpg,1,0", "p1.jpg,0,1", "p2.jpg,1,1", "p3.jpg,0,0"],
    "photos without a label": ["p0.jpg,cat", "p1.jpg,", "p2.jpg,cat", "p3.jpg,"],
}


@pytest.mark.fault("{name}", "read, and said: {said}")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a header of unknown words", "4 photos, 2 classes: cat 2, dog 2"),
        ("names of two words, in quotes", "4 photos, 2 classes: traffic light 3, stop sign 2"),
        ("semicolons between the columns", "4 photos, 2 classes: cat 2, dog 3"),
        ("tabs between the columns", "4 photos, 2 classes: cat 2, dog 2"),
        ("a list in UTF-16", "4 photos, 2 classes: cat 2, dog 2"),
        ("names that are nearly alike", "4 photos, 4 classes: cat 1, catt 1, Cat 1, dog 1"),
        ("a table of 0 and 1", "4 photos, 2 classes: cat 2, dog 2, without any 1"),
        ("photos without a label", "4 photos, 1 class: cat 2, without any 2"),
    ],
)
def test_lists(tmp_path, name, said):
    encoding = "utf-16" if name == "a list in UTF-16" else "utf-8"
    source = FolderSource(_photos(tmp_path / "set", LISTS[name], encoding))
    train = _stored(source, tmp_path)
    assert train.names == ("p0", "p1", "p2", "p3")
    assert describe(train.labels, train.classes, len(train.skipped)) == said
    assert shortcoming(train.labels, train.classes) is None
    notes = "\n".join(source.notes())
    assert ("with the header image_path,label" in notes) == (name == "a header of unknown words")
    assert ("'cat', 'catt', 'Cat' are alike" in notes) == (name == "names that are nearly alike")


@pytest.mark.fault(
    "a label that is nearly one of the given classes",
    "one line, with the line's number and the name that was probably meant",
)
def test_near_misses_of_given_classes(tmp_path):
    root = _photos(tmp_path / "set", LISTS["names that are nearly alike"])
    with pytest.raises(DataError, match="line 2: unknown label 'catt', did you mean 'cat'"):
        FolderSource(root, classes=("background", "cat", "dog")).listing()


@pytest.mark.fault(
    "no list at all, but sub-folders",
    "their names are the labels; `negatives` are photos without any",
)
@pytest.mark.parametrize("labels", [None, "."])
def test_folders_as_labels(tmp_path, labels):
    root = tmp_path / "set"
    for sub in ("dog", "cat/indoors", "negatives", "masks"):
        (root / sub).mkdir(parents=True)
        Image.new("RGB", SIZE[::-1]).save(root / sub / "p.png")
    (root / "cat/a\nb.png").touch()
    (root / "read_me.txt").touch()
    source = FolderSource(root, labels, masks="masks")
    train = _stored(source, tmp_path)
    assert train.names == ("cat__indoors__p", "dog__p", "negatives__p")
    assert train.labels.tolist() == [[True, False], [False, True], [False, False]]
    assert train.classes == ("background", "cat", "dog")
    assert "sub-folders' names" in source.notes()[0]


def _turned(tmp_path: Path, size: tuple[int, int], mask: np.ndarray) -> FolderSource:
    """A photo that EXIF turns by 90 degrees, white where the mask of its stored pixels is 1."""
    root = _photos(tmp_path / "set", ["p.jpg,cat"])
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[2:10, 4:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(root / "p.jpg", exif=exif, quality=100)
    (root / "masks").mkdir()
    Image.fromarray(mask).save(root / "masks/p.png")
    return FolderSource(root, masks="masks")


def _box(size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[2:10, 4:20] = 1
    return mask


@pytest.mark.fault(
    "a turned photo with a mask, upright or lying as the photo's file does",
    "both lie on each other",
)
@pytest.mark.parametrize("upright", [True, False])
def test_turned_photo_and_its_mask_lie_on_each_other(tmp_path, upright):
    box = _box(SIZE)
    mask = np.ascontiguousarray(np.rot90(box, k=-1)) if upright else box
    example = _stored(_turned(tmp_path, SIZE, mask), tmp_path)[0]
    assert example.mask is not None and example.mask.shape == (32, 24)
    assert ((example.image.mean(axis=-1) > 128) == (example.mask == 1)).all()


@pytest.mark.fault(
    "a square photo that its EXIF turns, with a mask",
    "one line: nobody can tell whether the mask is turned, too",
)
def test_turned_square_photo_with_a_mask_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"turned by its EXIF orientation \(6\).* fits both ways"):
        _stored(_turned(tmp_path, (32, 32), _box((32, 32))), tmp_path)


@pytest.mark.fault(
    "COCO's `instances.json` as labels",
    "80 classes by its table; photos without objects are negatives; masks are drawn for the scores",
)
def test_coco(tmp_path):
    root = _photos(tmp_path / "set", None)
    box = {"id": 1, "image_id": 9, "category_id": 90, "iscrowd": 0, "area": 64}
    content = {
        "images": [
            {"id": 9, "file_name": "p0.jpg", "width": 32, "height": 24},
            {"id": 10, "file_name": "p1.jpg", "width": 32, "height": 24},
        ],
        "categories": [{"id": 10, "name": "traffic light"}, {"id": 90, "name": "toothbrush"}],
        "annotations": [{**box, "segmentation": [[4, 4, 12, 4, 12, 12, 4, 12]]}],
    }
    (root / "instances.json").write_text(json.dumps(content))
    for source in (
        FolderSource(root, labels="instances.json"),
        CocoSource(root, ("train",), "instances.json"),
    ):
        train = _stored(source, tmp_path)
        assert train.labels.nonzero() == (0, 79) and train.classes[80] == "toothbrush"
        example, negative = train
        assert set(np.argwhere(example.mask == 80)[:, 0]) == set(range(4, 12))
        assert (example.mask == 80).sum() == 64 and not negative.mask.any()


@pytest.mark.fault(
    "a list in which every photo shows the one class there is",
    "a warning: a classifier needs photos without it",
)
def test_one_class_says_what_it_lacks():
    every, some = np.ones((3, 1), bool), np.array([[True], [False]])
    assert "every photo shows cat" in (shortcoming(every, ("background", "cat")) or "")
    assert shortcoming(some, ("background", "cat")) is None


def test_many_classes_in_one_line():
    labels = np.eye(200, dtype=bool)
    labels[:50, 150] = True
    said = describe(labels, ("background", *map(str, range(200))), 2)
    assert said.startswith("200 photos, 200 classes: 0 1, ") and "150 51, " in said
    assert said.endswith("170 others; 2 left out") and len(said) < 400
