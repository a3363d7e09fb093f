"""Which heads give CAMs, and the mean of two."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils.epath import Path
from PIL import Image
from real_photos import VOC, needs_photos

from configs import default
from wsgcn_jax.data.labels import VOC_CLASSES
from wsgcn_jax.models.backbone import make_backbone
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.imagenet_classes import imagenet_groups
from wsgcn_jax.models.network import Network
from wsgcn_jax.pipeline import cam_sources as sources
from wsgcn_jax.pipeline import classifier, networks
from wsgcn_jax.pipeline.cam_sources import computed_cams, mean_of_cams
from wsgcn_jax.pipeline.classifier import as_needed, asked_of_trained, cam_sources, class_groups
from wsgcn_jax.pipeline.external.untrained import STAGES, untrained_config
from wsgcn_jax.pipeline.graph_inputs import Batch
from wsgcn_jax.pipeline.inference import grid_size
from wsgcn_jax.trainer.checkpoint import save_tree
from wsgcn_jax.types import DataError

RNG = np.random.default_rng(0)


def _config(head="random", epochs=5, sources=None):
    config = default.get_config()
    config.classifier.update(head=head, epochs=epochs)
    config.cams.sources = sources
    return config


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("trained",)),
        ({"epochs": 0}, ("trained",)),
        ({"head": "imagenet"}, ("trained", "imagenet")),
        ({"head": "imagenet", "epochs": 0}, ("imagenet",)),
        ({"sources": "imagenet"}, ("imagenet",)),
        ({"sources": "imagenet, trained"}, ("trained", "imagenet")),
        ({"sources": "imagenet, trained", "epochs": 0}, ("imagenet",)),
        ({"head": "imagenet", "sources": "trained"}, ("trained",)),
    ],
)
def test_heads_that_give_cams(options, expected):
    assert cam_sources(_config(**options)) == expected


def test_a_trained_head_alone_may_speak_of_what_imagenet_does_not_know():
    classes, labelled = ("sheep", "giraffe", "kite"), [True, True, False]
    both = class_groups(_config("imagenet"), classes, labelled)
    assert both == ((348, 349), (), ())
    with pytest.raises(DataError, match=r"no counterpart of 'giraffe' [^;]*; rename the classes"):
        class_groups(_config("imagenet", epochs=0), classes, labelled)
    assert class_groups(_config("imagenet", epochs=0), classes, [True, False, False]) == both


def test_of_what_imagenet_does_not_know_the_trained_head_speaks():
    config, names = _config(sources="imagenet"), ("sheep", "giraffe", "people")
    groups = class_groups(config, names, [True] * 3)
    assert asked_of_trained(config, names, groups).tolist() == [False, True, True]
    assert asked_of_trained(_config("imagenet"), names, groups).all()
    untrained = _config(sources="imagenet", epochs=0)
    assert asked_of_trained(untrained, names, groups).tolist() == [False, True, False]
    untrained.classifier.linear = True
    assert asked_of_trained(untrained, names, groups).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("options", "init", "names", "epochs"),
    [
        ({"sources": "imagenet"}, None, ("cat", "sheep"), 0),
        ({"sources": "imagenet"}, None, ("cat", "giraffe"), 5),
        ({"sources": "imagenet"}, None, ("cat", "person"), 5),
        ({"sources": "imagenet"}, "classifier", ("cat", "sheep"), 5),
        ({"sources": "imagenet,trained"}, None, ("cat", "sheep"), 5),
        ({}, None, ("cat", "sheep"), 5),
    ],
)
def test_a_classifier_that_nothing_reads_is_not_trained(options, init, names, epochs):
    config = _config(**options)
    config.segmenter.init = init
    assert as_needed(config, names).classifier.epochs == epochs
    assert config.classifier.epochs == 5


def test_a_classifier_is_fitted_where_masks_ask_what_a_photo_shows():
    config = _config(sources="imagenet", epochs=0)
    config.classifier.linear = True
    assert not as_needed(config, ("cat", "sheep")).classifier.linear
    assert as_needed(config, ("cat", "person")).classifier.linear
    config.segmenter.presence = True
    assert as_needed(config, ("cat", "sheep")).classifier.linear


def test_a_linear_classifier_speaks_in_one_network_with_imagenets_head(tmp_path):
    config, classes = _config(sources="imagenet", epochs=0), ("person", "cat", "giraffe")
    config.classifier.linear = True
    linear = classifier.network(jax.random.key(0), config, 3)
    head = {"kernel": RNG.normal(0, 1, (1280, 3)), "bias": np.array([0.5, 7.0, -0.25])}
    head = {name: jnp.asarray(value, jnp.float32) for name, value in head.items()}
    linear = linear._replace(params={**linear.params, "classifier": head})
    for name, tree in (("weights", linear.params), ("statistics", linear.statistics)):
        save_tree(Path(tmp_path) / name, tree)
    alone = networks.imagenet_classifier(imagenet_groups(classes, needed=()), "efficientnet_lite0")
    one = SimpleNamespace(call=None)

    def make_program(nets, name):
        one.call = nets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "make_program", make_program)
        sources.configured_program(config, classes, np.ones(3, bool), Path(tmp_path))
    ((net, asked),) = one.call
    assert asked.all()
    photo = jnp.asarray(RNG.normal(0, 1, (1, 48, 64, 3)), jnp.float32)
    got, of_linear, of_imagenet = (
        np.asarray(each.apply(each.variables, photo, method="cam")) for each in (net, linear, alone)
    )
    np.testing.assert_allclose(got[..., [0, 2]], of_linear[..., [0, 2]], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got[..., 1], of_imagenet[..., 1], rtol=1e-4, atol=1e-4)
    assert np.abs(of_linear[..., 1] - of_imagenet[..., 1]).max() > 1


def test_persons_are_learnt_from_enough_photos():
    names, groups = ("person", "cat", "giraffe"), ((981, 982, 983), (281,), ())
    labels = np.zeros((110, 3), bool)
    labels[:50, 0], labels[:2, 1:] = True, True
    for photos, expected in ((110, [True] * 3), (99, [False, True, True]), (2, [False] * 3)):
        assert classifier._learnable(labels[:photos], names, groups).tolist() == expected
    labels[49, 0] = False
    assert classifier._learnable(labels, names, groups).tolist() == [False, True, True]


def test_what_is_not_learnt_is_left_to_imagenets_head():
    groups = ((0, 1), (2,), ())

    def network(kernel, bias):
        module = Classifier(make_backbone("efficientnet_lite0"), num_classes=3)
        return Network(module, {"classifier": {"kernel": kernel, "bias": bias}}, {})

    imagenet = network(jnp.full((4, 4), 5.0), None)
    linear = network(jnp.zeros((4, 3)).at[:, 1].set(2.0), jnp.ones(3))
    one = networks.with_columns(imagenet, groups, linear, np.ones(3, bool))
    assert one.module.group_sizes == (2, 1, 1)
    head = one.params["classifier"]
    np.testing.assert_array_equal(head["kernel"][0], [5, 5, 2, 0])
    np.testing.assert_array_equal(head["bias"], [0, 0, 1, 1])


def test_cams_of_a_class_are_of_those_who_are_asked_for_it(monkeypatch):
    maps = {
        "imagenet": [[1, 0], [0, 0], [1, 0.5]],
        "trained": [[0, 1], [0.5, 1], [0, 1]],
    }

    def cams(net, backbone):
        return lambda variables, batch: maps[variables]

    def merged(_, batch, shape):
        ((found,), _grids) = batch
        return jnp.asarray(found, jnp.float16)[None, :, None]

    monkeypatch.setattr(sources, "cams_at_scale", cams)
    monkeypatch.setattr(sources, "merged_cams", merged)
    monkeypatch.setattr(sources, "over_devices", lambda program, options=None: program)
    nets = [
        (SimpleNamespace(variables="imagenet"), np.array([True, True, True])),
        (SimpleNamespace(variables="trained"), np.array([False, True, False])),
    ]
    got = sources.make_program(nets, "any")(([0], [0]), None, (1, 2))
    np.testing.assert_allclose(got[0, :, 0], [[1, 0], [0.5, 1], [1, 0.5]], atol=1e-3)


def test_a_run_without_training_has_the_photos_and_imagenets_head(tmp_path):
    config = _config()
    config.data.update(val_split="val", masks="somewhere")
    config.classifier.update(init="a folder", linear=True)
    config.segmenter.presence = True
    run = untrained_config(config, tmp_path, tmp_path / "list.csv")
    assert (run.data.source, run.data.root) == ("folder", str(tmp_path))
    assert run.data.labels == str(tmp_path / "list.csv")
    assert (run.data.train_split, run.data.val_split, run.data.masks) == ("train", None, None)
    assert (run.classifier.epochs, run.classifier.init) == (0, None)
    assert (run.classifier.head, run.segmenter.presence) == ("imagenet", False)
    assert not as_needed(run, ("cat",)).classifier.linear
    assert as_needed(run, ("cat", "person")).classifier.linear
    with pytest.raises(DataError, match="no counterpart of 'giraffe'"):
        class_groups(run, ("cat", "giraffe"), [True, True])
    assert (cam_sources(run), run.stages) == (("imagenet",), STAGES)
    assert config.classifier.init == "a folder"  # a copy


def test_means_reach_one_where_there_is_anything():
    first = np.zeros((1, 2, 2, 2), np.float16)
    second = first.copy()
    first[0, 0], second[0, 0] = [[1, 0], [0.5, 0]], [[0.5, 1], [0.5, 0]]
    got = mean_of_cams([jnp.asarray(first), jnp.asarray(second)])
    assert got.dtype == np.float16
    np.testing.assert_allclose(got[0, 0], [[1, 2 / 3], [2 / 3, 0]], atol=1e-3)
    np.testing.assert_array_equal(got[0, 1], np.zeros((2, 2)))


def _photos_of_one_animal(count):
    """The first of VOC's photos that show one kind of animal and nothing else: (name, class)."""
    animals = {VOC_CLASSES.index(name) for name in ("cat", "cow", "dog", "horse", "sheep")}
    found = []
    for name in (VOC / "ImageSets" / "Segmentation" / "train.txt").read_text().split():
        shown = set(np.unique(_mask(name)).tolist()) - {0, 255}
        if len(shown) == 1 and shown <= animals:
            found.append((name, shown.pop()))
        if len(found) == count:
            break
    return found


def _mask(name):
    return np.asarray(Image.open(VOC / "SegmentationClassAug" / f"{name}.png"))


@pytest.mark.slow
@needs_photos
def test_imagenets_head_finds_animals_untrained():
    """Over eighty photos the IoU of objects is 53; over eight it may be less."""
    photos = _photos_of_one_animal(8)
    images = [np.asarray(Image.open(VOC / "JPEGImages" / f"{name}.jpg")) for name, _ in photos]
    grids = [grid_size(image.shape[:2]) for image in images]
    grid = tuple(np.max(grids, axis=0).tolist())
    present = np.zeros((8, len(VOC_CLASSES) - 1), bool)
    present[np.arange(8), [index - 1 for _, index in photos]] = True
    config = default.get_config()
    config.cams.scales = (1.0, 0.5, 1.5)
    source = computed_cams(config, VOC_CLASSES[1:], present)
    cams = source(Batch(range(8), images, [], (0, 0), grids, grid))
    assert cams.shape == (8, 20, *grid) and not cams[~present].any()
    intersection = union = 0
    for (name, index), cam, (height, width) in zip(photos, cams, grids, strict=True):
        truth = _mask(name)[::4, ::4]
        found = cam[index - 1, :height, :width] > 0.33
        assert cam.max() == pytest.approx(1, abs=2e-3)
        intersection += (found & (truth == index)).sum()
        union += ((found | (truth == index)) & (truth != 255)).sum()
    assert intersection / union > 0.45
