"""kill -9 in the middle of every stage: the resumed run ends with the same table."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wsgcn_jax.pipeline.stages import STAGES
from wsgcn_jax.pipeline.workspace import Workspace

ROOT = Path(__file__).parents[2]
COMMAND = (
    *(sys.executable, "-m", "experiments.train", "--config=configs/test.py"),
    # Long enough for a checkpoint (every ten steps) before the end.
    *(f"--config.{stage}.epochs=8" for stage in ("classifier", "boundary", "segmenter")),
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


def _start(workdir: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill_in(workdir: Path, stage: str) -> None:
    process = _start(workdir)
    folder = workdir / stage
    while not any(folder.glob(MIDDLE[stage])):
        assert process.poll() is None, f"the run ended before its stage {stage}"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_killed_in_every_stage_and_resumed_gives_the_same_scores(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _start(whole).wait() == 0
    died = []
    for stage in STAGES:
        _kill_in(killed, stage.name)
        stamp = Workspace(killed).stamp(stage.name)
        died.append(stamp is None or not stamp.complete)
    assert _start(killed).wait() == 0
    # A stage may finish between the look and the kill; that must be the exception.
    assert sum(died) >= len(STAGES) - 2, died
    one, other = (json.loads((folder / "scores.json").read_text()) for folder in (whole, killed))
    assert one == other
