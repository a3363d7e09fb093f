"""What decides whether a stage is current."""

from functools import partial

import numpy as np
import pytest
from etils.epath import Path
from PIL import Image

from configs import test as tiny
from wsgcn_jax import data
from wsgcn_jax.pipeline import evaluate, stages
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import write_report
from wsgcn_jax.types import DataError, Skipped


def _fingerprints(tmp_path, **crf):
    config = tiny.get_config()
    with config.unlocked():
        config.crf.update(crf)
    return stages.fingerprints(Context(config, Workspace(str(tmp_path))))


@pytest.mark.parametrize(
    ("change", "boundary_stays"), [({"partial_labels": False}, True), ({"sigma_rgb": 7.0}, False)]
)
def test_boundary_network_outlives_changes_of_the_crf_that_it_does_not_read(
    tmp_path, change, boundary_stays
):
    before, after = _fingerprints(tmp_path), _fingerprints(tmp_path, **change)
    assert (before["boundary"] == after["boundary"]) == boundary_stays
    assert before["pseudo_labels"] != after["pseudo_labels"]
    assert before["cams"] == after["cams"]


def _devkit(root):
    for folder in ("JPEGImages", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    labels = {}
    for index in range(3):
        name = f"2007_00000{index}"
        Image.new("RGB", (32, 24)).save(root / "JPEGImages" / f"{name}.jpg")
        data.write_mask(root / "SegmentationClass" / f"{name}.png", np.full((24, 32), 8, np.uint8))
        labels[name] = np.eye(20, dtype=np.float32)[7]
    np.save(root / "ImageSets" / "cls_labels.npy", labels, allow_pickle=True)
    for split, names in (("train", list(labels)[1:]), ("train_aug", list(labels))):
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(names))


@pytest.mark.fault("photos to score that get no labels", "one line before the first stage")
@pytest.mark.parametrize(("pseudo", "scored"), [("train_aug", "train"), ("train", "train_aug")])
def test_some_of_the_pseudo_labels_may_be_scored_but_not_others(tmp_path, pseudo, scored):
    _devkit(tmp_path / "VOC2012")
    config = tiny.get_config()
    with config.unlocked():
        config.data.update(
            source="voc",
            root=str(tmp_path / "VOC2012"),
            train_split=pseudo,
            pseudo_split=pseudo,
            val_split=None,
            score_split=scored,
        )
        config.stages = "data"
    workdir = str(tmp_path / "work")
    if scored == "train":
        assert stages.run_stages(config, workdir) == []
        names = Context(config, Workspace(workdir)).scored().names
        assert names == ("2007_000001", "2007_000002")
    else:
        with pytest.raises(
            DataError, match=r"score_split: 1 photos of 'train_aug' \(2007_000000\)"
        ):
            stages.run_stages(config, workdir)


@pytest.mark.fault(
    "a stage that has to leave out every photo",
    "one line; it does not count as finished",
)
def test_a_stage_that_leaves_out_every_photo_is_not_finished(tmp_path):
    config = tiny.get_config()
    config.stages = "data"
    stages.run_stages(config, str(tmp_path))
    context = Context(config, Workspace(str(tmp_path)))
    first, *others = context.split("train").names

    def leaves_out(*names):
        return lambda context, folder: [Skipped(name, "too large") for name in names]

    (cams,) = (stage for stage in stages.STAGES if stage.name == "cams")
    recipe = stages.recipes(context)["cams"]
    for names in ([first], others):
        work = partial(stages._some, leaves_out(*names), context)
        context.workspace.run("cams", recipe, work, writes=cams.writes, overwrite=True)
    assert context.left_out("cams") == set(others)
    with pytest.raises(DataError, match=f"all {len(others) + 1} photos were left out: too large"):
        stages._some(leaves_out(first), context, context.folder("pseudo_labels"))


@pytest.mark.fault(
    "single stages run with other settings",
    "no old scores and no report pass for theirs",
)
@pytest.mark.fault("a `scores.json` that was deleted", "it is written again")
def test_scores_are_shown_for_the_settings_that_made_them_only(tmp_path):
    config = tiny.get_config()
    context = Context(config, Workspace(str(tmp_path)))

    def score(folder):
        (folder / "scores.json").write_text("{}")
        return ()

    context.workspace.run("evaluate", stages.recipes(context)["evaluate"], score)
    for _ in range(2):  # also where somebody deleted the copy
        evaluate.publish(context)
        assert (tmp_path / "scores.json").read_text() == "{}"
        (tmp_path / "scores.json").unlink()
    assert stages.is_evaluated(context)
    config.gcn.epochs += 1
    assert not stages.is_evaluated(context)
    assert write_report(config, Path(tmp_path), []) is None
