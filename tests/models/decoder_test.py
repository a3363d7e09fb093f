"""The decoder: an enlargement at first, and padding that changes nothing."""

from functools import partial

import jax
import numpy as np
import pytest

from wsgcn_jax.models.decoder import SkipDecoder
from wsgcn_jax.resize import upsample


@pytest.mark.parametrize("factor", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_it_starts_as_an_enlargement_and_padding_changes_nothing(factor):
    rows, columns = 9, 14  # at stride 4; the last coarse cells are cut
    coarse = (-(-rows // factor), -(-columns // factor))
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, *coarse, 3)).astype(np.float32)
    tap = rng.normal(size=(2, rows, columns, 5)).astype(np.float32)
    module = SkipDecoder(factor)
    init = partial(module.init, jax.random.key(0), scores, tap, None, None)
    shapes = jax.eval_shape(init)
    drawn = jax.tree.map(lambda x: rng.normal(0.2, 0.2, x.shape).astype(np.float32), shapes)
    first = jax.jit(lambda: {k: x for k, x in init()["params"].items() if k.startswith("last")})()
    fresh = {"params": {**drawn["params"], **first}}
    run = jax.jit(module.apply)
    enlarged = upsample(scores, factor, None)[:, :rows, :columns]
    np.testing.assert_allclose(run(fresh, scores, tap, None, None), enlarged, atol=1e-6)
    alone = run(drawn, scores, tap, None, None)
    assert np.abs(alone - enlarged).max() > 0.1

    def padded(x, more, value):
        return np.pad(
            x, [(0, 0), (0, more), (0, 2 * more), (0, 0)][: x.ndim], constant_values=value
        )

    cells = padded(np.ones((2, *coarse), bool), 1, False)
    fine_cells = padded(np.ones((2, rows, columns), bool), factor, False)
    among = run(drawn, padded(scores, 1, 7), padded(tap, factor, 7), cells, fine_cells)
    np.testing.assert_allclose(among[:, :rows, :columns], alone, atol=1e-4)
