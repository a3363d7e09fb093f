"""Arrays in, arrays out: what is refused, what is laid out, and that masks are the commands'."""

import json

import numpy as np
import pytest
from PIL import Image

import wsgcn_jax as ws
from configs import test as tiny
from experiments import train as command
from wsgcn_jax import data
from wsgcn_jax.api import labelling
from wsgcn_jax.api.inputs import lay_out, named_classes

PHOTO = np.full((20, 30, 3), 9, np.uint8)
MASK = np.zeros((20, 30), np.uint8)

REFUSED = {
    "no photos": (lambda to: lay_out([], [], None, to), "no photo"),
    "fewer labels": (lambda to: lay_out([PHOTO, PHOTO], [{"a"}], None, to), "1 labels for 2"),
    "fewer masks": (lambda to: lay_out([PHOTO], [{"a"}], [], to), "0 masks for 1"),
    "a text for labels": (lambda to: lay_out([PHOTO], ["cat"], None, to), "are 'cat'; give a list"),
    "arrays and files": (lambda to: lay_out([PHOTO, "a.png"], [{"a"}] * 2, None, to), "one kind"),
    "a photo of floats": (lambda to: lay_out([PHOTO / 255.0], [{"a"}], None, to), "photo 0"),
    "a grey photo": (lambda to: lay_out([PHOTO[..., 0]], [{"a"}], None, to), "photo 0"),
    "arrays without labels": (lambda to: lay_out([PHOTO], None, None, to), "labels as a list"),
    "masks of a folder": (lambda to: lay_out(to, None, [MASK], to), "masks cannot be given"),
    "no such configuration": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=to / "run", config="shapse"),
        "did you mean 'shapes'",
    ),
    "no such key": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=to / "run", settings={"gcn.epoch": 3}),
        "gcn.epoch",
    ),
    "a value of another kind": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=to / "run", settings={"gcn.epochs": "x"}),
        "it must be a whole number from 1 to 100000",
    ),
    "settings without names": (
        lambda to: ws.pseudo_label([PHOTO], [{"a"}], settings=[("gcn.epochs", 3)]),
        "give keys and values",
    ),
    "a number for a key": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=to / "run", settings={1: 2}),
        "give keys and values",
    ),
    "CAMs that are no numbers": (
        lambda to: ws.pseudo_label(
            [PHOTO], [{"a"}], cams=[np.full((1, 5, 8), np.nan)], boundary=[MASK / 1.0]
        ),
        "the CAMs of photo 0",
    ),
    "photos one by one": (lambda to: lay_out((x for x in ()), [], None, to), "images: generator"),
    "a missing value as a label": (
        lambda to: lay_out([PHOTO], [[float("nan")]], None, to),
        "nan, which is no name",
    ),
    "a table of 0 and 1 for labels": (
        lambda to: lay_out([PHOTO] * 2, [[1, 0], [0, 1]], None, to),
        "labels are a table of 0 and 1",
    ),
    "an array of 0 and 1 for labels": (
        lambda to: lay_out([PHOTO] * 2, np.eye(2), None, to),
        "labels are an array of float64",
    ),
    "a truth value as a label": (
        lambda to: lay_out([PHOTO], [[True]], None, to),
        "hold True, which is no name",
    ),
    "a label that is no text": (
        lambda to: lay_out([PHOTO], [["c\udc80t"]], None, to),
        "which is no name",
    ),
    "photos without an order": (
        lambda to: lay_out({"a.png", "b.png"}, [{"a"}] * 2, None, to),
        "images: set has no order",
    ),
    "a dictionary of labels": (
        lambda to: lay_out([PHOTO], {"a.png": ["a"]}, None, to),
        "labels: dict has no order",
    ),
    "a photo of ragged lists": (
        lambda to: lay_out([[[1, 2], [3]]], [{"a"}], None, to),
        "a list of several lengths",
    ),
    "a mask of ragged lists": (
        lambda to: lay_out([PHOTO], [{"a"}], [[[1, 2], [3]]], to),
        "mask 0 is a list of several lengths",
    ),
    "a class twice": (lambda to: named_classes(("a", "b", "a")), "different names"),
    "background among the classes": (lambda to: named_classes(["a", "background"]), "comes first"),
    "classes without an order": (lambda to: named_classes({"a", "b"}), "give a list"),
    "a number for a class": (lambda to: named_classes((1, 2)), "1 is no name"),
    "an empty name of a class": (lambda to: named_classes(("a", "")), "'' is no name"),
    "no class": (lambda to: named_classes(()), "1 to 254 different names"),
    "255 classes": (lambda to: named_classes([f"c{i}" for i in range(255)]), "1 to 254 different"),
    "masks one by one": (
        lambda to: ws.evaluate((m for m in ()), [], classes=("a", "b")),
        "masks: generator has no length",
    ),
    "a name twice to score": (
        lambda to: ws.evaluate([MASK], [MASK], classes=("a", "b", "b")),
        "name one twice",
    ),
    "a file twice": (lambda to: lay_out(["a.png"] * 2, [{"a"}] * 2, None, to), "given twice"),
    "a mask of shares": (lambda to: lay_out([PHOTO], [{"a"}], [MASK / 2], to), "mask 0 is float"),
    "a mask of class 300": (
        lambda to: lay_out([PHOTO], [{"a"}], [MASK + np.int64(300)], to),
        "holds 300",
    ),
    "a mask below 0": (
        lambda to: lay_out([PHOTO], [{"a"}], [MASK.astype(int) - 1], to),
        "mask 0 holds -1",
    ),
    "a mask with channels": (
        lambda to: lay_out([PHOTO], [{"a"}], [PHOTO], to),
        r"give \[h, w\] uint8",
    ),
    "seeds of shares": (
        lambda to: ws.pseudo_label([PHOTO], [{"a"}], seeds=[MASK / 2], boundary=[MASK]),
        "seeds 0 is float",
    ),
    "CAMs by class": (
        lambda to: ws.pseudo_label([PHOTO], [{"a"}], cams=[{1: MASK}], boundary=[MASK]),
        "cams of photo 0 are object",
    ),
    "classes in one text": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=to / "run", classes="a"),
        "give a list of names",
    ),
    "a work folder that is a file": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=__file__),
        "cannot be written",
    ),
    "a number for a configuration": (
        lambda to: ws.train([PHOTO], [{"a"}], workdir=to / "run", config=3),
        "config is 3",
    ),
    "one path to predict": (lambda to: ws.Run(to, ()).predict("a.png"), "give a list of photos"),
    "files to score": (
        lambda to: ws.evaluate(["a.png"], ["a.png"], classes=("a", "b")),
        "give whole numbers",
    ),
    "no run": (lambda to: ws.load(to), "holds no run"),
    "fewer truths": (lambda to: ws.evaluate([MASK], [], classes=("a", "b")), "1 masks but 0"),
    "a class without a name": (
        lambda to: ws.evaluate([MASK + 3], [MASK], classes=("a", "b")),
        "class 3",
    ),
    "a true class without a name": (
        lambda to: ws.evaluate([MASK] * 2, [MASK, MASK + 7], classes=("background", "a", "b")),
        "true mask 1 holds class 7, but there are 3: background, a, b; name all",
    ),
    "a true class below 0": (
        lambda to: ws.evaluate([MASK], [MASK.astype(int) - 1], classes=("a", "b")),
        "true mask 0 holds class -1",
    ),
    "a true class of 300": (
        lambda to: ws.evaluate([MASK], [MASK.astype(int) + 300], classes=("a", "b")),
        "true mask 0 holds class 300",
    ),
    "a mask of another size": (lambda to: ws.plot.overlay(PHOTO, MASK[1:]), "h of image being 20"),
    "an id without a name": (lambda to: ws.plot.overlay(PHOTO, MASK + 2, ("a", "b")), "class 2"),
    "a photo to draw on that is not there": (
        lambda to: ws.plot.overlay(to / "none.jpg", MASK),
        "none.jpg",
    ),
    "fewer titles than pictures": (
        lambda to: ws.plot.row([PHOTO, PHOTO], titles=["cat"]),
        "1 titles for 2 pictures",
    ),
    "no picture to show": (lambda to: ws.plot.row([]), "there is no picture"),
    "a mask for a picture": (lambda to: ws.plot.row([PHOTO, MASK]), "picture 1 is uint8"),
}


@pytest.mark.fault("{case}, to a function of `ws`", "one line", section="Functions")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named_in_one_line(case, tmp_path):
    call, named = REFUSED[case]
    with pytest.raises(ws.DataError, match=named) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


def test_names_of_classes_are_brought_to_one_form():
    given = ["_Background_", " traffic\u00a0 light", "cafe\u0301"]
    assert named_classes(given) == ("traffic light", "caf\u00e9")
    assert named_classes(None) is None


def test_arrays_become_files_and_files_stay(tmp_path):
    given = lay_out([PHOTO, PHOTO + 1], [["dog", "cat"], set()], [MASK, MASK], tmp_path / "to")
    lines = [json.loads(line) for line in given.labels.read_text().splitlines()]
    assert [line["labels"] for line in lines] == [["dog", "cat"], []]
    assert np.array_equal(np.asarray(Image.open(given.root / lines[1]["file"])), PHOTO + 1)
    assert np.array_equal(data.read_mask(given.masks / "00000.png"), MASK)
    for name in ("a/one.png", "b/two.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(PHOTO).save(tmp_path / name)
    files = [tmp_path / "a/one.png", tmp_path / "b/two.png"]
    given = lay_out(files, [{"cat"}, {"dog"}], None, tmp_path / "to")
    assert given.root == tmp_path and given.masks is None
    source = data.FolderSource(given.root, given.labels, classes=("background", "cat", "dog"))
    assert source.listing()["train"] == ("a__one", "b__two")


def test_cams_get_the_ids_of_their_photos_labels(monkeypatch):
    found = []

    def label_folder(source, maps, config, out):
        found.append(np.load(maps.cams / "00000.npz")["keys"].tolist())
        raise ws.DataError("far enough")

    monkeypatch.setattr(labelling, "label_folder", label_folder)
    cams = [np.ones((2, 5, 8), np.float32)]
    for classes in (("ox", "cat", "dog"), ("background", "ox", "cat", "dog")):
        with pytest.raises(ws.DataError, match="far enough"):
            ws.pseudo_label([PHOTO], [["dog", " cat ", ""]], classes=classes, cams=cams)
    assert found == [[2, 3], [2, 3]]


def test_scores_are_shares_and_unknown_pixels_background():
    truth, mask = MASK.copy(), MASK.copy()
    truth[:10], mask[:5], mask[15:] = 1, 1, 255
    scores = ws.evaluate([mask], [truth], classes=("background", "cat"))
    assert scores.iou == {"background": pytest.approx(10 / 15), "cat": pytest.approx(0.5)}
    assert scores.pixel_accuracy == pytest.approx(0.75)


@pytest.mark.fault(
    "masks without a true pixel to `ws.evaluate`", "every score is NaN", section="Functions"
)
def test_nothing_to_score_is_nan():
    for masks, truths in (([], []), ([MASK], [MASK + 255])):
        scores = ws.evaluate(masks, truths, classes=("background", "cat"))
        assert np.isnan(scores.miou) and np.isnan(scores.pixel_accuracy) and scores.iou == {}


def test_a_folder_where_a_photo_is_to_be_stored_is_one_line(tmp_path):
    stored = lay_out([PHOTO], [{"a"}], None, tmp_path).root / "00000.png"
    stored.unlink()
    stored.mkdir()
    with pytest.raises(ws.DataError, match=f"{stored} cannot be written: it is a folder"):
        lay_out([PHOTO], [{"a"}], None, tmp_path)


def test_pictures_have_a_legend_and_show_the_classes():
    mask = MASK.copy()
    mask[5:15, 5:15] = 1
    picture = ws.plot.overlay(PHOTO, mask, ("background", "cat"))
    assert picture.size == (30, 40)
    assert np.array_equal(np.asarray(picture)[0, 0], PHOTO[0, 0])
    assert not np.array_equal(np.asarray(picture)[10, 10], PHOTO[10, 10])
    sides = np.asarray(picture)[[5, 14, 10, 10], [10, 10, 5, 14]]
    assert (sides == (171, 0, 0)).all()  # outlined on all sides
    assert ws.plot.row([PHOTO, mask[..., None].repeat(3, -1)], titles="ab", height=40).height == 60
    mask[:5] = 2  # two names are wider than the photo
    assert ws.plot.overlay(PHOTO, mask, ("background", "cat", "dog")).size == (30, 60)


def test_pictures_are_drawn_on_files_as_they_are_to_be_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(PHOTO).save(tmp_path / "turned.png", exif=exif)
    upright = np.rot90(PHOTO, -1)
    mask = np.ones(upright.shape[:2], np.uint8)
    for draw in (ws.plot.overlay, ws.plot.heat):
        drawn = draw(tmp_path / "turned.png", mask)
        assert np.array_equal(np.asarray(drawn), np.asarray(draw(upright, mask)))
    row = ws.plot.row([str(tmp_path / "turned.png"), drawn], height=30)
    assert row.size == (20 + 8 + 20, 30)


@pytest.mark.slow
def test_the_call_and_the_command_give_the_same_masks(tmp_path, monkeypatch):
    # JAX, which other tests of this process have used, could not join any more.
    monkeypatch.setattr(command, "join_hosts", lambda log: None)
    data.prepare(data.ShapesSource(num_train=4, num_val=1), tmp_path / "drawn")
    drawn = data.load(tmp_path / "drawn", "train")
    names = drawn.classes[1:]
    (tmp_path / "photos").mkdir()
    lines = []
    for index, example in enumerate(drawn):
        Image.fromarray(example.image).save(tmp_path / f"photos/{index}.png")
        present = [names[k] for k in np.flatnonzero(example.labels)]
        lines.append(f"{index}.png,{' '.join(present)}")
    (tmp_path / "photos/labels.csv").write_text("\n".join(lines) + "\n")
    keys = ["--config.data.val_split="]
    keys += [f"--config.segmenter.{key}" for key in ("epochs=1", "batch_size=2")]
    arguments = [f"--photos={tmp_path}/photos", "--config=test", f"--workdir={tmp_path}/command"]
    assert command.main([*arguments, *keys]) == 0
    run = ws.train(
        [tmp_path / f"photos/{index}.png" for index in range(4)],
        [line.partition(",")[2].split() for line in lines],
        workdir=tmp_path / "call",
        config=tiny.get_config(),
        settings={"segmenter.epochs": 1, "segmenter.batch_size": 2},
    )
    assert run.report.exists() and len(run.pseudo_labels) == 4
    for name, mask in zip(run.names, run.pseudo_labels, strict=True):
        other = data.read_mask(tmp_path / f"command/pseudo_labels/{name}.png")
        assert np.array_equal(mask, other)
    photos = [example.image for example in drawn]
    masks = ws.load(tmp_path / "call").predict(photos)
    assert [m.shape for m in masks] == [p.shape[:2] for p in photos]
