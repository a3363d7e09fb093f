"""Writes docs/faults.md from the tests that carry a mark `fault(given, happens)`: `make faults`.

A mark says in a user's words what is given and what happens then, one row each. `{name}` in it is
the argument of this name of a parametrised test; equal rows are one.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
INTRO = """\
# Inputs and faults

What happens with every kind of odd input, wrong setting, damaged file and interruption that is
known, and the test below `tests/` that holds it. "One line" is a message `error: ...` that names
the file or the key and says what to do; the command ends with status 2. A photo that is "left out"
is listed with the reason at the end; the command goes on without it and ends with status 3.

This page is written by `make faults`, from the tests.
"""
HEADER = "| what you give | what happens | held by |\n|---|---|---|\n"
# By the test's file below tests/; the first pattern that fits counts.
SECTIONS = {
    "Photos and masks": ("data/photos_*", "data/palette_*", "data/source_*", "predict_*"),
    "Lists and labels": ("data/label_table_*", "data/*", "evaluate_*"),
    "Maps from elsewhere": (
        "pipeline/cam_*",
        "pipeline/external_*",
        "pipeline/regions_*",
        "pipeline/label_folder_*",
        "pseudo_label_*",
        "seeds_*",
    ),
    "Settings": ("settings_*", "configs_*", "train_cli_*", "cli_*"),
    "Work folders and interruptions": (
        "interrupt_*",
        "locks_*",
        "checksums_*",
        "trainer/loop_*",
        "pipeline/*",
        "api_*",
        "report_*",
        "results_*",
    ),
    "Hosts, devices and memory": ("distributed_*", "folders_*", "trainer/*", "bucket_*"),
    "Functions": ("checks_*", "crf/*", "types_*", "metrics_*"),
    "Untrusted files": ("models/*", "pickles_*"),
}


class Row(NamedTuple):
    """One row of the page: a section, and what stands in its table."""

    section: str
    given: str
    happens: str
    test: str
    slow: bool

    def line(self) -> str:
        """The row as Markdown."""
        cells = [cell.replace("|", "\\|") for cell in (self.given, self.happens)]
        return f"| {cells[0]} | {cells[1]} | `{self.test}`{' (slow)' if self.slow else ''} |"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option to write the page."""
    parser.addoption("--faults", metavar="FILE", help="write the table of inputs and faults")


ROWS = pytest.StashKey[dict[tuple[str, str, str], Row]]()
FILES = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begins with no rows."""
    config.stash[ROWS], config.stash[FILES] = {}, set()


def pytest_itemcollected(item: Any) -> None:
    """Notes the rows of a test, before any is deselected."""
    item.config.stash[FILES].add(item.path.relative_to(ROOT / "tests").as_posix())
    for row in _rows(item):
        item.config.stash[ROWS].setdefault(row[:3], row)


def _rows(item: Any) -> Iterator[Row]:
    file = item.path.relative_to(ROOT / "tests").as_posix()
    arguments = item.callspec.params if hasattr(item, "callspec") else {}
    for mark in reversed([*item.iter_markers("fault")]):
        given, happens = (text.format(**arguments) for text in mark.args)
        section = mark.kwargs.get("section") or _section(file)
        slow = item.get_closest_marker("slow") is not None
        yield Row(section, given, happens, f"{file}::{item.originalname}", slow)


def _section(file: str) -> str:
    for section, patterns in SECTIONS.items():
        if any(fnmatch(file, pattern) for pattern in patterns):
            return section
    raise ValueError(f"tests/faults.py: no section for the faults of {file}")


def page(rows: list[Row]) -> str:
    """Returns the whole page."""
    parts = [INTRO]
    rows = sorted(rows, key=lambda row: row.test.partition("::")[0])
    for section in SECTIONS:
        lines = "".join(f"{row.line()}\n" for row in rows if row.section == section)
        parts.append(f"## {section}\n\n{HEADER}{lines}")
    return "\n".join(parts)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes the page where it was asked for."""
    path = session.config.getoption("--faults")
    if path:
        Path(path).write_text(page([*session.config.stash[ROWS].values()]))
