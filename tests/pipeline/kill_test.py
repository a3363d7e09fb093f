"""kill -9 in every stage, Ctrl-C and SIGTERM at random moments: the same masks and scores."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wsgcn_jax.interrupt import LINE
from wsgcn_jax.pipeline.stages import STAGES
from wsgcn_jax.pipeline.workfolder.workspace import Workspace

ROOT = Path(__file__).parents[2]
COMMAND = (
    *(sys.executable, "-m", "experiments.train", "--config=configs/test.py"),
    # Long enough for a checkpoint (every ten steps) before the end.
    *(f"--config.{stage}.epochs=8" for stage in ("classifier", "boundary", "segmenter")),
    "--config.segmenter.presence=True",
)

# What a stage has written when it is in its middle: something, not all. Stages of one artefact
# are killed as soon as their folder exists.
MIDDLE = {
    "data": "*",
    "classifier": "checkpoints/10",
    "cams": "*.npz",
    "boundary": "checkpoints/10",
    "pseudo_labels": "*.png",
    "segmenter": "checkpoints/10",
    "evaluate": "stage.json",
}


def _start(workdir: Path, **options: Any) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        **{"stderr": subprocess.DEVNULL, **options},
        start_new_session=True,
    )


def _result(workdir: Path) -> dict[str, bytes]:
    found = (*workdir.glob("pseudo_labels/*.png"), *workdir.glob("segmenter/val/*.png"))
    files = (*found, workdir / "scores.json")
    return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


def _kill_in(workdir: Path, stage: str) -> None:
    process = _start(workdir)
    folder = workdir / stage
    while not any(folder.glob(MIDDLE[stage])):
        assert process.poll() is None, f"the run ended before its stage {stage}"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run, and the seconds it took with its programs compiled."""
    folder = tmp_path_factory.mktemp("whole")
    assert _start(folder / "compiles").wait() == 0
    started = time.monotonic()
    assert _start(folder / "run").wait() == 0
    return folder / "run", time.monotonic() - started


@pytest.mark.fault(
    "kill -9 in each stage",
    "the same command goes on; the same masks and scores, byte for byte",
)
@pytest.mark.slow
def test_killed_in_every_stage_and_resumed_gives_the_same_scores(whole, tmp_path):
    killed = tmp_path / "killed"
    died = []
    for stage in STAGES:
        _kill_in(killed, stage.name)
        stamp = Workspace(killed).stamp(stage.name)
        died.append(stamp is None or not stamp.complete)
    assert _start(killed).wait() == 0
    # A stage may finish between the look and the kill; that must be the exception.
    assert sum(died) >= len(STAGES) - 2, died
    assert _result(killed) == _result(whole[0])


@pytest.mark.fault(
    "{number.name} at ten random moments",
    "status {status}, no traceback; the same masks and scores, byte for byte",
)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_ended_at_ten_random_moments_and_resumed_gives_the_same(whole, tmp_path, number, status):
    folder, seconds = whole
    rng = random.Random(seed := random.SystemRandom().randrange(10**6))
    for moment in range(10):
        # Ten pieces of a tenth each, and the start of Python and JAX that each of them repeats.
        process = _start(tmp_path, stderr=subprocess.PIPE, text=True)
        # Before Python listens, in its first tenths of a second, the system ends it by itself.
        time.sleep(rng.uniform(0.5, 6 + seconds / 10))
        if process.poll() is not None:
            break
        os.kill(process.pid, number)
        err = process.communicate(timeout=60)[1]
        said = f"seed {seed}, moment {moment}: {err[-2000:]}"
        assert process.returncode == status, said
        assert "Traceback" not in err, said
        assert status < 0 or err.splitlines()[-1] == LINE, said
    assert _start(tmp_path).wait() == 0
    assert _result(tmp_path) == _result(folder), f"seed {seed}"
