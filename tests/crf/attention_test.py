"""Sums over pairs of pixels, tile by tile, against the matrix of all pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.crf import attention
from wsgcn_jax.crf.attention import attention_filter, pixel_features
from wsgcn_jax.crf.gaussian import gaussian_products

SHAPE, SIGMA_XY, SIGMA_RGB = (17, 23), 20.0, 3.0
FORMS = ["products", "sums"]


@pytest.fixture(autouse=True)
def _several_tiles(monkeypatch):
    # Rows and columns of unlike tiles, the last of each partly padding.
    monkeypatch.setattr(attention, "_TILES", dict.fromkeys(FORMS, (128, 256)))


def photo():
    """Near-equal colours at both ends of the scale, where rounding of squares would be largest."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 6, (*SHAPE, 3))
    image[:, 12:] += 250
    values = rng.random((3, image[..., 0].size)).astype(np.float32)
    return image.astype(np.uint8), values


def matrix(image):
    """The kernel in double precision."""
    places = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]], -1).reshape(-1, 2) / SIGMA_XY
    points = np.concatenate([places, image.reshape(-1, 3).astype(float) / SIGMA_RGB], axis=1)
    return np.exp(-((points[:, None] - points[None]) ** 2).sum(-1) / 2)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_sum_over_all_pairs(form):
    image, values = photo()
    features = pixel_features(jnp.asarray(image), SIGMA_XY, SIGMA_RGB)
    ours = attention_filter(features, features, jnp.asarray(values), form)
    np.testing.assert_allclose(ours, values @ matrix(image), rtol=2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_some_pixels_hear_others(form):
    image, values = photo()
    features = pixel_features(jnp.asarray(image), SIGMA_XY, SIGMA_RGB)
    to, of = np.s_[::3], np.s_[1::2]
    ours = attention_filter(features[:, to], features[:, of], jnp.asarray(values[:, of]), form)
    np.testing.assert_allclose(ours, values[:, of] @ matrix(image)[of, to], rtol=2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_the_transpose(form):
    image, values = photo()
    features = pixel_features(jnp.asarray(image), SIGMA_XY, SIGMA_RGB)
    few = np.s_[:, ::2]
    out = np.random.default_rng(1).normal(size=values.shape).astype(np.float32)
    _, pull = jax.vjp(
        lambda v: attention_filter(features, features[few], v, form), jnp.asarray(values[few])
    )
    np.testing.assert_allclose(pull(jnp.asarray(out))[0], out @ matrix(image)[few], atol=2e-4)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_its_photos(form):
    image, values = photo()
    images = jnp.stack([image, 255 - image, image[::-1]])
    features = jax.vmap(lambda one: pixel_features(one, SIGMA_XY, SIGMA_RGB))(images)
    batch = jnp.stack([values, values**2, 1 - values])
    together = jax.jit(jax.vmap(lambda f, v: attention_filter(f, f, v, form)))(features, batch)
    for i in range(3):
        alone = attention_filter(features[i], features[i], batch[i], form)
        np.testing.assert_allclose(together[i], alone, rtol=1e-5)


def test_the_backend_chooses_the_form(monkeypatch):
    image, values = photo()
    features = pixel_features(jnp.asarray(image), SIGMA_XY, SIGMA_RGB)
    for backend, form in (("cpu", "products"), ("tpu", "products"), ("gpu", "sums")):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        shown = [
            str(jax.make_jaxpr(lambda v, w=way: attention_filter(features, features, v, w))(values))
            for way in (None, form)
        ]
        assert ("dot_general" in shown[0]) == ("dot_general" in shown[1])


def test_products_are_the_sum_over_all_pairs_of_places():
    values = np.random.default_rng(2).random((2, 9, 14)).astype(np.float32)
    rows, columns = (
        np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)[None]) / 1.5) ** 2) for n in (9, 14)
    )
    ours = gaussian_products(jnp.asarray(values), 1.5)
    np.testing.assert_allclose(ours, rows @ values @ columns, rtol=1e-5)
    few = gaussian_products(jnp.asarray(values[:, ::2, ::2]), 1.5, size=(9, 14), step=2)
    expected = rows[:, ::2] @ values[:, ::2, ::2] @ columns[::2]
    np.testing.assert_allclose(few, expected, rtol=1e-5)
