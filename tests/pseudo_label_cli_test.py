"""The command that labels a folder from given maps: what it writes, what it leaves out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import test as tiny
from wsgcn_jax import data
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.resize import resize_maps

ROOT = Path(__file__).parents[1]
SIZE = (60, 77)


def _run(folder, *arguments):
    command = [
        *(sys.executable, "-m", "experiments.pseudo_label", "--config=configs/test.py"),
        *(
            "--config.crf.partial_labels=False",
            "--config.gcn.epochs=60",
            "--config.graph.batch_size=2",
        ),
        *("--images", folder, "--labels", folder / "labels.csv", "--out", folder / "out"),
        *arguments,
    ]
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )


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


MAPS = ("--cams", "{}/cams", "--edges", "{}/edges")


def _maps(folder):
    return [part.format(folder) for part in MAPS]


def test_labels_scores_and_what_is_left_out(folder):
    done = _run(folder, *_maps(folder), "--scores", "--layout", "voc-server")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and "8 cat" in done.stderr
    labels = folder / "out/results/VOC2012/Segmentation/comp6_test_cls"
    assert {path.name for path in labels.iterdir()} == {"a.png", "b.png"}
    for name in ("no_cam", "bad_cam", "bad_edge", "broken", "unlabelled", "absent"):
        assert f"left out: {name}: " in done.stderr
    assert "6 photos were left out" in done.stderr
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
    before = [path.stat().st_mtime_ns for path in sorted(labels.iterdir())]
    assert _run(folder, *_maps(folder), "--scores", "--layout", "voc-server").returncode == 3
    assert [path.stat().st_mtime_ns for path in sorted(labels.iterdir())] == before
    other = _run(folder, *_maps(folder), "--config.gcn.hidden=8")
    assert other.returncode == 2 and "labels of another setting" in other.stderr


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
    changed = (
        "crf.post_process=False",
        "cams.bucket=16",
        "graph.longer_side=None",
        "graph.bucket=16",
    )
    options = [f"--config.{change}" for change in changed]
    done = _run(photos, "--checkpoint", work, "--scores", *options)
    assert done.returncode == 0, done.stderr
    for name in "ab":
        with np.load(work / f"pseudo_labels/{name}.npz") as arrays:
            assert set(np.unique(arrays["seeds"])) - {0, 255}  # CAMs are not zero
            expected = np.exp(resize_maps(arrays["log_probs"], (64, 80), align_corners=True))
        with np.load(photos / f"out/scores/{name}.npz") as arrays:
            assert arrays["keys"].tolist() == list(range(9))
            np.testing.assert_allclose(arrays["scores"], expected, rtol=1e-3, atol=1e-6)
        mask = data.read_mask(photos / f"out/{name}.png")
        np.testing.assert_array_equal(mask, data.read_mask(work / f"pseudo_labels/{name}.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cams", "{}/cams"], "--checkpoint must name a run"),
        (["--cams", "{}/none", "--edges", "{}/edges"], "none is no folder"),
        (["--layout", "tidy"], "tidy"),
        (["--checkpoint", "{}/none"], "none"),
    ],
)
def test_bad_options_name_themselves(folder, arguments, said):
    options = [part.format(folder) for part in arguments]
    done = _run(folder, *options, f"--out={folder}/out_{said[:4]}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ") and said in done.stderr
    assert "Traceback" not in done.stderr
