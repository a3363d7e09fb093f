"""`wsgcn`, the commands behind it, and what their help has in common."""

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import cli
from experiments.command import fail_on_disk_error, log_skipped
from wsgcn_jax import __version__, data
from wsgcn_jax.types import Skipped


def _run(*arguments):
    try:
        return cli.main(arguments)
    except SystemExit as stopped:
        return stopped.code


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_commands_are_listed_on_a_screen(arguments, capsys):
    assert _run(*arguments) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 24
    assert all(f"\n  {name} " in said for name in cli.COMMANDS)


def test_version(capsys):
    assert _run("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.fault("`wsgcn {name}`", "one line, with the commands that there are")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("trian", "did you mean 'train'?"),
        ("zzz", "there are train, "),
        ("--zz", "there are "),
    ],
)
def test_an_unknown_command_is_one_line(name, hint, capsys):
    assert _run(name) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: unknown command {name!r}; {hint}") and err.count("\n") == 1


@pytest.mark.parametrize("program", ["/usr/bin/wsgcn", "/src/experiments/train.py"])
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_says_what_was_typed(command, program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [program])
    assert _run(command, "--help") == 0
    said = capsys.readouterr().out
    as_module = f"python -m experiments.{command.replace('-', '_')}"
    assert (f"    wsgcn {command}" in said) == program.endswith("wsgcn")
    assert (f"    {as_module}" in said) != program.endswith("wsgcn")
    assert len(said.splitlines()) <= 40


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_unknown_options_come_before_missing_ones(command, capsys):
    assert _run(command, "--hlep") == 2
    assert capsys.readouterr().err == (
        "error: unknown option --hlep; did you mean '--help'? (--help lists the options)\n"
    )


def test_a_command_is_imported_when_it_is_called(monkeypatch):
    called = []
    found = importlib.import_module("experiments.convert")
    monkeypatch.setattr(found, "main", lambda rest: called.append(rest) or 3)
    assert _run("convert", "a", "--as=b") == 3 and called == [["a", "--as=b"]]


@pytest.mark.fault(
    "file names with control characters",
    "printed as text; a terminal obeys nothing in them",
    section="Untrusted files",
)
def test_names_of_photos_are_printed_as_text(capsys):
    assert log_skipped([Skipped("a\x1b[2J\nb", "it is\rbroken")]) == 3
    assert capsys.readouterr().err.splitlines() == [
        r"left out: a\x1b[2J\nb: it is\rbroken",
        "1 photos were left out",
    ]


@pytest.mark.fault(
    "names that the terminal's encoding has no letters for",
    "printed as escapes (`\\u732b`)",
)
def test_names_are_printed_in_any_encoding(tmp_path):
    for folder in ("pred", "truth"):
        data.write_mask(tmp_path / folder / "a.png", np.eye(4, dtype=np.uint8))
    options = ("--pred=pred", "--truth=truth", "--classes=\u732b,b")
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.evaluate", *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "\\u732b" in done.stdout and "mIoU" in done.stdout


@pytest.mark.fault("a folder without the rights to read or write it", "one line")
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_missing_rights_are_one_line(capsys, number):
    error = OSError(number, "it may not", "run/report.html")
    assert fail_on_disk_error(error, Path("run")) == 2
    err = capsys.readouterr().err
    assert err == "error: run/report.html: it may not; change its rights, or name another folder\n"
    with pytest.raises(OSError, match="broken"):
        fail_on_disk_error(OSError(errno.EIO, "broken"), Path("run"))
