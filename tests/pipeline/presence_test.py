"""What photos show, by a linear classifier, and the segmenter's classes weighed by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils.epath import Path

from configs import test as tiny
from wsgcn_jax.data.source import Example
from wsgcn_jax.models.backbone import normalise
from wsgcn_jax.pipeline import classifier, presence
from wsgcn_jax.pipeline.inference import network_size
from wsgcn_jax.resize import resize_photo
from wsgcn_jax.types import DataError

RNG = np.random.default_rng(0)


def _toy(photos):
    """Features of which the first two say the two classes, loudly or not."""
    labels = RNG.random((photos, 2)) < 0.4
    features = RNG.normal(size=(photos, 20)) + 3.0
    features[:, :2] += 6 * labels
    return jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.float32)


def test_fit_is_the_minimum_of_the_penalised_losses():
    features, labels = _toy(60)
    kernel, bias = presence.fit_logistic(features, labels)

    mean = features.mean(0, keepdims=True)
    length = jnp.sqrt(jnp.square(features - mean).sum(1).mean())

    def loss(kernel, bias):
        x = jnp.concatenate([(features - mean) / length, jnp.zeros((2, features.shape[1]))])
        y = jnp.concatenate([labels, jnp.array([[0.0, 0.0], [1.0, 1.0]])])
        logits = jnp.matmul(x, kernel, precision="highest") + bias[None]
        losses = jnp.logaddexp(0.0, logits) - y * logits
        return losses.sum() + 0.05 * jnp.square(kernel).sum()

    at = (kernel * length, bias + jnp.matmul(mean, kernel, precision="highest")[0])
    gradients = jax.grad(loss, (0, 1))(*at)
    scale = jnp.linalg.norm(jnp.stack(jax.grad(loss)(jnp.zeros_like(kernel), at[1])))
    assert all(jnp.abs(g).max() < 1e-3 * scale for g in gradients)


def test_fit_tells_other_photos_classes_and_few_photos_say_less():
    features, labels = _toy(200)
    other, truth = _toy(100)
    logits = {}
    for photos in (10, 200):
        kernel, bias = presence.fit_logistic(features[:photos], labels[:photos])
        logits[photos] = other @ kernel + bias[None]
    assert ((logits[200] > 0) == (truth > 0.5)).mean() > 0.95
    assert jnp.abs(logits[10]).mean() < jnp.abs(logits[200]).mean()


@pytest.mark.parametrize("always", [0.0, 1.0])
def test_class_that_no_photo_shows_or_every_one_stays_finite(always):
    features, labels = _toy(12)
    kernel, bias = presence.fit_logistic(features, labels.at[:, 0].set(always))
    logits = features @ kernel + bias[None]
    assert jnp.isfinite(logits).all()
    assert ((logits[:, 0] > 0) == (always > 0.5)).all()


def test_background_stays_and_objects_share_the_rest():
    probabilities = jnp.array([[[[0.4, 0.3, 0.2, 0.1], [1.0, 0.0, 0.0, 0.0]]]])
    logits = jnp.array([[-2.0, 1.0, -30.0]])
    result = np.asarray(presence.reweigh(probabilities, logits))[0, 0]
    weights = 1 / (1 + np.exp([2.0, -1.0, 30.0])) * [0.3, 0.2, 0.1]
    np.testing.assert_allclose(result[0], [0.4, *(0.6 * weights / weights.sum())], rtol=1e-5)
    np.testing.assert_allclose(result[1], [1.0, 0.0, 0.0, 0.0], atol=1e-6)


def test_certain_of_everything_changes_nothing():
    probabilities = jax.nn.softmax(jnp.asarray(RNG.normal(size=(2, 3, 4, 5)), jnp.float32))
    result = presence.reweigh(probabilities, jnp.full((2, 4), 20.0))
    np.testing.assert_allclose(result, probabilities, rtol=1e-5)


class _Split:
    """Red photos of cats and blue photos of dogs, of several sizes."""

    def __init__(self):
        self.labels = np.array([[True, False], [False, True]] * 4)
        self.sizes = tuple((90 + 5 * i, 120 - 4 * i) for i in range(8))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        image = RNG.integers(0, 60, (*self.sizes[index], 3)).astype(np.uint8)
        image[..., 0 if self.labels[index, 0] else 2] += 190
        return Example(str(index), image, self.labels[index], None)


def test_a_classifier_without_biases_says_what_photos_show(tmp_path):
    config, folder = tiny.get_config(), Path(tmp_path)
    net = classifier.network(jax.random.key(0), config, 2)
    assert "bias" not in net.params["classifier"]
    presence.save(folder, net)
    photo = RNG.integers(0, 255, (96, 96, 3)).astype(np.uint8)
    size = network_size((96, 96), presence.LONGER_SIDE / 96)
    large = normalise(jnp.asarray(resize_photo(photo, size))[None], config.backbone.name)
    got = presence.load(folder, config.backbone.name, classes=2)([photo])
    np.testing.assert_allclose(got, net.apply(net.variables, large), atol=1e-3)


def test_fitted_to_a_split_and_read_from_its_folder(tmp_path):
    split, config, folder = _Split(), tiny.get_config(), Path(tmp_path)
    config.classifier.update(epochs=0, linear=True)
    blank = classifier.network(jax.random.key(0), config, 2)
    presence.save(folder, presence.fit(blank, config.backbone.name, split, np.ones(2, bool)))
    half = presence.fit(blank, config.backbone.name, split, np.array([False, True]))
    assert half.params["classifier"]["kernel"].any(0).tolist() == [False, True]
    shows = presence.load(folder, config.backbone.name, classes=2)
    photos = [split[index].image for index in range(4)]
    logits = shows(photos)
    assert logits.shape == (4, 2) and ((logits > 0) == split.labels[:4]).all()
    np.testing.assert_allclose(shows(photos[:1])[0], logits[0], atol=1e-3)  # in other company
    with pytest.raises(DataError, match="another network"):
        presence.load(folder, config.backbone.name, classes=3)
