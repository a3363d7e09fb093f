"""The command line: one clear line and exit status 2 for what cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.train", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--config.gcn.epoch=3", "epoch"),
        ("--config.gcn.epochs=many", "many"),
        ("--config=configs/nothing.py", "nothing.py"),
        ("--wrokdir=x", "wrokdir"),
        ("--workdir=gs://bucket/run", "gs://bucket/run"),
    ],
)
def test_bad_options_name_themselves(argument, named):
    done = _run(argument)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and named in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_data_root(tmp_path):
    done = _run(
        "--config=configs/voc_animals.py",
        f"--config.data.root={tmp_path}/VOC2012",
        f"--workdir={tmp_path}/work",
    )
    assert done.returncode == 2
    assert f"{tmp_path}/VOC2012" in done.stderr and "Traceback" not in done.stderr
