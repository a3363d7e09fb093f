"""What the words of a text are: labels, numbers of boxes, or what stands for no label."""

import json
from pathlib import Path

import pytest

from wsgcn_jax.data.lists import read_list
from wsgcn_jax.data.lists.class_ids import name_classes
from wsgcn_jax.data.lists.coco import Coco, CocoPhoto, Instance
from wsgcn_jax.types import DataError


def _read(root: Path, text: str, classes=None):
    (root / "labels.csv").write_text(text)
    return read_list(root / "labels.csv", root, classes=classes).labelled


@pytest.mark.fault(
    "decimals where labels should be, with whatever between them (YOLO's lines)",
    "one line with the line's number",
)
@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize(
    "lines",
    [
        ["0.5 0.5 0.1 0.1"],
        ["0.51 0.52 0.13 0.14", "0.6 0.7 0.8 0.9"],
        ["0 0.5 0.5 0.1 0.1", "1 0.5 0.5 0.1 0.1"],
        ["0 0.51 0.52 0.13 0.14"],
        ["cat 0.5 0.5 0.1 0.1"],
        ["cat 0.51 0.52 0.13 0.14"],
        ["cat .51 5.2e-01"],
        ["0.25"],
    ],
)
def test_boxes_are_no_labels(tmp_path, lines, comma):
    rows = [f"{i}.jpg {line}\n" for i, line in enumerate(lines)]
    text = "".join(row.replace(" ", ",") if comma else row for row in rows)
    with pytest.raises(DataError, match=r"labels.csv, line 1: [\d.]+ is a number, not a label"):
        _read(tmp_path, text)


@pytest.mark.fault("a table of 0 and 1 with spaces between its columns", "as one with commas")
@pytest.mark.parametrize("gap", [" ", ",", "  "])
def test_tables_of_numbers_between_spaces(tmp_path, gap):
    rows = ["a.jpg 1 0\n", "b.jpg 1 1\n"]
    text = "".join(rows).replace(" ", gap)
    with pytest.raises(DataError, match="table of 0 and 1 without class names"):
        _read(tmp_path, text)
    found = _read(tmp_path, "file cat dog\n".replace(" ", gap) + text)
    assert [row.labels for row in found.rows] == [("cat",), ("cat", "dog")]
    with pytest.raises(DataError, match="the column 'cat' holds the number 3"):
        _read(tmp_path, "file cat dog\na.jpg 3 0\n".replace(" ", gap))


def test_numbers_that_are_labels(tmp_path):
    for text in ("a.jpg 3 7\nb.jpg 7\n", "a.jpg,3,7\nb.jpg,7\n", "a.jpg,3 7\nb.jpg,7\n"):
        assert [row.labels for row in _read(tmp_path, text).rows] == [("3", "7"), ("7",)]
    assert _read(tmp_path, "a.jpg,Tesla 2.0\nb.jpg,Golf 7\n").classes[1:] == ("Tesla 2.0", "Golf 7")


BLANK = ("NaN", "nan", "null", "NULL", "None", "none", "N/A", "n/a", "NA", "#N/A", "<NA>")


@pytest.mark.fault(
    "{word} where the labels of a photo should be",
    "the photo shows no class, which is said; under `--classes` it may be one",
)
@pytest.mark.parametrize("word", BLANK)
def test_what_programs_write_for_no_label(tmp_path, word):
    for text in (
        f"a.jpg,cat\nb.jpg,{word}\n",
        f"a.jpg cat\nb.jpg {word}\n",
        f"file,label,label2\na.jpg,cat,{word}\nb.jpg,{word},{word}\n",
        f"a.jpg,\"cat;{word}\"\nb.jpg,['{word}']\n",
        f"file,cat,{word}\na.jpg,1,0\nb.jpg,0,1\n",
    ):
        found = _read(tmp_path, text)
        assert found.classes == ("background", "cat")
        assert [row.labels for row in found.rows] == [("cat",), ()]
        assert f"no label is meant by {word} (" in "\n".join(found.notes)
    found = _read(tmp_path, f"a.jpg,cat\nb.jpg,{word}\n", classes=("background", "cat", word))
    assert [row.labels for row in found.rows] == [("cat",), (word,)]
    assert "no label" not in "\n".join(found.notes)


def test_folders_of_no_label(tmp_path):
    for name in ("cat", "NaN", "none"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    found = read_list(tmp_path, tmp_path).labelled
    assert [row.labels for row in found.rows] == [(), ("cat",), ()]
    assert found.classes == ("background", "cat") and "by NaN (1)" in found.notes[-1]


def test_words_within_names_stay(tmp_path):
    found = _read(tmp_path, "a.jpg,none other\nb.jpg,cat\n")
    assert found.classes == ("background", "none other", "cat")
    found = _read(tmp_path, "file,cat,none\na.jpg,1,1\nb.jpg,0,1\n")
    assert [row.labels for row in found.rows] == [("cat", "none"), ()]
    photo = CocoPhoto("a.jpg", (8, 8), (Instance("none", False, 1.0, []),))
    coco = Coco(tmp_path / "a.json", ("none",), {"a.jpg": photo})
    assert name_classes(coco.listed(), None, where="a.json").rows[0].labels == ("none",)


@pytest.mark.fault(
    "labels in JSON as one text with spaces, `cat dog`",
    "they are told apart as in a CSV, which is said; names in arrays stand as they are",
)
@pytest.mark.parametrize(
    ("content", "labels", "said"),
    [
        (["cat dog", "dog", "cat"], [("cat", "dog"), ("dog",), ("cat",)], "'cat dog' is 2 labels"),
        (["red fox", "blue whale"], [("red fox",), ("blue whale",)], "'red fox' is one name"),
        (["['cat', 'dog']", ""], [("cat", "dog"), ()], ""),
        ([["cat dog"], ["dog"], ["cat"]], [("cat dog",), ("dog",), ("cat",)], ""),
        (["red fox", ["red fox"], ["fox"]], [("red fox",), ("red fox",), ("fox",)], "is one name"),
        (["cat dog", ["cat"], ["dog"]], [("cat", "dog"), ("cat",), ("dog",)], "is 2 labels"),
        # Arrays of several labels say that the list does not separate by spaces.
        (
            ["red fox", "red kite", ["a", "b"]],
            [("red fox",), ("red kite",), ("a", "b")],
            "one name",
        ),
        ([["0.5", "a,b"], ["a, none"]], [("0.5", "a,b"), ("a, none",)], ""),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_texts_of_labels(tmp_path, content, labels, said, lines):
    path = tmp_path / ("a.jsonl" if lines else "a.json")
    entries = {f"{i}.jpg": given for i, given in enumerate(content)}
    text = json.dumps(entries)
    if lines:
        text = "\n".join(json.dumps({"file": f, "labels": x}) for f, x in entries.items())
    path.write_text(text)
    found = read_list(path, tmp_path).labelled
    assert [row.labels for row in found.rows] == labels
    assert said in "\n".join(found.notes) and ("label" in "".join(found.notes)) == bool(said)


@pytest.mark.fault("null or NaN for the labels of a photo in JSON", "it shows no class")
def test_no_labels_in_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a.jpg": null, "b.jpg": NaN, "c.jpg": ["None"], "d.jpg": ["cat", "none"]}')
    found = read_list(path, tmp_path).labelled
    assert [row.labels for row in found.rows] == [(), (), (), ("cat", "none")]
    assert "no label is meant by null (1), NaN (1), None (1); where" in found.notes[-1]
