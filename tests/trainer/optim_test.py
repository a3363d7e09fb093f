"""Learning rates and updates against the published optimisers'."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wsgcn_jax.trainer.optim import grouped_sgd, poly_schedule

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parity("poly schedules")
def test_irnets_rates_and_steps():
    """With IRNet's accidental momentum of 1e-4 (docs/quirks.md 15); our default has none."""
    golden = np.load(GOLDEN / "irn_net.npz")
    rates = [[poly_schedule(rate, 50)(i) for rate in (0.1, 1.0)] for i in range(50)]
    np.testing.assert_allclose(rates, golden["polyopt_lr"][:50], rtol=1e-5)
    optimiser = grouped_sgd(
        {"a": 0.1, "b": 1.0},
        lambda path: path[0],
        steps=50,
        momentum=float(golden["polyopt_momentum"]),
        weight_decay=1e-4,
    )
    params = {name: {"kernel": jnp.ones(3)} for name in "ab"}

    @jax.jit
    def step(params, state, i):
        grads = {
            "a": {"kernel": jnp.array([1, -0.5, 0.25]) * (i + 1) / 10},
            "b": {"kernel": jnp.array([0.1, 0.2, -0.3])},
        }
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    for i in range(50):
        params, state = step(params, state, i)
        ours = np.stack([params[name]["kernel"] for name in "ab"])
        # float32 throughout, on values up to 10.
        np.testing.assert_allclose(ours, golden["polyopt_params"][i], rtol=1e-5, atol=2e-5)


@pytest.mark.parity("poly schedules")
def test_deeplabs_rates():
    """The published staircase changes every ten updates; see docs/quirks.md 26."""
    golden = np.load(GOLDEN / "deeplab.npz")
    steps = golden["lr_iters"]
    for column, base in enumerate((2.5e-4, 2.5e-3, 5e-3)):
        smooth = poly_schedule(base, 20_000)
        ours = [smooth(int(i)) for i in steps]
        np.testing.assert_allclose(ours, golden["lr_formula_every_iter"][:, column], rtol=1e-5)
        stairs = [smooth(int(i) // 10 * 10) for i in steps]
        np.testing.assert_allclose(stairs, golden["lr_after_step"][:, column], rtol=1e-5)
