"""Which features nodes have, and bringing them to one size."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from wsgcn_jax.pipeline.node_features import node_features, standardised, with_maps


@pytest.mark.parametrize(
    ("words", "expected"),
    [("boundary", ("boundary",)), ("walk, boundary,cams", ("boundary", "cams", "walk"))],
)
def test_features_by_their_words(words, expected):
    config = default.get_config()
    config.gcn.features = words
    assert node_features(config) == expected


def test_channels_are_standardised_over_the_real_nodes():
    x = np.random.default_rng(0).normal(3, 5, (4, 6, 3)).astype(np.float32)
    x[..., 2] = 7.0
    valid = np.zeros((4, 6), bool)
    valid[:3, :4] = True
    x[~valid] = np.nan  # rubbish
    got = np.asarray(standardised(jnp.asarray(x), jnp.asarray(valid)))
    real = x[:3, :4].reshape(-1, 3).astype(np.float64)
    expected = (real - real.mean(0)) / np.maximum(real.std(0), 1e-4)
    np.testing.assert_allclose(got[:3, :4].reshape(-1, 3), expected, atol=1e-5)
    assert not got[~valid].any() and not got[..., 2].any()


def test_maps_are_added_behind_the_features():
    features = np.ones((2, 3, 4), np.float32)
    maps = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    valid = np.ones((2, 3), bool)
    got = np.asarray(with_maps(*map(jnp.asarray, (features, maps, valid))))
    np.testing.assert_array_equal(got[..., :4], features)
    np.testing.assert_allclose(got[..., 4], got[..., 5], atol=1e-6)  # the same but for the mean
    np.testing.assert_allclose(got[0, 1, 4], (1 - 2.5) / np.std(np.arange(6)), atol=1e-6)
    assert with_maps(jnp.asarray(features), jnp.asarray(maps[:0]), valid).shape == (2, 3, 4)
