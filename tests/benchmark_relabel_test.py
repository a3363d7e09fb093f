"""The benchmarks that label a run's photos: ablation, quirks, and the CRF's kernels."""

import json

import numpy as np
import pytest
from drawn_voc import write_voc
from etils.epath import Path

from configs import voc_animals
from experiments import benchmark
from experiments.benchmarks.ablation import VARIANTS
from wsgcn_jax import data
from wsgcn_jax.pipeline import boundary, pseudo_labels
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workfolder.stamps import Recipe
from wsgcn_jax.pipeline.workfolder.workspace import Workspace, write_arrays
from wsgcn_jax.trainer.checkpoint import save_tree

SIZE, COUNT = (64, 80), 2


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Photos, and beside them a run: a boundary network as it starts, CAMs out of the masks."""
    root = tmp_path / "VOC2012"
    names = write_voc(root, count=COUNT, size=SIZE)
    config = _config(root)
    config.stages = "data"
    run_stages(config, str(tmp_path / "run"))
    context = Context(config, Workspace(tmp_path / "run"))
    net = boundary.network(context.key("boundary"), config)

    def save(folder):
        save_tree(folder / "weights", net.params)
        save_tree(folder / "statistics", net.statistics)
        return ()

    recipe = Recipe("made by hand", {})
    context.workspace.run("boundary", recipe, save, writes=("weights*", "statistics*"))
    # Building it takes seconds, and its weights are read from the run anyway.
    monkeypatch.setattr(boundary, "network", lambda key, config: net)
    context.folder("cams").mkdir()
    for name in names:
        mask = data.read_mask(root / "SegmentationClass" / f"{name}.png")[2::4, 2::4]
        class_ids = np.setdiff1d(mask, [0, 255])
        cam = (mask == class_ids[:, None, None]).astype(np.float16)
        write_arrays(context.folder("cams") / f"{name}.npz", {"cam": cam, "class_ids": class_ids})
    return root


def _config(root):
    config = voc_animals.get_config().unlock()
    config.data.root = str(root)
    return config


def _figures(name, root, *more):
    file = root.parent / f"{name}.json"
    options = [f"--root={root}", f"--workdir={root.parent / 'run'}", f"--json={file}", *more]
    assert benchmark.main([name, *options]) == 0
    return json.loads(file.read_text())


def _miou(root, labels, classes):
    """Percent, of label maps in a folder, by sets of pixels."""
    pairs = [
        [data.read_mask(folder / path.name).ravel() for folder in (path.parent, labels)]
        for path in (root / "SegmentationClass").glob("*.png")
    ]
    truth, found = np.concatenate(pairs, axis=1)
    found = found[truth < 255]
    truth = truth[truth < 255]
    each = [
        ((truth == k) & (found == k)).sum() / ((truth == k) | (found == k)).sum()
        for k in np.intersect1d(truth, classes)
    ]
    return 100 * np.mean(each)


@pytest.mark.slow
def test_scores_are_those_of_the_masks_that_a_run_writes(root):
    config = _config(root)
    masks = Path(root.parent / "masks")
    masks.mkdir()
    pseudo_labels.run(Context(config, Workspace(root.parent / "run")), masks)
    scored = [data.VOC_CLASSES.index(name) for name in config.report.classes]
    expected = _miou(root, masks, scored)
    assert expected > 30  # CAMs out of the masks are worth something

    ablation = _figures("ablation", root, "--only", "as configured")
    assert ablation["as configured"]["gcn_crf"] == pytest.approx(expected, abs=0.01)
    quirks = _figures("quirks", root)
    assert quirks["3: last CRF on probabilities"] == pytest.approx(expected, abs=0.01)
    every = _miou(root, masks, range(21))
    assert quirks["30: classes in the truth"] == pytest.approx(every, abs=0.01)
    assert abs(every - expected) > 0.1  # the report leaves a class out, and that shows
    by_kernel = _figures("crf", root, "--size", "24", "32", "--repeats=1")["kernels"]
    assert by_kernel["lattice"] == pytest.approx(expected, abs=0.01)
    assert len(set(by_kernel.values())) == 3  # the others are scored by the same lines


def test_every_variant_changes_something():
    config = voc_animals.get_config()
    for name, changes in VARIANTS.items():
        assert all(config[key] != value for key, value in changes.items()), name
