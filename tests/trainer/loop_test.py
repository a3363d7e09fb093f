"""The training loop: a killed run ends with the weights of one that was not."""

import errno
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import golden

from wsgcn_jax import interrupt
from wsgcn_jax.trainer import checkpoint
from wsgcn_jax.trainer.checkpoint import load_tree, save_tree
from wsgcn_jax.trainer.loop import TrainState, make_update, train
from wsgcn_jax.trainer.optim import grouped_sgd, poly_schedule
from wsgcn_jax.types import DataError


class Numbers:
    """A data iterator that knows its place; optionally dies on the way."""

    def __init__(self, dies_at=None):
        self.place, self.dies_at = 0, dies_at

    def __next__(self):
        if self.place == self.dies_at:
            raise KeyboardInterrupt
        self.place += 1
        return {"x": np.float32([np.sin(self.place)])}

    def get_state(self):
        return {"place": self.place}

    def set_state(self, state):
        self.place = state["place"]


def _loss(params, frozen, batch):
    error = params["w"]["kernel"].sum() - batch["x"].mean() * frozen["gain"]
    return error**2, ({}, frozen)


def _run(folder, numbers, steps=20, report=lambda step, scalars: None, x=1.0, **options):
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
        **options,
    ).params


@pytest.mark.fault(
    "a training that was interrupted",
    "resumed, it ends with the same weights",
    section="Work folders and interruptions",
)
def test_resumed_run_ends_with_the_same_weights(tmp_path):
    whole = _run(tmp_path / "whole", Numbers())
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", Numbers(dies_at=11))
    steps = []
    again = _run(tmp_path / "killed", Numbers(), report=lambda step, scalars: steps.append(step))
    assert steps[0] == 10  # the checkpoint of step 9 was the newest
    np.testing.assert_array_equal(again["w"]["kernel"], whole["w"]["kernel"])


def test_an_interrupted_run_keeps_the_step_in_hand(tmp_path, monkeypatch):
    whole, begun = _run(tmp_path / "whole", Numbers()), []
    numbers = Numbers()
    with monkeypatch.context() as asked:
        asked.setattr(interrupt, "requested", lambda: numbers.place == 11)
        with pytest.raises(interrupt.Interrupted):
            _run(tmp_path / "run", numbers)
    resumed = _run(tmp_path / "run", Numbers(), begin=begun.append)
    assert begun == [11]
    np.testing.assert_array_equal(resumed["w"]["kernel"], whole["w"]["kernel"])


class Poisoned(Numbers):
    """Its fifth batch is infinite."""

    def __next__(self):
        batch = super().__next__()
        return {"x": batch["x"] + (np.float32(np.inf) if self.place == 5 else 0)}


@pytest.mark.fault(
    "a training whose loss becomes NaN",
    "one line with the step; the batch is kept",
    section="Work folders and interruptions",
)
def test_nan_names_the_step_and_saves_the_batch_that_caused_it(tmp_path):
    steps = []
    with pytest.raises(FloatingPointError, match=r"step 4; the batch is in .*bad_batch_step_4"):
        _run(tmp_path / "run", Poisoned(), report=lambda step, scalars: steps.append(step))
    assert steps == [1, 2, 3, 4]
    with np.load(tmp_path / "bad_batch_step_4_host_0.npz") as batch:
        assert np.isinf(batch["x"]).all()
    # What came before is kept: with a sound batch the run is resumed from there.
    steps.clear()
    _run(tmp_path / "run", Numbers(), report=lambda step, scalars: steps.append(step))
    assert steps[0] == 4


def _halve_every_file(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _zero_the_arrays(folder):
    for file in (folder / "state").rglob("d/*"):
        file.write_bytes(bytes(file.stat().st_size))


def _flip_a_bit(folder):
    """In the middle of each file of arrays; Orbax reads some of them."""
    for path in folder.rglob("d/*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def _change_the_place(folder):
    path = folder / "data" / "metadata"
    path.write_text(path.read_text().replace('"place": 9', '"place": 8'))


def _lose_the_state(folder):
    shutil.rmtree(folder / "state")


@pytest.mark.fault(
    "a checkpoint that is cut, zeroed or has one flipped bit",
    "it is set aside, the one before it is used",
    section="Work folders and interruptions",
)
@pytest.mark.parametrize(
    "damage", [_halve_every_file, _zero_the_arrays, _flip_a_bit, _change_the_place, _lose_the_state]
)
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before_it(tmp_path, caplog, damage):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        _run(folder, Numbers(dies_at=11))
    damage(folder / "9")
    steps = []
    again = _run(folder, Numbers(), report=lambda step, scalars: steps.append(step))
    assert steps[0] == 7
    assert "9 is damaged" in caplog.text
    assert (tmp_path / "damaged_checkpoint_9").is_dir()
    whole = _run(tmp_path / "whole", Numbers())
    np.testing.assert_array_equal(again["w"]["kernel"], whole["w"]["kernel"])


@pytest.mark.fault(
    "a disk that is full while a checkpoint is saved",
    "one line; the same command goes on",
    section="Work folders and interruptions",
)
def test_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.ocp.CheckpointManager, "save", full)
    with pytest.raises(DataError, match="the disk is full; make room"):
        _run(tmp_path, Numbers())


@pytest.mark.fault(
    "a disk without room for a checkpoint",
    "one line before it is written",
    section="Work folders and interruptions",
)
def test_no_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    room = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: room)
    with pytest.raises(DataError, match="the disk is full; make room"):
        _run(tmp_path / "run", Numbers())
    with pytest.raises(DataError, match="the disk is full; make room"):
        save_tree(tmp_path / "weights", {"a": jnp.ones(3)})
    assert not (tmp_path / "weights").exists()


def test_accumulated_gradients_are_those_of_the_whole_batch():
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"w": {"kernel": jax.random.normal(keys[0], (3,))}}
    batch = {"x": jax.random.normal(keys[1], (8, 3)), "y": jax.random.normal(keys[2], (8,))}

    def loss(params, seen, batch):
        error = batch["x"] @ params["w"]["kernel"] - batch["y"]
        return (error**2).mean(), ({"error": error.mean()}, seen + 1)

    optimiser = grouped_sgd({"all": 0.1}, lambda path: "all", steps=5)
    state = TrainState(jnp.zeros((), int), params, jnp.zeros(()), optimiser.init(params), None)
    whole, scalars = jax.jit(make_update(loss, optimiser))(state, batch)
    parts, mean = jax.jit(make_update(loss, optimiser, accumulate=4))(state, batch)
    assert (whole.statistics, parts.statistics) == (1, 4)  # every part moves them
    np.testing.assert_allclose(
        parts.params["w"]["kernel"], whole.params["w"]["kernel"], rtol=1e-5, atol=1e-6
    )
    for name in ("loss", "error", "grad_norm"):
        np.testing.assert_allclose(mean[name], scalars[name], rtol=1e-5, atol=1e-6)


def test_average_follows_the_parameters(tmp_path):
    optimiser = grouped_sgd({"all": 0.05}, lambda path: "all", steps=20)
    params = {"w": {"kernel": jnp.ones(3)}}
    frozen = {"gain": jnp.float32(2.0)}
    state = TrainState(jnp.zeros((), int), params, frozen, optimiser.init(params), params)
    update = jax.jit(make_update(_loss, optimiser, average=0.8))
    numbers, expected = Numbers(), np.ones(3)
    for _ in range(3):
        state, _ = update(state, next(numbers))
        expected = 0.8 * expected + 0.2 * np.asarray(state.params["w"]["kernel"])
    np.testing.assert_allclose(state.average["w"]["kernel"], expected, rtol=1e-6)
    trained = _run(tmp_path / "averaged", Numbers(), steps=20, average=0.8)
    plain = _run(tmp_path / "plain", Numbers())
    assert not np.array_equal(trained["w"]["kernel"], plain["w"]["kernel"])


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


def test_staircase_matches_golden():
    file = golden("deeplab")
    for group, factor in enumerate((1, 10, 20)):
        schedule = poly_schedule(2.5e-4 * factor, 20000, every=10)
        for step, rates in zip(file["lr_iters"], file["lr_after_step"], strict=True):
            assert float(schedule(step)) == pytest.approx(rates[group], rel=1e-5)


def test_only_kernels_with_a_gradient_decay():
    optimiser = grouped_sgd(
        {"all": 1.0}, lambda path: "all", steps=10, momentum=0.0, weight_decay=0.5
    )
    params = {"aspp_kernel": jnp.ones(2), "frozen": {"kernel": jnp.ones(2)}}
    grads = {"aspp_kernel": jnp.array([1.0, 0.0]), "frozen": {"kernel": jnp.zeros(2)}}
    updates, _ = optimiser.update(grads, optimiser.init(params), params)
    np.testing.assert_allclose(updates["aspp_kernel"], [-1.5, -0.5])
    np.testing.assert_array_equal(updates["frozen"]["kernel"], [0.0, 0.0])


def test_saved_trees_come_back_and_others_are_refused(tmp_path):
    tree = {"a": jnp.arange(3.0), "b": {"c": jnp.ones((2, 2))}}
    save_tree(tmp_path / "weights", tree)
    back = load_tree(tmp_path / "weights", tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    with pytest.raises(DataError, match="another network"):
        load_tree(tmp_path / "weights", {"a": jnp.arange(3.0)})
    with pytest.raises(DataError, match="no weights"):
        load_tree(tmp_path / "nothing", tree)


@pytest.mark.fault(
    "weights that are cut or have one flipped bit",
    "one line, or the stage is made again",
    section="Work folders and interruptions",
)
@pytest.mark.parametrize("damage", [_flip_a_bit, _halve_every_file])
def test_damaged_weights_are_named(tmp_path, damage):
    tree = {"a": jnp.arange(300.0)}
    save_tree(tmp_path / "weights", tree)
    damage(tmp_path / "weights")
    with pytest.raises(DataError, match=r"weights.* damaged"):
        load_tree(tmp_path / "weights", tree)


@pytest.mark.fault(
    "checksums that name files elsewhere",
    "one line; nothing else is read",
    section="Untrusted files",
)
def test_checksums_of_weights_name_no_files_outside(tmp_path):
    tree = {"a": jnp.arange(3.0)}
    save_tree(tmp_path / "weights", tree)
    (tmp_path / "weights" / "checksums.json").write_text('{"/dev/zero": [0, 0, ""]}')
    with pytest.raises(DataError, match=r"checksums\.json: damaged"):
        load_tree(tmp_path / "weights", tree)
