"""Progress: what is said, how often, and that compiling does not enter the time left."""

import pytest

from wsgcn_jax.pipeline import progress as module
from wsgcn_jax.pipeline.progress import Progress, duration, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.fault(
    "a stage that compiles first",
    "the time left is without it",
    section="Hosts, devices and memory",
)
def test_compiling_is_left_out_of_the_time_to_go(clock, capsys):
    with Progress("cams", 5, unit="photo") as meter:
        for seconds, compiled in ((60, True), (2, False), (2, False), (2, False)):
            clock[0] += seconds
            meter.advance(compiled=compiled, note="loss 0.5")
        clock[0] += 2
        meter.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "cams: 1/5, compiling, loss 0.5",
        "cams: 2/5, 2.00 s a photo, 6 s to go, loss 0.5",
        "cams: 5 photos in 68 s",
    ]


def test_time_to_go_follows_the_work_that_is_left(clock, capsys):
    with Progress("labels", 3, work=12.0) as meter:
        clock[0] += 4
        meter.advance(work=2.0)
    assert "4.00 s a photo, 20 s to go" in capsys.readouterr().err


def test_a_resumed_run_begins_where_it_was(clock, capsys):
    with Progress("classifier", 10, unit="step", done=8) as meter:
        clock[0] += 3
        meter.advance()
    assert capsys.readouterr().err.startswith("classifier: 9/10, 3.00 s a step, 3 s to go")


def test_every_item_comes_once(capsys):
    assert list(progress("abc", "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines()[-1].startswith("letters: 3 photos in 0 s")


@pytest.mark.parametrize(
    ("seconds", "says"), [(45.2, "45 s"), (720, "12 min"), (5000, "83 min"), (9000, "2.5 h")]
)
def test_durations_are_as_exact_as_one_wants(seconds, says):
    assert duration(seconds) == says
