"""The segmenter's objective, its starts and its reference on true masks."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils.epath import Path
from flax import traverse_util
from golden_weights import any_variables, golden
from PIL import Image
from processes import finish, start_hosts

from configs import test as tiny
from experiments import predict as command
from wsgcn_jax import data
from wsgcn_jax.checksums import files_below
from wsgcn_jax.models.backbone import make_backbone, normalise
from wsgcn_jax.models.deeplab import DeepLabV2, segmentation_loss
from wsgcn_jax.models.network import Network
from wsgcn_jax.models.resnet import RESNET101, ResNet, torch_name
from wsgcn_jax.pipeline import classifier, segmenter, stages
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.saved_segmenter import load_segmenter
from wsgcn_jax.pipeline.segmenter import make_loss
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workfolder.stage_files import STAMP, TRAINING, matches
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.trainer.checkpoint import save_tree
from wsgcn_jax.types import DataError


def _net(**options):
    module = DeepLabV2(
        ResNet((1, 1, 1, 1), output_stride=8, **options), num_classes=3, rates=(1, 2)
    )
    variables = any_variables(module)
    return Network(module, variables["params"], {"batch_stats": variables["batch_stats"]})


def _batch():
    rng = np.random.default_rng(0)
    valid = np.ones((2, 48, 48), bool)
    valid[1, 40:] = False
    labels = rng.integers(0, 3, (2, 48, 48)).astype(np.uint8)
    return {
        "image": rng.integers(0, 256, (2, 48, 48, 3)).astype(np.uint8) * valid[..., None],
        "valid": valid,
        "label_map": np.where(valid, labels, 255).astype(np.uint8),
    }


def _settings(**changes):
    settings = tiny.get_config().segmenter
    settings.update(changes)
    return settings


def _run(net, **changes):
    loss = make_loss(net, _settings(**changes), "resnet50")
    return jax.jit(jax.value_and_grad(loss, has_aux=True))(net.params, net.statistics, _batch())


def test_multi_scale_loss_is_the_sum_over_scales_and_their_maximum():
    net, batch = _net(), _batch()
    (value, (scalars, statistics)), _ = _run(net, multi_scale=(0.5,), balanced=True)

    @jax.jit
    def parts(variables):
        x = normalise(batch["image"], "resnet50", batch["valid"])
        return net.module.apply(variables, x, batch["valid"], scales=(0.5,), method="multi_scale")

    scales = parts(net.variables)
    each = [segmentation_loss(y, batch["label_map"], balanced=True) for y in scales]
    assert len(each) == 3
    np.testing.assert_allclose(value, sum(each), rtol=1e-5)
    np.testing.assert_allclose(scalars["fused"], each[-1], rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, statistics, net.statistics)


@pytest.mark.slow
def test_bfloat16_computes_close_by_with_float32_gradients():
    net = _net()
    (value, _), grads = _run(net)
    (rough, _), rough_grads = _run(net, bfloat16=True)
    assert value != rough
    np.testing.assert_allclose(rough, value, rtol=0.02)
    assert {leaf.dtype for leaf in jax.tree.leaves(rough_grads)} == {jnp.dtype("float32")}
    one, other = (
        np.concatenate([g.ravel() for g in jax.tree.leaves(t)]) for t in (grads, rough_grads)
    )
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert cosine > 0.98


def test_batch_statistics_move_with_the_batch():
    net = _net(use_batch_stats=True)
    (_, (_, statistics)), _ = _run(net, batch_statistics=True)
    before, after = (t["batch_stats"]["backbone"]["bn1"] for t in (net.statistics, statistics))
    assert not np.array_equal(before["mean"], after["mean"])
    assert jax.tree.structure(statistics) == jax.tree.structure(net.statistics)


def test_groups_are_the_published_ones():
    module = DeepLabV2(ResNet(RESNET101), num_classes=21)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    groups = {}
    for path in traverse_util.flatten_dict(shapes["params"]):
        groups.setdefault(segmenter.group_of(path), []).append(path)
    assert groups["head"] == [("aspp_kernel",)] and groups["head_bias"] == [("aspp_bias",)]
    assert len(groups["norm"]) == golden("deeplab")["not_optimised_count"]
    # The ImageNet recipe's one group forgets the stem (docs/quirks.md 27).
    prefixed = {"base.model2." + torch_name(path[1:]) for path in groups["backbone"]}
    published = {str(name) for name in golden("deeplab_imagenet")["names_1x"]}
    assert prefixed - published == {"base.model2.conv1.weight"} and published <= prefixed


@pytest.mark.slow
def test_fully_supervised_reference_needs_no_pseudo_labels_and_predicts(tmp_path):
    config = tiny.get_config()
    config.stages = "data,classifier,segmenter"
    config.segmenter.update(
        init=None, supervision="truth", multi_scale=(0.5,), accumulate=2, ema=0.9
    )
    config.segmenter.update(crf=True, presence=True)
    assert run_stages(config, str(tmp_path / "work")) == []
    val = data.load(tmp_path / "work/data", "val")
    (tmp_path / "photos").mkdir()
    for example in (val[i] for i in range(len(val))):
        Image.fromarray(example.image).save(tmp_path / "photos" / f"{example.name}.png")
    work, photos, out = (str(tmp_path / name) for name in ("work", "photos", "out"))
    assert command.main(["--checkpoint", work, "--images", photos, "--out", out, "--crf"]) == 0
    plain = str(tmp_path / "plain")
    assert command.main(["--checkpoint", work, "--images", photos, "--out", plain]) == 0
    refined = [f for f in (tmp_path / "out").iterdir() if f.suffix == ".png"]
    assert any(f.read_bytes() != (tmp_path / "plain" / f.name).read_bytes() for f in refined)
    for name in val.names:
        stage = (tmp_path / "work/segmenter/val" / f"{name}.png").read_bytes()
        assert (tmp_path / "out" / f"{name}.png").read_bytes() == stage
    assert json.loads((tmp_path / "work/segmenter/network.json").read_text())["fuse"] == "max"


@pytest.mark.slow
def test_two_hosts_run_every_stage_with_a_linear_classifier(tmp_path):
    options = (
        *("classifier.epochs=0", "classifier.linear=True"),
        *("segmenter.init=None", "segmenter.presence=True"),
    )
    hosts = start_hosts(
        "-m",
        "experiments.train",
        "--config=configs/test.py",
        f"--workdir={tmp_path / 'run'}",
        *(f"--config.{option}" for option in options),
    )
    for host in hosts:
        finish(host, "")
    assert len([*(tmp_path / "run/segmenter/val").glob("*.png")]) == 3
    assert load_segmenter(Path(tmp_path) / "run").presence is not None
    for stage in stages.STAGES:  # each file is known as the stage's own
        folder = Path(tmp_path) / "run" / stage.name
        known = (STAMP, *TRAINING, *stage.writes)
        assert all(matches(name, known) for name in files_below(folder))


def _config(**changes):
    config = tiny.get_config()
    config.segmenter.update({"init": None, **changes})
    return config


@pytest.mark.fault("a segmenter's start that cannot be", "one line before anything runs")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet11"}, "segmenter.backbone='resnet11': must be one of resnet50"),
        ({"backbone": "resnet101"}, "segmenter.weights: resnet101 has no packaged weights; give"),
        ({"backbone": "resnet50", "init": "classifier"}, "must be efficientnet_lite0 or None"),
        ({"init": "nowhere"}, "segmenter.init: nowhere is no folder; give one that"),
        ({"weights": "nowhere.pth"}, "segmenter.weights: nowhere.pth is not there"),
    ],
)
def test_a_start_that_cannot_be_is_refused_before_anything_runs(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        run_stages(_config(**changes), str(tmp_path / "work"))
    assert not (tmp_path / "work" / "data").exists()


def test_segmenter_continues_from_the_classifier_or_starts_from_a_whole_network(tmp_path):
    key, folder = jax.random.key(0), tmp_path / "classifier"
    net = classifier.network(key, _config(), 2)
    moved = Network(net.module, *jax.tree.map(lambda x: x + 0.5, net[1:]))
    save_tree(tmp_path / "classifier/weights", moved.params)
    save_tree(tmp_path / "classifier/statistics", moved.statistics)
    config = _config(init="classifier")
    onwards = segmenter.network(key, config, 3, classifier_folder=folder)
    for name, tree in onwards.variables.items():
        expected = moved.variables[name]["backbone"]
        jax.tree.map(np.testing.assert_array_equal, tree["backbone"], expected)
    save_tree(tmp_path / "whole", jax.tree.map(lambda x: x + 0.5, onwards.variables))
    whole = segmenter.network(key, _config(init=str(tmp_path / "whole")), 3)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b + 0.5), *(whole[1:], onwards[1:]))


def test_own_backbone_is_the_one_that_is_built_described_and_loaded(tmp_path):
    config = _config(backbone="resnet50", weights=str(tmp_path / "backbone"), decoder="skip")
    save_tree(tmp_path / "backbone", any_variables(make_backbone("resnet50")))
    net = segmenter.network(jax.random.key(0), config, 3)
    assert "layer4_2" in net.params["backbone"]
    segmenter.describe(tmp_path, segmenter.description(config, ("background", "cat", "dog")))
    save_tree(tmp_path / "weights", net.params)
    save_tree(tmp_path / "statistics", net.statistics)
    loaded = load_segmenter(tmp_path)
    assert loaded.description.backbone == "resnet50" and "decoder" in loaded.network.params
    jax.tree.map(np.testing.assert_array_equal, loaded.network.params, net.params)


def test_only_what_reads_the_classifier_makes_it_a_stage_that_is_needed(tmp_path):
    """With true masks nothing else of the pipeline is read."""
    prints = {}
    for read in ({}, {"init": "classifier"}, {"presence": True}):
        for rate in (0.1, 0.2):
            config = _config(**{"init": None, "supervision": "truth", "presence": False, **read})
            config.classifier.learning_rate = rate
            context = Context(config, Workspace(str(tmp_path / "work")))
            prints[(*read, rate)] = stages.fingerprints(context)["segmenter"]
    assert prints[(0.1,)] == prints[(0.2,)]
    assert prints["init", 0.1] != prints["init", 0.2]
    assert prints["presence", 0.1] != prints["presence", 0.2]
    config = _config(init="classifier", supervision="truth")
    config.stages = "data,segmenter"
    with pytest.raises(DataError, match="'segmenter' needs 'classifier'"):
        run_stages(config, str(tmp_path / "work"))
