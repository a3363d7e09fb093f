"""Notes how far tests marked `parity(stage)` are from the golden numbers; `make parity` shows it.

While such a test runs, NumPy's assertions also note the largest error and what was allowed there.
The quantity is the test's own text: what it compares with, or what must be less than a bound.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest


class Row(NamedTuple):
    """The worst comparison of one quantity."""

    error: float
    allowed: float


_ROWS: dict[tuple[str, str, str], Row] = {}


@pytest.fixture(autouse=True)
def _note_parity(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    marker = request.node.get_closest_marker("parity")
    if marker is not None:
        test = request.node.originalname.removeprefix("test_").replace("_", " ")
        where = (marker.args[0], test)
        for name in ("assert_allclose", "assert_array_equal"):
            original = getattr(np.testing, name)
            monkeypatch.setattr(np.testing, name, _noting(original, where))
        less = np.testing.assert_array_less
        monkeypatch.setattr(np.testing, "assert_array_less", _noting_less(less, where))
    yield


def _noting(original: Callable[..., None], where: tuple[str, str]) -> Callable[..., None]:
    default = 1e-7 if original.__name__ == "assert_allclose" else 0.0

    def check(actual: Any, desired: Any, *args: Any, **options: Any) -> None:
        original(actual, desired, *args, **options)
        rtol, atol = options.get("rtol", default), options.get("atol", 0.0)
        ours, theirs = (np.asarray(x, np.float64) for x in (actual, desired))
        errors = np.nan_to_num(np.abs(ours - theirs), posinf=0).ravel()
        allowed = np.broadcast_to(np.nan_to_num(atol + rtol * np.abs(theirs)), ours.shape).ravel()
        if errors.size:
            worst = np.argmax(errors / np.maximum(allowed, 1e-300))
            row = Row(float(errors[worst]), float(allowed[worst]))
            _note((*where, _argument(sys._getframe(1), 1)), row)

    return check


def _noting_less(original: Callable[..., None], where: tuple[str, str]) -> Callable[..., None]:
    """An error that the test itself measures, and its bound: numbers."""

    def check(error: Any, bound: Any, *args: Any, **options: Any) -> None:
        original(error, bound, *args, **options)
        _note((*where, _argument(sys._getframe(1), 0)), Row(float(error), float(bound)))

    return check


def _note(key: tuple[str, str, str], row: Row) -> None:
    _ROWS[key] = max(_ROWS.get(key, row), row, key=lambda r: r.error / max(r.allowed, 1e-300))


def _argument(frame: Any, position: int) -> str:
    """An argument of the assertion that a frame is at, as its source says it."""
    lines = Path(frame.f_code.co_filename).read_text()
    calls = [
        node
        for node in ast.walk(ast.parse(lines))
        if isinstance(node, ast.Call)
        and node.lineno <= frame.f_lineno <= (node.end_lineno or 0)
        and ast.unparse(node.func).startswith("np.testing.")
    ]
    text = ast.unparse(calls[-1].args[position]) if calls else ""
    return text if len(text) <= 48 else text[:45] + "..."


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the table when the tests of the golden files are asked for."""
    if not _ROWS or "parity" not in config.getoption("markexpr"):
        return
    header = ("stage", "test", "compared with", "max error", "allowed")
    rows = [header]
    for (stage, test, text), row in sorted(_ROWS.items()):
        allowed = f"{row.allowed:.1e}" if row.allowed else "exact"
        rows.append((stage, test, text, f"{row.error:.1e}" if row.error else "0", allowed))
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    terminalreporter.section("parity with the published numbers")
    for row in rows:
        cells = zip(row, widths, strict=True)
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
