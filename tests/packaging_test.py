"""What setup.cfg says against what is there; the Makefile's choice of a Python."""

import ast
import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wsgcn_jax.extras import EXTRAS, how_to_install

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
OPTIONS = SETUP["options"]
BESIDE = dict(line.split(" = ") for line in OPTIONS["package_dir"].split("\n") if line)


def _packages():
    for name, folder in {"wsgcn_jax": "wsgcn_jax", **BESIDE}.items():
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            yield ".".join((name, *init.parent.relative_to(ROOT / folder).parts))


def test_every_folder_of_code_is_packaged():
    assert OPTIONS["packages"].split() == sorted(_packages())


def test_one_package_at_the_top():
    assert {name.partition(".")[0] for name in _packages()} == {"wsgcn_jax"}


@pytest.mark.parametrize("folder", BESIDE.values())
def test_what_lies_beside_the_package_works_inside_it(folder):
    """There its modules have another name, so they name each other by dots."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not [n for n in names if n.partition(".")[0] in BESIDE.values()], path


def test_advice_names_what_the_extras_hold():
    extras = SETUP["options.extras_require"]
    assert {name: extras[name].strip() for name in EXTRAS} == EXTRAS
    assert how_to_install("gcs") == f"{sys.executable} -m pip install gcsfs"
    assert how_to_install("tpu-check").endswith(" 'jax[tpu]'")


def _make(tmp_path, *pythons):
    """What `make test` does where only these pythons are on the path."""
    for name in ("make", "sed", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name))
    for name, works in pythons:
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {0 if works else 127}\n")
        (tmp_path / name).chmod(0o755)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "PYTHON")}
    command = ["make", "-s", "test", f"VENV={tmp_path}/venv"]
    if pythons:
        command.append("-n")
    return subprocess.run(
        command, cwd=ROOT, env=env | {"PATH": str(tmp_path)}, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ([("python3.11", True), ("python3.12", True)], "python3.12"),
        ([("python3.13", False), ("python3.12", True), ("python3", True)], "python3.12"),
        ([("python3.13", False), ("python3", True)], "python3"),
    ],
)
def test_make_takes_the_newest_python_that_runs(pythons, chosen, tmp_path):
    assert f"\n{chosen} -m venv {tmp_path}/venv\n" in _make(tmp_path, *pythons).stdout


def test_make_says_which_python_it_needs(tmp_path):
    done = _make(tmp_path)
    assert done.returncode and "Python 3.11 to 3.13 is needed" in done.stderr
