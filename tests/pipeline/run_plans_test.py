"""Batches that do not fit into the memory: tried photo by photo, then left out by name."""

import jax
import pytest

from wsgcn_jax.pipeline import run_plans as run_plans_module
from wsgcn_jax.pipeline.inference import Plan, photos_a_batch
from wsgcn_jax.pipeline.run_plans import run_plans, too_large

PLANS = (Plan((64, 64), (0, 1), 2), Plan((128, 64), (2, 2), 1))


def _run(tmp_path, work):
    def output(index):
        return tmp_path / f"{index}.png"

    def write(plan):
        work(plan)
        for index in plan.indices:
            output(index).write_text("")

    failed = run_plans(PLANS, output, write, "photos")
    return failed, sorted(int(path.stem) for path in tmp_path.iterdir())


@pytest.mark.fault(
    "a batch that does not fit into the memory",
    "its photos are tried alone; one that does not fit is left out by name",
    section="Hosts, devices and memory",
)
@pytest.mark.parametrize(
    "error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 136 GB")]
)
def test_a_batch_that_does_not_fit_is_done_photo_by_photo(tmp_path, error):
    tried = []

    def work(plan):
        tried.append(plan.indices)
        if len(plan.indices) > 1 or plan.indices == (1,):
            raise error

    failed, written = _run(tmp_path, work)
    assert (failed, written) == ([1], [0, 2])
    assert tried[2:] == [(0,), (1,), (2,)]
    (skipped,) = too_large(["a", "b.jpg", "c"], failed)
    assert skipped.name == "b.jpg" and "b.jpg: does not fit into the memory" in skipped.reason


def test_batches_that_wait_for_a_program_are_left_out_of_the_estimate(tmp_path, monkeypatch):
    compiled: list[bool] = []

    class Meter:
        def __init__(self, *args, **kwargs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def advance(self, items, *, work, compiled):
            record(compiled)

    record = compiled.append
    monkeypatch.setattr(run_plans_module, "Progress", Meter)
    monkeypatch.setattr(run_plans_module, "_batches_at_once", lambda: 2)
    small = [Plan((64, 64), (index,), 1) for index in range(3)]
    plans = [*small, Plan((128, 64), (3,), 1)]

    def work(plan):
        for index in plan.indices:
            (tmp_path / f"{index}.png").touch()

    run_plans(plans, lambda index: tmp_path / f"{index}.png", work, "photos")
    assert compiled == [True, True, False, True]


def test_other_errors_are_no_lack_of_memory(tmp_path):
    def work(plan):
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    with pytest.raises(jax.errors.JaxRuntimeError, match="broken"):
        _run(tmp_path, work)


@pytest.mark.parametrize(
    ("backend", "configured", "free", "expected"),
    [
        ("cpu", None, 10**12, 4),
        ("cpu", 7, 10**12, 7),
        ("gpu", 7, 10**12, 7),
        ("gpu", None, 10e9, 16),  # 6 GB for photos of 300 MB: 20
        ("gpu", None, 10**12, 128),
        ("gpu", None, 10**6, 1),
    ],
)
def test_batches_fill_an_accelerator_but_not_a_cpu(
    monkeypatch, backend, configured, free, expected
):
    class Device:
        def memory_stats(self):
            return {"bytes_limit": free + 5, "bytes_in_use": 5}

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    assert photos_a_batch(configured, 300.0) == expected
