"""Lists of text in every dialect, and each way they can be wrong."""

from pathlib import Path

import pytest

from wsgcn_jax.data.labels import VOC_CLASSES
from wsgcn_jax.data.lists import read_list
from wsgcn_jax.types import DataError

CAT_DOG = {"p0.jpg": ("cat",), "p1.jpg": ("dog",), "p2.jpg": ("cat", "dog")}


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder of photos' names; lists do not open them."""
    for name in ("p0.jpg", "p1.jpg", "p2.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def _read(root: Path, text: str | bytes, classes=None, name="labels.csv"):
    path = root / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_list(path, root, classes=classes).labelled


def _rows(root: Path, text: str | bytes, **options) -> dict[str, tuple[str, ...] | None]:
    return {row.file: row.labels for row in _read(root, text, **options).rows}


@pytest.mark.fault(
    "commas, semicolons, tabs, bars, quotes, byte order marks, UTF-16, one-hot tables, any header",
    "the same list is read",
)
@pytest.mark.parametrize(
    "text",
    [
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n",
        'p0.jpg,cat\np1.jpg,dog\np2.jpg,"cat,dog"\n',
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat,dog\n",
        "p0.jpg,cat,\np1.jpg,dog,\np2.jpg,cat,dog\n",
        '"p0.jpg","cat"\n"p1.jpg","dog"\n"p2.jpg","cat; dog"\n',
        "p0.jpg;cat\np1.jpg;dog\np2.jpg;cat dog\n",
        "p0.jpg;cat\np1.jpg;dog\np2.jpg;cat,dog\n",
        "p0.jpg\tcat\np1.jpg\tdog\np2.jpg\tcat dog\n",
        "p0.jpg|cat\np1.jpg|dog\np2.jpg|cat|dog\n",
        "p0.jpg cat\np1.jpg dog\np2.jpg cat dog\n",
        "p0.jpg  cat\r\np1.jpg  dog\r\np2.jpg  cat|dog\r\n",
        "p0.jpg, cat\np1.jpg, dog\np2.jpg, cat, dog\n",
        "p0.jpg,['cat']\np1.jpg,['dog']\np2.jpg,\"['cat', 'dog']\"\n",
        "\n\n# by hand\np0.jpg,cat\n\np1.jpg,dog\n# more\np2.jpg,dog cat dog\n\n",
        "file,labels\np0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n",
        "image_path,what\np0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n",
        "Bild;Tier\np0.jpg;cat\np1.jpg;dog\np2.jpg;cat dog\n",
        "id,file_name,class,width\n9,p0.jpg,cat,5\n8,p1.jpg,dog,5\n7,p2.jpg,cat dog,5\n",
        "label,picture\ncat,p0.jpg\ndog,p1.jpg\ncat dog,p2.jpg\n",
        "file,label1,label2\np0.jpg,cat,\np1.jpg,dog,\np2.jpg,cat,dog\n",
        "name,cat,dog\np0.jpg,1,0\np1.jpg,0,1\np2.jpg,1,1\n",
        "name\tbackground\tcat\tdog\np0.jpg\t1\t1\t0\np1.jpg\t1\t0\t1\np2.jpg\t1\t1\t1\n",
        "img;cat;dog\np0.jpg;1.0;0.0\np1.jpg;-1;1\np2.jpg;True;true\n",
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat\np2.jpg,dog\n",
        "p0,cat\np1,dog\np2,cat dog\n",
        ".\\p0.jpg,cat\n./p1.jpg,dog\nP2.JPG,cat dog\n",
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n".encode("utf-8-sig"),
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n".encode("utf-16"),
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n".encode("utf-16-le"),
        "p0.jpg,cat\np1.jpg,dog\np2.jpg,cat dog\n".encode("utf-16-be"),
    ],
)
def test_dialects(root, text):
    found = {file: tuple(sorted(labels or ())) for file, labels in _rows(root, text).items()}
    assert found == CAT_DOG


@pytest.mark.fault("a list {given}", "the same list is read")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("with the ends of lines of old Macs", "p0.jpg,cat\rp1.jpg,dog\rp2.jpg,cat dog\r"),
        (
            "whose first line is Excel's `sep=;`",
            "sep=;\nfile;label\np0.jpg;cat\np1.jpg;dog\np2.jpg;cat dog\n",
        ),
        (
            "with a column of row numbers before the photos (pandas)",
            ",file,animal\n0,p0.jpg,cat\n1,p1.jpg,dog\n2,p2.jpg,cat dog\n",
        ),
        (
            "of 0 and 1 with a column of row numbers before the photos",
            ",file,cat,dog\n0,p0.jpg,1,0\n1,p1.jpg,0,1\n2,p2.jpg,1,1\n",
        ),
        (
            "of 0 and 1 whose photos are not in the first column",
            "id,file,cat,dog\n7,p0.jpg,1,0\n8,p1.jpg,0,1\n9,p2.jpg,1,1\n",
        ),
        ("of crosses", "file,cat,dog\np0.jpg,x,\np1.jpg,,X\np2.jpg,x,x\n"),
    ],
)
def test_what_programs_write(root, given, text):
    del given
    assert _rows(root, text) == CAT_DOG


@pytest.mark.fault(
    "file names with the photo folder's own name before them", "they are found in it"
)
def test_names_seen_from_beside_the_folder(root):
    assert _rows(root, f"{root.name}/p0.jpg,cat\n") == {"p0.jpg": ("cat",)}
    (root / root.name).mkdir()
    (root / root.name / "p0.jpg").touch()
    assert list(_rows(root, f"{root.name}/p0.jpg,cat\n")) == [f"{root.name}/p0.jpg"]


@pytest.mark.fault("labels with accents in NFC and in NFD", "they are one class")
@pytest.mark.parametrize("given", [None, ("background", "caf\u00e9")])
def test_accents_of_labels(root, given):
    text = "p0.jpg,caf\u00e9\np1.jpg,cafe\u0301\n"
    assert _read(root, text, classes=given).classes == ("background", "caf\u00e9")


def test_absolute_names_in_the_folder(root):
    assert _rows(root, f"{root}/p0.jpg,cat\n") == {"p0.jpg": ("cat",)}


@pytest.mark.parametrize("header", ["", "file,labels\n", "\ufeff", "\n\n"])
def test_order_of_appearance_and_names_with_commas(root, header):
    text = header + 'b.jpg,dog cat\n"a, b.jpg",cat\n\nc.jpg,\nd\n'
    found = _read(root, text)
    assert found.classes == ("background", "dog", "cat")
    assert [row.file for row in found.rows] == ["b.jpg", "a, b.jpg", "c.jpg", "d"]
    assert [row.labels for row in found.rows] == [("dog", "cat"), ("cat",), (), ()]


@pytest.mark.fault(
    "names of several words, and several names with spaces between",
    "they are told apart by the names that stand alone elsewhere",
)
@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        (["traffic light", "stop sign", "traffic light"], [("traffic light",), ("stop sign",)]),
        (["traffic light stop sign"], [("traffic light", "stop sign")]),
        (["cat traffic light", "dog"], [("cat", "traffic light"), ("dog",)]),
        (["red fox", "blue whale"], [("red fox",), ("blue whale",)]),
        (["'red fox;blue whale'", "newt"], [("red fox", "blue whale"), ("newt",)]),
        (["'red fox|red kite'", "red fox"], [("red fox", "red kite"), ("red fox",)]),
        (["fox", "newt", "fox newt"], [("fox",), ("newt",), ("fox", "newt")]),
        (["fox newt toad", "toad"], [("fox", "newt", "toad"), ("toad",)]),
        (["a b c", "c b a"], [("a", "b", "c"), ("c", "b", "a")]),
        (["cat dog"], [("cat", "dog")]),
        (["'cat,dog'", "cat dog"], [("cat", "dog"), ("cat", "dog")]),
    ],
)
def test_what_a_space_means(root, lines, labels):
    text = "".join(f"{i}.jpg,{line}\n".replace("'", '"') for i, line in enumerate(lines))
    assert list(_rows(root, text).values())[: len(labels)] == labels


@pytest.mark.fault(
    "a label that is not among the given classes",
    "one line, with the nearest of them",
)
def test_names_that_are_given_stay_whole(root):
    classes = ("background", "red fox", "fox", "red")
    text = "a.jpg,red fox fox\nb.jpg,red\nc.jpg,fox red fox\n"
    assert list(_rows(root, text, classes=classes).values()) == [
        ("red fox", "fox"),
        ("red",),
        ("fox", "red fox"),
    ]
    with pytest.raises(DataError, match="line 1: unknown label 'red foks', did you mean 'red fox'"):
        _rows(root, 'a.jpg,"red foks;fox"\n', classes=classes)


@pytest.mark.fault("a list in any dialect", "how it was read is said before the run")
@pytest.mark.fault("a photo on several lines", "its labels are joined, which is said")
def test_what_was_recognised_is_said(root):
    notes = "\n".join(_read(root, "image_path;label\np0.jpg;cat dog\n# x\np1.jpg;dog\n").notes)
    assert "columns separated by semicolon, with the header image_path,label" in notes
    assert "'cat dog' is 2 labels" in notes and "1 lines of comment" in notes
    notes = "\n".join(_read(root, "p0,red fox\np0,newt\nP1.jpg,toad\n").notes)
    assert "'red fox' is one name" in notes
    assert "p0.jpg on several lines, whose labels are joined" in notes
    assert "names found in another spelling: 1 (P1.jpg is p1.jpg)" in notes
    assert "is read as utf-16" in "\n".join(_read(root, "p0.jpg,cat".encode("utf-16")).notes)
    assert "is read as cp1252" in "\n".join(_read(root, b"p0.jpg,caf\xe9\n").notes)


@pytest.mark.fault(
    "labels such as `cat`, `Cat` and `catt`",
    "they are classes of their own, with a warning",
)
def test_names_that_are_alike(root):
    def warning(*names):
        text = "".join(f"{i}.jpg,{name}\n" for i, name in enumerate(names))
        return [note for note in _read(root, text).notes if "warning" in note]

    assert "'cat', 'catt', 'Cat' are alike" in warning("cat", "catt", "Cat", "dog")[0]
    assert "'horse', 'hrose'" in warning("horse", "hrose")[0]
    assert "'stop sign', 'stop_sign'" in warning("stop sign", "stop_sign")[0]
    assert not warning("cat", "car", "cow", "boat", "bear", "chair", "train", "sofa")
    assert not warning("class1", "class2", "class10") and not warning("A 1", "A 2")
    assert not warning("\U0001f431", "\U0001f436") and not warning("1", "-1")


@pytest.mark.fault("VOC's list of one class (`NAME -1`)", "that class and negatives")
def test_a_list_of_one_class_of_voc(root):
    found = _read(root, "p0  1\np1 -1\np2  0\n", name="cat_train.txt")
    assert found.classes == ("background", "cat")
    assert {row.file: row.labels for row in found.rows} == {
        "p0.jpg": ("cat",),
        "p1.jpg": (),
        "p2.jpg": ("cat",),
    }


@pytest.mark.fault("a folder of VOC's lists of classes", "their labels are joined")
def test_a_folder_of_lists_of_voc(root):
    main = root / "Main"
    main.mkdir()
    (main / "dog_train.txt").write_text("p0 -1\np1  1\n")
    (main / "cat_train.txt").write_text("p0  1\np1  1\n")
    (main / "train.txt").write_text("p0\np1\n")
    found = read_list(main, root).labelled
    assert found.classes == ("background", "cat", "dog")
    assert [row.labels for row in found.rows] == [("cat",), ("cat", "dog")]


@pytest.mark.fault("pairs `images/a.jpg masks/a.png`", "classes come from the masks")
def test_pairs_of_photo_and_mask(root):
    for sub in ("images", "masks"):
        (root / sub).mkdir()
    for delimiter in (" ", ",", "\t"):
        rows = _read(root, f"images/a.jpg{delimiter}masks/a.png\n").rows
        assert [(row.file, row.labels, row.mask) for row in rows] == [
            ("images/a.jpg", None, "masks/a.png")
        ]
    row = _read(root, "p0.jpg,masks/a.png,cat dog\n").rows[0]
    assert (row.labels, row.mask) == (("cat", "dog"), "masks/a.png")
    row = _read(root, "image,mask,label\np0.jpg,masks/a.png,cat\n").rows[0]
    assert (row.labels, row.mask) == (("cat",), "masks/a.png")


@pytest.mark.fault("more than 254 labels", "one line")
def test_200_labels(root):
    names = [f"species{i:03}" for i in range(200)]
    found = _read(root, f"p0.jpg,{' '.join(names)}\np1.jpg,{' '.join(names[:100])}\n")
    assert found.classes == ("background", *names)
    with pytest.raises(DataError, match=r"more than 254 labels \(300\)"):
        _read(root, "".join(f"{i}.jpg,n{i}\n" for i in range(300)))


@pytest.mark.fault(
    "a list that is empty, broken, binary, contradicts itself, or is a table without names",
    "one line, with the line's number",
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no photo"),
        ("file,labels\n", "names no photo"),
        ("a.jpg,cat\nb.jpg,hrose\n", "labels.csv, line 2: unknown label 'hrose', .*'horse'"),
        ("a.jpg,cat\nb.jpg,cat\na.jpg,\n", "line 3: a.jpg has labels on one .*line 1"),
        (",cat\n", "line 1: expected"),
        ("a.jpg,background\n", "line 1: the label 'background'"),
        ("a.jpg,1,0\nb.jpg,0,1\n", "table of 0 and 1 without class names"),
        ("file,cat,cat\na.jpg,1,0\nb.jpg,0,1\n", "names a column twice"),
        ("a.jpg,0.25\n", "line 1: 0.25 is a number"),
        ('a.jpg,cat\nb.jpg,"dog\nc.jpg,cat\nd.jpg,dog\n', 'line 2: a " is not closed'),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a.jpg,\x81\x8d\n", "not UTF-8"),
        (b"a.jpg,c\x00at\n", "no text"),
        ('a.jpg,"' + "x" * 200_000 + '"\n', "line 0: not a CSV file|line 1: not a CSV file"),
    ],
)
def test_faults(root, text, message):
    with pytest.raises(DataError, match=message):
        _read(root, text, classes=VOC_CLASSES)


@pytest.mark.fault("a table with {given}", "one line with the column: they are no labels")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("numbers of objects", "file,cat,dog\np0.jpg,2,0\np1.jpg,0,1\n"),
        ("zeros only", "file,cat,dog\np0.jpg,0,0\np1.jpg,0,0\n"),
        ("a short row of 0 and 1", "file,cat,dog\np0.jpg,1\np1.jpg,0,1\n"),
        ("sizes beside the labels", "file,cat,animal\np0.jpg,640,cat\np1.jpg,640,dog\n"),
    ],
)
def test_numbers_are_no_labels_where_several_columns_may_hold_them(root, given, text):
    del given
    with pytest.raises(DataError, match=r"the column 'cat' holds the number \d+; .*`label`"):
        _read(root, text)
    assert _rows(root, "file,digit\np0.jpg,7\n") == {"p0.jpg": ("7",)}


@pytest.mark.fault(
    "a label with control characters, of more than 100 characters, or of signs only",
    "one line, safe to print",
)
def test_names_no_class_can_have(root):
    for name, why in {
        "x" * 101: r"it has 101 characters, more than 100; shorten it\.",
        "a\x1b[31m": r"it holds the invisible character U\+001B; remove it\.",
        "---": r"it has no letter, digit or picture; write a word\.",
        "->": r"it has no letter, digit or picture; write a word\.",
    }.items():
        with pytest.raises(
            DataError, match=rf"csv, line 2: .* is no name of a class: {why}"
        ) as caught:
            _read(root, f"b.jpg,cat\na.jpg,{name}\n")
        assert str(caught.value).isprintable() and len(str(caught.value)) < 500
