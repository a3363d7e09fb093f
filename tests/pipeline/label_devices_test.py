"""One device, eight, two hosts: the same pseudo labels."""

from pathlib import Path

import jax
import numpy as np
import pytest
from pipeline import tiny_labels
from processes import finish, start, start_hosts

from wsgcn_jax.distributed import any_across_hosts, over_devices

SCRIPT = Path(tiny_labels.__file__)


@pytest.fixture(scope="module")
def alone():
    return jax.tree.map(np.asarray, tiny_labels.program()(tiny_labels.photos(range(5))))


def _assert_same(folder, alone):
    for index, scores in enumerate(alone.log_probs):
        labels = scores.argmax(axis=0)
        assert 0 < (labels == 1).mean() < 1  # an object on a ground, so that equal means something
        with np.load(folder / f"{index}.npz") as theirs:
            np.testing.assert_array_equal(theirs["labels"], labels)
            # Sums in another order, also where the walk drops the weaker of two nearly equal ties.
            np.testing.assert_allclose(np.exp(theirs["scores"]), np.exp(scores), atol=1e-4)


@pytest.mark.fault(
    "eight devices instead of one",
    "photos are labelled alike",
    section="Hosts, devices and memory",
)
def test_eight_devices_give_the_labels_of_one(alone, tmp_path):
    finish(start(SCRIPT, tmp_path, 5, devices=8), "8 devices, 1 hosts")
    _assert_same(tmp_path, alone)


@pytest.mark.fault(
    "two hosts instead of one",
    "photos are labelled alike",
    section="Hosts, devices and memory",
)
@pytest.mark.slow
def test_two_hosts_give_the_labels_of_one_and_share_what_failed(alone, tmp_path):
    hosts = start_hosts(SCRIPT, tmp_path, 2)
    for process in hosts:
        finish(process, "2 devices, 2 hosts")
    _assert_same(tmp_path, alone)
    for host in range(2):
        with np.load(tmp_path / f"host{host}.npz") as found:
            assert found["failed"].tolist() == [False] * 4 + [True]


def test_shared_and_static_arguments_reach_the_program():
    program = over_devices(lambda shared, batch, *, power: shared * batch["x"] ** power)
    out = program(2.0, {"x": np.arange(3.0, dtype=np.float32)}, power=3)
    np.testing.assert_array_equal(out, [0, 2, 16])


def test_alone_a_host_knows_what_it_found():
    assert any_across_hosts(np.array([True, False])).tolist() == [True, False]
