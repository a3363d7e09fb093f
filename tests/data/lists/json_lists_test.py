"""JSON lists and COCO's instances: labels, masks, and each way they can be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from wsgcn_jax.data.labels import COCO_CLASSES
from wsgcn_jax.data.lists import read_coco, read_list
from wsgcn_jax.data.lists.coco_masks import decode_counts, draw_polygons, draw_runs
from wsgcn_jax.types import DataError

TWO = '{"file": "p.jpg", "labels": ["traffic light", "cat"]}', '{"file": "q.jpg", "labels": []}'
TEXT = '{"image": "p.jpg", "tag": "traffic light,cat"}', '{"image": "q.jpg", "tag": ""}'


@pytest.mark.fault("labels as JSON lines, or as one JSON object or list", "they are read")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n\n".join(TWO)),
        ("a.ndjson", "\n".join(TEXT)),
        ("a.json", f"[{','.join(TWO)}]"),
        ("a.json", '{"p.jpg": ["traffic light", "cat"], "q.jpg": []}'),
        ("a.json", '{"p.jpg": "traffic light, cat", "q.jpg": ""}'),
        ("a.json", '{"p.jpg": "traffic light; cat", "q.jpg": ""}'),
    ],
)
def test_json(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = read_list(tmp_path / name, tmp_path).labelled
    assert [(row.file, row.labels) for row in found.rows] == [
        ("p.jpg", ("traffic light", "cat")),
        ("q.jpg", ()),
    ]
    assert found.classes == ("background", "traffic light", "cat")


@pytest.mark.fault(
    "JSON that is broken, endless or of another form",
    "one line, with the entry's number",
)
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"file": "p.jpg"}', "line 1: expected"),
        ("a.jsonl", '{"file": "p.jpg", "labels": ["a"]}\n{"file"', "line 2: no JSON"),
        ("a.jsonl", "[1]", "line 1: expected"),
        ("a.jsonl", "", "names no photo"),
        ("a.json", "{", "is no JSON"),
        ("a.json", "[" * 100_000, "is no JSON"),
        ("a.json", "3", "entry 1: expected"),
        ("a.json", '{"p.jpg": 3}', "entry 1: expected"),
        ("a.json", "[]", "names no photo"),
        ("a.json", '{"p.jpg": "0.5 0.5 0.1 0.1"}', "line 1: 0.5 is a number"),
        ("a.json", '{"p.jpg": ["a"], "p.jpg": ["b"]}', r"'p\.jpg' is given twice"),
    ],
)
def test_json_faults(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_list(tmp_path / name, tmp_path)


@pytest.mark.fault("JSON in {encoding}", "it is read")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_of_json(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('{"p.jpg": ["caf\u00e9"]}'.encode(encoding))
    found = read_list(tmp_path / "a.json", tmp_path).labelled
    assert found.classes == ("background", "caf\u00e9")


def _coco(tmp_path: Path, annotations, categories=((10, "traffic light"), (90, "toothbrush"))):
    content = {
        "images": [{"id": i, "file_name": f"p{i}.jpg", "width": 64, "height": 48} for i in (9, 10)],
        "categories": [{"id": i, "name": name} for i, name in categories],
        "annotations": annotations,
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def _object(category: int, outline, *, photo: int = 9, crowd: int = 0, area: float = 1.0):
    return {
        "image_id": photo,
        "category_id": category,
        "iscrowd": crowd,
        "area": area,
        "segmentation": outline,
    }


def test_coco_labels(tmp_path):
    runs = {"size": [48, 64], "counts": [0, 48 * 64]}
    path = _coco(tmp_path, [_object(90, []), _object(90, []), _object(10, runs, crowd=1)])
    found = read_list(path, tmp_path)
    assert found.labelled.classes == COCO_CLASSES
    assert [row.labels for row in found.labelled.rows] == [("toothbrush",), ()]
    mask = found.coco.mask("p9.jpg", found.labelled.classes)
    assert (mask == 255).all()


@pytest.mark.fault("COCO's form with other categories", "these are the classes")
def test_coco_of_other_categories(tmp_path):
    path = _coco(tmp_path, [_object(7, [])], categories=((7, "red fox"), (2, "newt")))
    assert read_list(path, tmp_path).labelled.classes == ("background", "newt", "red fox")


def test_coco_masks(tmp_path):
    box = [16, 12, 48, 12, 48, 36, 16, 36]
    inner = [20, 14, 30, 14, 30, 24, 20, 24]
    runs = {"size": [48, 64], "counts": [48 * 60, 48, 48 * 3]}
    path = _coco(
        tmp_path,
        [_object(10, [inner], area=100), _object(90, [box], area=768), _object(10, runs, crowd=1)],
    )
    expected = np.zeros((48, 64), np.uint8)
    expected[:, 60] = 255
    expected[12:36, 16:48] = 80
    expected[14:24, 20:30] = 10  # the small one lies over the large one
    coco = read_coco(path)
    np.testing.assert_array_equal(coco.mask("p9.jpg", COCO_CLASSES), expected)
    assert not coco.mask("p10.jpg", COCO_CLASSES).any()


def test_polygons_fill_the_pixels_whose_middle_they_hold():
    triangle = [3.2, 1.0, 17.9, 14.3, -5.1, 11.7]
    rows, columns = np.mgrid[:16, :20] + 0.5
    corners = np.reshape(triangle, (3, 2))
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        sides.append((x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) > 0)
    expected = np.logical_and.reduce(sides)
    assert expected.sum() > 100
    np.testing.assert_array_equal(draw_polygons([triangle], (16, 20)), expected)
    far = [-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]
    assert draw_polygons([far], (16, 20)).all()
    two = draw_polygons([[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 6, 2, 6, 6, 2, 6]], (8, 8))
    assert two.sum() == 16 + 16 - 4 and not draw_polygons([[0, 50, 4, 50, 4, 60]], (8, 8)).any()


def _encode(counts: list[int]) -> str:
    """COCO's compression, by its description: differences, five bits a character."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            group = value & 31
            value >>= 5
            more = value != (-1 if group & 16 else 0)
            text += chr((group | (32 if more else 0)) + 48)
    return text


def test_compressed_runs():
    rng = np.random.default_rng(0)
    counts = [0, *rng.integers(1, 4000, 30).tolist()]
    assert decode_counts(_encode(counts)) == counts
    mask = rng.random((13, 17)) < 0.3
    flat = np.concatenate([[False], mask.T.ravel()])
    changes = np.flatnonzero(np.diff(flat)).tolist()
    lengths = np.diff([0, *changes, mask.size]).tolist()
    for form in (lengths, _encode(lengths)):
        np.testing.assert_array_equal(draw_runs({"size": [13, 17], "counts": form}, (13, 17)), mask)
    # As pycocotools writes the box of rows 2-4 and columns 1-2 in a photo of 6x4.
    assert decode_counts("83304") == [8, 3, 3, 3, 7]


@pytest.mark.fault(
    "an outline of COCO's that is damaged or of a gigantic size",
    "the photo is left out",
)
@pytest.mark.parametrize(
    "outline",
    [
        [[1, 2, 3]],
        [[1, 2, 3, 4]],
        [["a", "b", "c", "d", "e", "f"]],
        [[1, 2, float("nan"), 4, 5, 6]],
        {"size": [48, 64], "counts": [1, 2]},
        {"size": [48, 64], "counts": [4000, -928]},
        {"size": [10**6, 10**6], "counts": [0, 10**12]},
        {"size": [48, 64], "counts": "~~~"},
        {"size": [48, 64], "counts": "o" * 90},
        {"size": [48, 64], "counts": [10**30]},
        {"counts": [1]},
        {"size": [48, 64]},
        "text",
        7,
    ],
)
def test_damaged_outlines(tmp_path, outline):
    coco = read_coco(_coco(tmp_path, [_object(90, outline)]))
    with pytest.raises(DataError, match=r"an outline in p9\.jpg is damaged"):
        coco.mask("p9.jpg", COCO_CLASSES)


@pytest.mark.fault("an `instances.json` that lacks something or contradicts itself", "one line")
@pytest.mark.parametrize(
    "content",
    [
        {"images": []},
        {"images": [], "categories": []},
        {"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}]},
        {"images": [7], "categories": [{"id": 1, "name": "a"}]},
        {"images": 3, "categories": None},
        {
            "images": [{"id": 1, "file_name": "a", "width": 10**6, "height": 10**6}],
            "categories": [{"id": 1, "name": "a"}],
        },
        {
            "images": [{"id": 1, "file_name": "a", "width": 20, "height": 20}],
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}],
        },
        {
            "images": [{"id": 1, "file_name": "a", "width": 20, "height": 20}],
            "categories": [{"id": 1, "name": "a"}],
            "annotations": [{"image_id": 2, "category_id": 1}],
        },
    ],
)
def test_damaged_files_of_instances(tmp_path, content):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"instances\.json"):
        read_coco(path)


@pytest.mark.fault("an `instances.json` with {given}", "one line: its labels cannot be told apart")
@pytest.mark.parametrize(
    ("given", "images", "categories", "annotation"),
    [
        ("one id for two photos", [(1, "a"), (1, "b")], [(1, "x")], (1, 1)),
        ("one photo twice", [(1, "a"), (2, "a")], [(1, "x")], (1, 1)),
        ("one id for two categories", [(1, "a")], [(1, "x"), (1, "y")], (1, 1)),
        ("an id that is no whole number", [(1, "a"), (2, "b")], [(1, "x")], (1.5, 1)),
        ("an id that is a name", [("one", "a")], [(1, "x")], (1, 1)),
        ("an annotation of no category", [(1, "a")], [(1, "x")], (1, 2)),
    ],
)
def test_ids_that_contradict_each_other(tmp_path, given, images, categories, annotation):
    del given
    with pytest.raises(
        DataError, match=r"instances\.json is no file of COCO instances: \w+ .*id|im"
    ):
        read_coco(_instances(tmp_path, images, categories, [annotation]))


@pytest.mark.fault("a category called background in `instances.json`", "it is no class")
def test_background_is_no_category(tmp_path):
    categories = [(0, "_background_"), (1, "cat"), (2, "dog")]
    annotations = [("1", 0), (1, 2.0), (2, "1")]
    path = _instances(tmp_path, [(1, "a.jpg"), ("2", "b.jpg")], categories, annotations)
    found = read_list(path, tmp_path).labelled
    assert found.classes == ("background", "cat", "dog")
    assert [(row.file, row.labels) for row in found.rows] == [
        ("a.jpg", ("dog",)),
        ("b.jpg", ("cat",)),
    ]


def _instances(folder: Path, images, categories, annotations) -> Path:
    """A file of instances; ids as they are given, objects without an outline or an area."""
    content = {
        "images": [{"id": i, "file_name": f, "width": 20, "height": 20} for i, f in images],
        "categories": [{"id": i, "name": name} for i, name in categories],
        "annotations": [
            {"image_id": i, "category_id": c, "iscrowd": "0", "area": None} for i, c in annotations
        ],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path
