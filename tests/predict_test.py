"""The command that labels any folder of photos: every size, broken files, resuming."""

import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils.epath import Path
from golden_weights import any_variables
from PIL import Image

import wsgcn_jax as ws
from experiments import predict as command
from wsgcn_jax import data
from wsgcn_jax.data.class_list import read_classes
from wsgcn_jax.locks import locked
from wsgcn_jax.models.backbone import make_backbone, normalise
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.pipeline.predict import seen_size
from wsgcn_jax.pipeline.saved_segmenter import Description, describe, load_segmenter
from wsgcn_jax.pipeline.scores import argmax_labels, argmax_resized
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.trainer.checkpoint import save_tree
from wsgcn_jax.types import DataError

DESCRIPTION = Description(
    classes=("background", "cat", "dog"),
    backbone="efficientnet_lite0",
    output_stride=16,
    rates=(1, 2),
    undilated_first=False,
    scales=(1.0,),
    fuse="mean",
    longer_side=96,
    batch_size=2,
    bucket=96,
)
SIZES = {  # height, width
    "one.png": (1, 1),
    "wide.webp": (20, 700),
    "grey.jpg": (60, 80),
    "sub/tall.jpeg": (90, 33),
    "turned.jpg": (64, 48),  # lies on its side in the file
    "clear.png": (64, 48),
    "large.JPG": (3000, 2000),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    module = DeepLabV2(make_backbone("efficientnet_lite0"), num_classes=3, rates=(1, 2))
    variables = any_variables(module)
    kernel = variables["params"]["aspp_kernel"]  # without a favourite class
    variables["params"]["aspp_kernel"] = kernel - kernel.mean((0, 1, 2, 3))
    variables["params"]["aspp_bias"] *= 0
    save_tree(folder / "segmenter/weights", variables["params"])
    save_tree(folder / "segmenter/statistics", {"batch_stats": variables["batch_stats"]})
    describe(folder / "segmenter", DESCRIPTION)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    rng = np.random.default_rng(0)
    for name, (height, width) in SIZES.items():
        # Blobs, not noise: noise would vanish when a photo is made smaller.
        small = rng.integers(0, 256, (4, 5, 3), np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        options = {}
        if name.startswith("grey"):
            image = image.convert("L")
        elif name.startswith("clear"):
            image = image.convert("RGBA")
        elif name.startswith("turned"):
            image = image.transpose(Image.Transpose.ROTATE_90)
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = 6
        image.save(folder / name, **options)
    (folder / "labels.csv").write_text("not,a photo")
    (folder / "cut.jpg").write_bytes((folder / "large.JPG").read_bytes()[:5000])
    (folder / "text.png").write_text("not a photo at all")
    return folder


def _run(*arguments):
    return command.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def masks(trained, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "masks"
    status = _run("--checkpoint", trained, "--images", photos, "--out", out)
    return out, status


@pytest.mark.fault("photos from 1x1 to 3000x2000 to predict", "every mask has its photo's size")
def test_every_photo_gets_a_mask_of_its_size(masks):
    out, status = masks
    assert status == 3  # two are broken
    written = {str(p.relative_to(out)) for p in out.rglob("*.png")}
    assert written == {name.rsplit(".", 1)[0] + ".png" for name in SIZES}
    labels = set()
    for name, size in SIZES.items():
        mask = data.read_mask(out / f"{name.rsplit('.', 1)[0]}.png")
        assert mask.shape == size
        labels |= set(np.unique(mask))
    assert len(labels) > 1 and labels <= {0, 1, 2}
    assert read_classes(out) == DESCRIPTION.classes


def test_masks_are_the_networks(masks, trained, photos):
    net = load_segmenter(trained / "segmenter").network

    @jax.jit
    def probabilities(variables, image):
        def logits(image):
            return net.apply(variables, normalise(image, "efficientnet_lite0"))

        mean = (logits(image) + logits(image[:, :, ::-1])[:, :, ::-1]) / 2
        return jax.nn.softmax(jax.image.resize(mean, (1, 16, 12, 3), "linear", antialias=False))

    image = np.array(Image.open(photos / "clear.png").convert("RGB"))[None]

    grid = probabilities(net.variables, jnp.asarray(image))
    large = jax.image.resize(grid, (1, 64, 48, 3), "linear", antialias=False)
    expected = np.asarray(large[0].argmax(-1))
    mask = data.read_mask(masks[0] / "clear.png")
    assert len(np.unique(expected)) > 1
    assert (mask == expected).mean() > 0.995  # ties may go either way


@pytest.mark.fault("`predict` started again", "only what is missing is done")
def test_broken_photos_are_listed_and_the_rest_is_not_done_again(masks, trained, photos, capsys):
    out, _ = masks
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    (out / "one.png").unlink()
    assert _run("--checkpoint", trained, "--images", photos, "--out", out) == 3
    err = capsys.readouterr().err
    assert "2 photos were left out" in err and "cut.jpg" in err and "text.png" in err
    assert (out / "one.png").exists()
    again = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    changed = {p.name for p in times if again[p] != times[p]}
    # Its batch is computed whole, and so is the broken one's.
    assert "one.png" in changed and len(changed) < 2 * DESCRIPTION.batch_size


def test_a_segmenters_folder_knows_its_classes_and_no_photos(trained):
    run = ws.load(trained / "segmenter")
    assert run.classes == DESCRIPTION.classes
    with pytest.raises(ws.DataError, match="holds a segmenter alone"):
        assert run.names


@pytest.mark.fault("a `network.json` that is damaged", "one line")
@pytest.mark.fault("`a.jpg` and `a.png` to predict", "one line: they would share one mask")
@pytest.mark.fault("`predict --out` that holds masks of another network", "one line; they are kept")
def test_what_cannot_be_used_is_one_line(masks, trained, photos, tmp_path, capsys):
    def message(*arguments):
        assert _run(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    images = ("--images", photos)
    good = ("--checkpoint", trained, *images)
    assert "network.json" in message("--checkpoint", tmp_path, *images, "--out", tmp_path / "o")
    assert "missing" in message("--checkpoint", trained, "--images", tmp_path / "x", "--out", "o")
    assert "move --out" in message(*good, "--out", photos / "masks")
    (tmp_path / "empty").mkdir()
    empty = message("--checkpoint", trained, "--images", tmp_path / "empty", "--out", "o")
    assert "holds no photo" in empty
    twins = tmp_path / "twins"
    twins.mkdir()
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (9, 9)).save(twins / name)
    assert "rename" in message("--checkpoint", trained, "--images", twins, "--out", "o")
    (tmp_path / "shared" / "a.png").mkdir(parents=True)
    for name in ("a.jpg", "a.png/b.jpg"):
        Image.new("RGB", (9, 9)).save(tmp_path / "shared" / name)
    shared = message("--checkpoint", trained, "--images", tmp_path / "shared", "--out", "o")
    assert "the mask of a.jpg and the folder a.png" in shared
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    describe(other / "segmenter", DESCRIPTION._replace(longer_side=80))
    another = message("--checkpoint", other, *images, "--out", masks[0])
    assert "another network or setting" in another
    raw = json.loads((other / "segmenter/network.json").read_text())
    for key, value in (("backbone", "vgg"), ("longer_side", 0), ("rates", "x"), ("classes", [])):
        text = json.dumps({**raw, key: value})
        (other / "segmenter/network.json").write_text(text)
        assert "damaged" in message("--checkpoint", other, *images, "--out", tmp_path / "o")


@pytest.mark.fault(
    "`predict --out` on the photos' folder, through a link too, on the network's, or on "
    "somebody's masks",
    "one line; nothing is overwritten",
)
def test_no_photo_and_no_mask_of_others_is_touched(trained, photos, tmp_path, capsys):
    good = ("--checkpoint", trained, "--images", photos)
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(photos / "sub")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "one.png").touch()
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    for out, said in (
        (photos, "move --out"),
        (tmp_path / "link", "move --out"),
        (tmp_path / "out", "masks would lie among photos"),
        (trained, "is the network's folder"),
        (tmp_path / "foreign", "which this command did not make"),
    ):
        assert _run(*good, "--out", out) == 2
        assert said in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in photos.rglob("*")}


@pytest.mark.fault(
    "`predict --images` on a folder with links to folders",
    "their photos get masks; a link that leads nowhere or to a folder that is read is named",
)
def test_links_among_the_photos_are_followed(tmp_path, capsys):
    for name in ("photos/a.jpg", "far/sub/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for link, to in (("far", "far"), ("far/back", "photos"), ("gone", "gone"), ("twin", "far")):
        (tmp_path / "photos" / link).symlink_to(tmp_path / to)
    files = command._photos(tmp_path / "photos", tmp_path / "out")
    assert [str(file) for file in files] == ["a.jpg", "far/sub/b.png"]
    assert capsys.readouterr().err.splitlines() == [
        "left out: gone: it leads nowhere",
        "left out: twin: it leads to far, which is read already",
        "left out: far/back: it leads to photos, which is read already",
    ]
    with pytest.raises(DataError, match="masks would be taken for photos"):
        command._photos(tmp_path / "photos", tmp_path / "far/out")


@pytest.mark.fault(
    "`predict` on names in any script, with line ends or in no encoding, and on dangling links",
    "each gets a mask of its name; the links are named, and the status is 3",
)
def test_odd_names_get_masks(trained, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (b"a.jpg", "\u732b \u00dc.jpg".encode(), b"line\nend.jpg", b"bad\xff.jpg"):
        Image.new("RGB", (40, 30), "red").save(folder / os.fsdecode(name), format="JPEG")
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    out = tmp_path / "out"
    assert _run("--checkpoint", trained, "--images", folder, "--out", out) == 3
    err = capsys.readouterr().err
    assert "gone.jpg" in err and "1 photos were left out" in err
    written = {os.fsencode(path.name) for path in out.glob("*.png")}
    expected = {os.fsencode(path.stem) + b".png" for path in folder.iterdir()}
    assert written == expected - {b"gone.png"}


@pytest.mark.fault("`predict` on broken photos only", "one line")
def test_a_folder_of_broken_photos_is_an_error(trained, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("no photo")
    assert (
        _run("--checkpoint", trained, "--images", tmp_path / "photos", "--out", tmp_path / "o") == 2
    )
    assert capsys.readouterr().err.startswith("error: all 1 photos were left out: photo ")


@pytest.mark.fault("a segmenter whose description and weights differ", "one line")
def test_weights_of_another_network_are_refused(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "other")
    describe(tmp_path / "other/segmenter", DESCRIPTION._replace(classes=("background", "cat")))
    with pytest.raises(DataError, match="another network"):
        load_segmenter(tmp_path / "other")


def test_large_photos_are_seen_small_and_labelled_in_strips():
    assert seen_size((4000, 6000), 1024) == (688, 1024)
    assert seen_size((1, 1), 1024) == (16, 16)
    assert seen_size((375, 500), 1024) == (368, 496)
    maps = np.random.default_rng(0).random((3, 7, 9)).astype(np.float32)
    keys = np.array([0, 4, 9], np.uint8)
    whole = argmax_labels(resize_maps(maps, (50, 31)), keys)
    for strip in (1, 13, 64):
        np.testing.assert_array_equal(argmax_resized(maps, (50, 31), keys, strip=strip), whole)


@pytest.mark.fault(
    "two `predict` commands with one `--out`",
    "the second one says who works there and ends",
)
def test_two_commands_never_share_an_output_folder(trained, photos, tmp_path, capsys):
    with locked(Path(tmp_path)):
        assert _run("--checkpoint", trained, "--images", photos, "--out", tmp_path) == 2
    assert "another run works there (process " in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}
