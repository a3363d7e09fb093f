"""Node features without a boundary network."""

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.pipeline.half_way import plain_features


def test_plain_features_are_even_and_ignore_the_padding():
    rgb = jax.random.uniform(jax.random.key(0), (14, 17, 3))
    alone = plain_features(rgb, jnp.ones((14, 17), bool))
    assert abs(float(alone.mean())) < 0.1 and 0.8 < float(alone.std()) < 1.2
    # Nodes of another colour or place have other features.
    flat = np.asarray(alone).reshape(-1, alone.shape[-1])
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1) + 9 * np.eye(len(flat))
    assert apart.min() > 0.5
    padded = jnp.pad(rgb, ((0, 2), (0, 3), (0, 0)), constant_values=0.5)
    valid = jnp.zeros((16, 20), bool).at[:14, :17].set(True)
    among = jax.jit(plain_features)(padded, valid)
    np.testing.assert_allclose(among[:14, :17], alone, atol=1e-4)
