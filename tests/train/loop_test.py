"""The training loop: a killed run ends with the weights of one that was not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.train.checkpoint import load_tree, save_tree
from wsgcn_jax.train.loop import train
from wsgcn_jax.train.optim import grouped_sgd, poly_schedule
from wsgcn_jax.types import DataError


class Numbers:
    """A data iterator that knows its place; optionally dies on the way."""

    def __init__(self, dies_at=None):
        self.place, self.dies_at = 0, dies_at

    def __next__(self):
        if self.place == self.dies_at:
            raise KeyboardInterrupt
        self.place += 1
        return {"x": jnp.float32(np.sin(self.place))}

    def get_state(self):
        return {"place": self.place}

    def set_state(self, state):
        self.place = state["place"]


def _loss(params, frozen, batch):
    return (params["w"]["kernel"].sum() - batch["x"] * frozen["gain"]) ** 2, {}


def _run(folder, numbers, steps=20, report=lambda step, scalars: None, x=1.0):
    return train(
        {"w": {"kernel": jnp.full((3,), x)}},
        {"gain": jnp.float32(2.0)},
        numbers,
        loss=_loss,
        optimiser=grouped_sgd({"all": 0.05}, lambda path: "all", steps=steps),
        steps=steps,
        folder=folder,
        save_every=3,
        report=report,
    )


def test_resumed_run_ends_with_the_same_weights(tmp_path):
    whole = _run(tmp_path / "whole", Numbers())
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", Numbers(dies_at=11))
    steps = []
    again = _run(tmp_path / "killed", Numbers(), report=lambda step, scalars: steps.append(step))
    assert steps[0] == 10  # the checkpoint of step 9 was the newest
    np.testing.assert_array_equal(again["w"]["kernel"], whole["w"]["kernel"])


def test_nan_loss_names_the_step(tmp_path):
    with pytest.raises(FloatingPointError, match="step 0"):
        _run(tmp_path, Numbers(), x=float("nan"))


def test_groups_learn_at_their_own_rate_and_only_kernels_decay():
    optimiser = grouped_sgd(
        {"slow": 0.1, "fast": 1.0, "still": 0.0},
        lambda path: path[0],
        steps=10,
        momentum=0.0,
        weight_decay=0.5,
    )
    params = {k: {"kernel": jnp.ones(1), "bias": jnp.ones(1)} for k in ("slow", "fast", "still")}
    grads = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimiser.update(grads, optimiser.init(params), params)
    moved = {k: [float(v["kernel"][0]), float(v["bias"][0])] for k, v in updates.items()}
    assert moved["slow"] == pytest.approx([-0.15, -0.1])
    assert moved["fast"] == pytest.approx([-1.5, -1.0])
    assert moved["still"] == [0.0, 0.0]


def test_poly_schedule():
    schedule = poly_schedule(0.1, 50)
    for step in (0, 10, 49):
        assert float(schedule(step)) == pytest.approx(0.1 * (1 - step / 50) ** 0.9, rel=1e-5)


def test_saved_trees_come_back_and_others_are_refused(tmp_path):
    tree = {"a": jnp.arange(3.0), "b": {"c": jnp.ones((2, 2))}}
    save_tree(tmp_path / "weights", tree)
    back = load_tree(tmp_path / "weights", tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    with pytest.raises(DataError, match="another network"):
        load_tree(tmp_path / "weights", {"a": jnp.arange(3.0)})
    with pytest.raises(DataError, match="no weights"):
        load_tree(tmp_path / "nothing", tree)
