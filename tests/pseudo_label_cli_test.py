"""The command that labels a folder from given maps: what it writes, what it leaves out."""

import contextlib
import io
from typing import NamedTuple

import numpy as np
import pytest
from etils.epath import Path
from PIL import Image

from configs import test as tiny
from experiments import pseudo_label as command
from wsgcn_jax import data
from wsgcn_jax.data.class_list import read_classes
from wsgcn_jax.locks import locked
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.resize import resize_maps

SIZE = (60, 77)


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stderr: str


SETTINGS = (
    "--config=test",
    "--config.crf.partial_labels=False",
    "--config.gcn.epochs=60",
    "--config.graph.batch_size=2",
)


def _run(folder, *arguments, settings=SETTINGS):
    """Runs the command in this process."""
    out = () if any("--out" in str(a) for a in arguments) else ("--out", folder / "out")
    options = ("--images", folder, "--labels", folder / "labels.csv", *out, *settings, *arguments)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = command.main([str(option) for option in options])
        except SystemExit as error:
            status = error.code
    return Done(status, said.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of a bright box each, with its CAM and its outline; and one of every fault."""
    root = tmp_path_factory.mktemp("half_way")
    for name in ("cams", "edges"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    inside = np.zeros(SIZE, bool)
    inside[16:44, 20:56] = True
    edge = np.zeros(SIZE, np.uint8)
    edge[12:48, 16:60] = 255
    edge[20:40, 24:52] = 0
    lines = []
    for name in ("a", "b", "no_cam", "bad_cam", "bad_edge"):
        photo = rng.integers(0, 60, (*SIZE, 3)) + 180 * inside[..., None]
        Image.fromarray(photo.astype(np.uint8)).save(root / f"{name}.png")
        cam = np.zeros(SIZE, np.float32)
        cam[24:36, 28:48] = 1.0
        np.savez(root / f"cams/{name}.npz", cam=cam[None], keys=np.array([8]))
        Image.fromarray(edge).save(root / f"edges/{name}.png")
        lines.append(f"{name}.png,cat")
    (root / "cams/no_cam.npz").unlink()
    (root / "cams/bad_cam.npz").write_bytes(b"rubbish")
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(root / "edges/bad_edge.png")
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:300])
    lines += ["broken.png,cat", "unlabelled.png,", "absent.png,cat"]
    (root / "unlabelled.png").write_bytes((root / "a.png").read_bytes())
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


MAPS = ("--cams", "{}/cams", "--edges", "{}/edges", "--classes=voc")


def _maps(folder):
    return [part.format(folder) for part in MAPS]


@pytest.mark.fault(
    "photos without a CAM, with a broken one, or a broken photo",
    "they are left out, the others labelled",
)
@pytest.mark.fault(
    "`pseudo_label` with other settings and the old `--out`",
    "one line; the old labels are kept",
)
def test_labels_scores_and_what_is_left_out(folder):
    done = _run(folder, *_maps(folder), "--scores", "--layout", "voc-server")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and "8 cat" in done.stderr
    labels = folder / "out/results/VOC2012/Segmentation/comp6_test_cls"
    found = {path.name for path in labels.iterdir()}
    assert found == {"a.png", "b.png", "unlabelled.png", "classes.json"}
    assert read_classes(labels) == data.VOC_CLASSES
    assert "CAMs of 2 photos: an .npz of cam and keys; class ids as in masks" in done.stderr
    assert "3 photos, 1 class: cat 2, without any 1; 5 left out" in done.stderr
    assert not data.read_mask(labels / "unlabelled.png").any()
    for name in ("no_cam", "bad_cam", "bad_edge", "broken", "absent"):
        assert f"left out: {name}: " in done.stderr
    assert "5 photos were left out" in done.stderr
    for name in ("a", "b"):
        mask = data.read_mask(labels / f"{name}.png")
        assert mask.shape == SIZE and set(np.unique(mask)) == {0, 8}
        # Seeds cover a ninth of the box; walk and GCN fill it up to the outline's middle.
        assert (mask[20:40, 24:52] == 8).mean() > 0.95
        assert (mask[:10] == 0).mean() > 0.95
        with np.load(folder / f"out/scores/{name}.npz") as arrays:
            assert arrays["keys"].tolist() == [0, 8] and arrays["scores"].shape == (2, *SIZE)
            np.testing.assert_array_equal(arrays["keys"][arrays["scores"].argmax(0)], mask)
    # A second run finds all done.
    before = [path.stat().st_mtime_ns for path in sorted(labels.glob("*.png"))]
    assert _run(folder, *_maps(folder), "--scores", "--layout", "voc-server").returncode == 3
    assert [path.stat().st_mtime_ns for path in sorted(labels.glob("*.png"))] == before
    other = _run(folder, *_maps(folder), "--config.gcn.hidden=8")
    assert other.returncode == 2 and "labels of another setting" in other.stderr


@pytest.mark.fault(
    "`--checkpoint=RUN`",
    "RUN's own configuration and classes count; another `--config` or `--classes` is one line",
)
@pytest.mark.fault("`pseudo_label --out` on a stage of a run", "one line")
@pytest.mark.slow  # the whole of a run and a process of its own: a minute
def test_a_runs_networks_label_photos_as_the_run_itself_does(tmp_path):
    photos, work = tmp_path / "photos", tmp_path / "work"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        # Of whole cells, so that the run's CAMs need no second resizing.
        photo = rng.integers(0, 60, (64, 80, 3))
        photo[16:48, 20:56] += 180
        Image.fromarray(photo.astype(np.uint8)).save(photos / f"{name}.png")
    # A head that was drawn speaks for one class in two.
    (photos / "labels.csv").write_text("a.png,p q r s t u v w\nb.png,w v u t s r q p\n")
    config = tiny.get_config()
    config.data.update(source="folder", root=str(photos), val_split=None)
    config.stages = "data,classifier,cams,boundary,pseudo_labels"
    # Networks as they start: what they find means little, but it is theirs alone.
    config.classifier.epochs = config.boundary.epochs = 0
    config.crf.update(partial_labels=False, ir_labels=False, post_process=False)
    config.cams.bucket = 16
    config.graph.update(batch_size=2, longer_side=None, bucket=16)
    config.gcn.epochs = 60
    assert run_stages(config, str(work)) == []
    # The run's own settings count: no other file, and single keys only.
    refused = _run(photos, "--checkpoint", work, settings=["--config=default"])
    assert refused.returncode == 2 and "go with that run's own configuration" in refused.stderr
    refused = _run(photos, "--checkpoint", work, "--classes=p,q", settings=[])
    assert refused.returncode == 2 and "know p, q, r, s" in refused.stderr
    refused = _run(photos, "--checkpoint", work, "--out", work / "pseudo_labels", settings=[])
    assert refused.returncode == 2 and "belongs to a run" in refused.stderr
    key = ("--config.graph.longer_side=None",)
    done = _run(photos, "--checkpoint", work, "--scores", settings=key)
    assert done.returncode == 0, done.stderr
    assert read_classes(photos / "out") == read_classes(work / "pseudo_labels")
    for name in "ab":
        with np.load(work / f"pseudo_labels/{name}.npz") as arrays:
            assert set(np.unique(arrays["seeds"])) - {0, 255}  # CAMs are not zero
            expected = np.exp(resize_maps(arrays["log_probs"], (64, 80), align_corners=True))
        with np.load(photos / f"out/scores/{name}.npz") as arrays:
            assert arrays["keys"].tolist() == list(range(9))
            np.testing.assert_allclose(arrays["scores"], expected, rtol=1e-3, atol=1e-6)
        mask = data.read_mask(photos / f"out/{name}.png")
        np.testing.assert_array_equal(mask, data.read_mask(work / f"pseudo_labels/{name}.png"))


@pytest.mark.fault(
    "the same list in `train` and in `pseudo_label`",
    "the same class numbers, which are said",
)
def test_ids_are_those_of_training_in_the_order_of_the_list(folder):
    """Cat is 1 here as in a run of the same list, also where all names are VOC's."""
    done = _run(folder, *_maps(folder)[:4], "--out", folder / "own")
    assert done.returncode == 2 and "class ids: 0 background, 1 cat" in done.stderr
    assert "it has the classes [8], counted as in masks, but the photo is labelled 1" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: all 7 photos with labels were left out")


@pytest.mark.fault(
    "`pseudo_label --out` on the folder of photos or maps",
    "one line; nothing is overwritten",
)
@pytest.mark.parametrize("out", ["", "/cams", "/edges", "/link"])
def test_photos_and_maps_are_never_overwritten(folder, out):
    link = folder / "link"
    if not link.exists():
        link.symlink_to(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    done = _run(folder, *_maps(folder), f"--out={folder}{out}")
    assert done.returncode == 2 and "whose files would be overwritten" in done.stderr
    assert before == {path: path.read_bytes() for path in folder.rglob("*.png")}


@pytest.mark.fault("`pseudo_label --out` on somebody's masks", "one line")
def test_masks_of_others_do_not_pass_for_results(folder, tmp_path):
    data.write_mask(tmp_path / "a.png", np.zeros(SIZE, np.uint8))
    done = _run(folder, *_maps(folder), f"--out={tmp_path}")
    assert done.returncode == 2 and "which this command did not make" in done.stderr


@pytest.mark.fault("CAMs without boundary maps or a run", "one line that says what is missing")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cams", "{}/cams"], "give them, or a trained run"),
        (["--cams", "{}/none", "--edges", "{}/edges"], "none is no folder"),
        (["--layout", "tidy"], "tidy"),
        (["--checkpoint", "{}/none"], "none"),
    ],
)
def test_bad_options_name_themselves(folder, arguments, said):
    options = [part.format(folder) for part in arguments]
    out = folder / f"out_{said[:4]}"
    out.mkdir(exist_ok=True)
    (out / "settings.json").write_text("{}")  # a command that failed does not claim the folder
    done = _run(folder, *options, f"--out={out}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ") and said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_maps_and_run_a_run_without_training_is_made(folder, tmp_path, monkeypatch):
    made, labelled = [], []
    monkeypatch.setattr(command, "run_stages", lambda config, workdir: made.append(config))
    monkeypatch.setattr(
        command, "label_folder", lambda *arguments: (labelled.append(arguments), (2, []))[1]
    )
    out = tmp_path / "out"
    assert _run(folder, "--out", out).returncode == 0
    (config,), ((_, given, own, masks, _),) = made, labelled
    assert (given.run, given.cams, masks) == (out / "run", out / "run" / "cams", out)
    assert config == own and (config.classifier.head, config.classifier.epochs) == ("imagenet", 0)
    assert (config.data.root, config.data.labels) == (str(folder), str(folder / "labels.csv"))


@pytest.mark.fault(
    "two `pseudo_label` commands with one `--out`",
    "the second one says who works there and ends",
)
def test_two_commands_never_share_an_output_folder(folder, tmp_path):
    with locked(Path(tmp_path)):
        done = _run(folder, *_maps(folder), f"--out={tmp_path}")
    assert done.returncode == 2 and "another run works there (process " in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}
