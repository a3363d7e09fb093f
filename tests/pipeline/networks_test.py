"""Networks that start from converted folders."""

import jax
import numpy as np
import pytest

from configs import test as tiny
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.training import run_training
from wsgcn_jax.trainer.checkpoint import save_tree
from wsgcn_jax.types import DataError


def _build(key, classes=3, weights=None, init=None):
    return networks.build(
        jax.random.key(key),
        "efficientnet_lite0",
        lambda backbone: Classifier(backbone=backbone, num_classes=classes),
        weights=weights,
        init=init,
    )


def test_a_whole_network_or_a_backbone_is_taken_from_its_folder(tmp_path):
    first = _build(0)
    variables = jax.tree.map(lambda x: x + 0.5, first.variables)
    save_tree(tmp_path / "whole", variables)
    save_tree(tmp_path / "backbone", {name: t["backbone"] for name, t in variables.items()})
    whole = _build(1, init=str(tmp_path / "whole")).variables
    jax.tree.map(np.testing.assert_array_equal, whole, variables)
    with pytest.raises(DataError, match="whole: weights of another network, or of another number"):
        _build(1, classes=4, init=str(tmp_path / "whole"))
    with pytest.raises(DataError, match="none is no folder"):
        _build(1, init=str(tmp_path / "none"))
    partly = _build(1, weights=str(tmp_path / "backbone")).variables
    for name, tree in partly.items():
        expected = variables[name]["backbone"]
        jax.tree.map(np.testing.assert_array_equal, tree["backbone"], expected)
    head = partly["params"]["classifier"]["kernel"]
    assert not np.array_equal(head, variables["params"]["classifier"]["kernel"])


def test_no_epochs_keep_the_weights_as_they_are(tmp_path):
    moments = {"batch_stats": {"mean": np.full(3, 5, np.float32)}}
    net = Network(None, {"kernel": np.arange(3.0, dtype=np.float32)}, moments)
    settings = tiny.get_config().classifier.copy_and_resolve_references().unlock()
    settings.epochs = 0
    run_training(
        tmp_path, net, [], None, None, settings=settings, rates={}, group_of=lambda p: "", seed=0
    )
    assert (tmp_path / "statistics").is_dir()  # as after training: the segmenter's must be there
    blank = Network(None, *jax.tree.map(np.zeros_like, net[1:]))
    jax.tree.map(np.testing.assert_array_equal, networks.load(tmp_path, blank)[1:], net[1:])


@pytest.fixture
def imagenet(monkeypatch):
    """Gives ImageNet's head and backbone weights of three features, in the place of a file's."""
    head = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    backbone = {"params": {"stem": np.ones(2)}, "batch_stats": {"norm": np.zeros(2)}}
    monkeypatch.setattr(networks, "imagenet_head", lambda name, weights: head)
    monkeypatch.setattr(networks, "imagenet_variables", lambda name, weights: backbone)
    return head


def test_imagenets_classifier_has_the_columns_of_its_groups(imagenet):
    net = networks.imagenet_classifier([(5, 7), (), (1,)], "efficientnet_lite0")
    assert (net.module.num_classes, net.module.group_sizes) == (3, (2, 1, 1))
    kernel = net.params["classifier"]["kernel"]
    np.testing.assert_array_equal(kernel[:, [0, 1, 3]], imagenet[:, [5, 7, 1]])
    np.testing.assert_array_equal(kernel[:, 2], np.zeros(3))
    assert set(net.params["backbone"]) == {"stem"}
    assert set(net.statistics["batch_stats"]["backbone"]) == {"norm"}


def test_a_head_starts_as_the_sum_of_its_imagenet_classes(imagenet):
    fresh = Network(None, {"classifier": {"kernel": np.zeros((3, 2))}, "backbone": 1}, {})
    net = networks.start_from_imagenet(fresh, [(5, 7), (1,), ()], "efficientnet_lite0")
    assert net.params["backbone"] == 1
    kernel = np.asarray(net.params["classifier"]["kernel"])
    length = np.mean([np.linalg.norm(column) for column in imagenet.T])
    assert not kernel[:, 2].any()
    for column, total in zip(
        kernel.T[:2], (imagenet[:, 5] + imagenet[:, 7], imagenet[:, 1]), strict=True
    ):
        np.testing.assert_allclose(column, total * length / np.linalg.norm(total), rtol=1e-5)


def test_a_converted_folder_has_no_imagenet_head(imagenet, tmp_path):
    with pytest.raises(DataError, match=r"backbone\.weights: .* without ImageNet's head"):
        networks.imagenet_classifier([(1,)], "resnet50", str(tmp_path))
