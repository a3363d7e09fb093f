"""One device, eight, two hosts, and kill -9: the same loss curve, the same weights."""

import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from processes import finish, start, start_hosts

SCRIPT = Path(__file__).with_name("tiny_run.py")
STEPS = 20


def _start(folder, *, steps=STEPS, start=start, **options):
    folder.mkdir(exist_ok=True)
    return start(SCRIPT, folder, steps, **options)


def _curve(folder):
    return np.array([*json.loads((folder / "curve.json").read_text()).values()])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    finish(_start(folder), "1 devices, 1 hosts")
    return folder


def _assert_same(folder, alone, **tolerance):
    curve = _curve(alone)
    assert curve[-1] < 0.7 * curve[0]  # it learns, so equal curves mean something
    np.testing.assert_allclose(_curve(folder), curve, **tolerance)
    with np.load(folder / "weights.npz") as ours, np.load(alone / "weights.npz") as expected:
        for name in ("kernel", "bias", "mean"):
            np.testing.assert_allclose(ours[name], expected[name], **tolerance)


@pytest.mark.fault(
    "training on eight devices",
    "the curve of one, but for rounding: the same result is promised on as many devices only",
)
def test_eight_devices_give_the_curve_of_one(alone, tmp_path):
    finish(_start(tmp_path, devices=8), "8 devices, 1 hosts")
    _assert_same(tmp_path, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_hosts_give_the_curve_of_one(alone, tmp_path):
    for process in _start(tmp_path, start=start_hosts, devices=2):
        finish(process, "4 devices, 2 hosts")
    _assert_same(tmp_path, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.fault(
    "a training that goes on with another number of hosts",
    "it goes on where it was",
)
@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_hosts(tmp_path):
    whole, moved = tmp_path / "whole", tmp_path / "moved"
    finish(_start(whole, steps=300), "1 devices")
    process = _start(moved, steps=300)
    _wait_for_checkpoint(process, moved)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for process in _start(moved, start=start_hosts, steps=300):
        finish(process, "2 devices, 2 hosts")
    assert len(_curve(moved)) < 300
    with np.load(moved / "weights.npz") as ours, np.load(whole / "weights.npz") as expected:
        for name in ("kernel", "bias", "mean"):
            np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, atol=1e-5)


def _wait_for_checkpoint(process, folder):
    while not any((folder / "checkpoints").glob("*[0-9]")):
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.005)


@pytest.mark.fault(
    "a training killed at random steps",
    "resumed on as many devices, the same weights",
)
@pytest.mark.slow
def test_killed_at_random_steps_and_resumed_gives_the_same_weights(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(_start(whole, steps=300), "1 devices")
    seed = random.SystemRandom().randrange(10**6)
    rng, died = random.Random(seed), 0
    for _ in range(2):
        process = _start(killed, steps=300)
        _wait_for_checkpoint(process, killed)
        time.sleep(2 * rng.random())
        died += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    finish(_start(killed, steps=300), "1 devices")
    assert died, "every run ended before it was killed"
    with np.load(killed / "weights.npz") as ours, np.load(whole / "weights.npz") as expected:
        for name in ("kernel", "bias", "mean"):
            np.testing.assert_array_equal(ours[name], expected[name], err_msg=f"seed {seed}")


@pytest.mark.fault("a host that is lost", "the others end with one line; nothing is lost")
@pytest.mark.slow
def test_a_lost_host_ends_the_others_in_one_sentence_and_nothing_is_lost(tmp_path):
    first, second = _start(tmp_path, start=start_hosts, steps=2000)
    _wait_for_checkpoint(first, tmp_path)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    _, err = first.communicate(timeout=240)  # JAX waits 100 s for a sign of life
    assert first.returncode != 0 and "DataError: another host was lost" in err
    assert any((tmp_path / "checkpoints").glob("*[0-9]"))
