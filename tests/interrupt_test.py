"""Ctrl-C and SIGTERM: between two batches, at once where asked twice, never a traceback."""

import os
import signal
import threading
import time

import pytest

from wsgcn_jax import interrupt
from wsgcn_jax.pipeline.progress import progress


class _Left(BaseException):
    """In place of the end of the process."""


@pytest.fixture
def left(monkeypatch):
    """Collects the exit statuses; the process goes on."""
    statuses = []

    def leave(status):
        statuses.append(status)
        if threading.current_thread() is threading.main_thread():
            raise _Left

    monkeypatch.setattr(interrupt.os, "_exit", leave)
    yield statuses
    interrupt._received.clear()


def _wait_for(left):
    """Waits until the process would have ended, five seconds at the most."""
    for _ in range(500):
        if left:
            break
        time.sleep(0.01)


def _send(number, times=1):
    """Sends a signal and waits until the listening thread has it."""
    for _ in range(times):
        before = len(interrupt._received)
        os.kill(os.getpid(), number)
        for _ in range(500):
            if len(interrupt._received) > before:
                break
            time.sleep(0.01)


@pytest.mark.fault(
    "{number.name} in the middle of a stage",
    "the batch in hand is finished, then one line and status {status}",
)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_batch_in_hand_is_finished_and_one_line_said(number, status, left, capsys):
    done = []

    @interrupt.guard()
    def main():
        for item in progress(range(5), "photos"):
            if item == 2:
                _send(number)
            done.append(item)

    handlers = [signal.getsignal(each) for each in interrupt.SIGNALS]
    with pytest.raises(_Left):
        main()
    assert done == [0, 1, 2] and left == [status]
    assert capsys.readouterr().err.endswith(f"\n{interrupt.LINE}\n")
    assert [signal.getsignal(each) for each in interrupt.SIGNALS] == handlers


@pytest.mark.fault("Ctrl-C twice", "it ends at once")
def test_asked_twice_it_ends_at_once_though_the_batch_goes_on(left):
    with pytest.raises(_Left), interrupt.guard():
        _send(signal.SIGINT, times=2)
        _wait_for(left)
        assert left == [130]
        raise _Left


@pytest.mark.fault("SIGTERM in a batch that takes long", "it is cut off")
def test_a_batch_without_an_end_is_cut_off(left, monkeypatch):
    monkeypatch.setattr(interrupt, "PATIENCE", 0.01)
    with pytest.raises(_Left), interrupt.guard():
        _send(signal.SIGTERM)
        _wait_for(left)
        assert left == [143]
        raise _Left


@pytest.mark.fault("Ctrl-C during a compilation", "it is cut off")
def test_a_compilation_is_cut_off(left, monkeypatch):
    monkeypatch.setattr(interrupt, "_LOOKS", 0.01)
    code = compile("def wait(left):\n while not left: pass", f"/x/{interrupt._COMPILER}", "exec")
    exec(code, names := {})
    with pytest.raises(_Left), interrupt.guard():
        _send(signal.SIGINT)
        names["wait"](left)
        assert left == [130]
        raise _Left


def test_nobody_asked():
    with interrupt.guard():
        interrupt.check()
    assert not interrupt.requested()
