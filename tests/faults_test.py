"""docs/faults.md says what the tests say."""

import re

import faults
import pytest

PAGE = (faults.ROOT / "docs/faults.md").read_text()
HELD_BY = re.compile(r"\| `([\w/]+\.py)::(\w+)`(?: \(slow\))? \|$", re.MULTILINE)


def test_the_page_is_what_the_tests_say(request):
    """Of the files that are collected: all of them in `make test`."""
    if any("::" in argument for argument in request.config.args):
        pytest.skip("files are collected in part")
    rows, files = request.config.stash[faults.ROWS].values(), request.config.stash[faults.FILES]
    expected = faults.page([*rows]).splitlines()
    held = [line for line in PAGE.splitlines() if (by := HELD_BY.search(line)) and by[1] in files]
    assert held == [line for line in expected if HELD_BY.search(line)], "run `make faults`"


def test_the_page_is_whole():
    rows = HELD_BY.findall(PAGE)
    assert PAGE.startswith(faults.INTRO) and len(rows) >= 100
    for file, test in rows:
        assert f"def {test}(" in (faults.ROOT / "tests" / file).read_text()
    for section in faults.SECTIONS:
        assert f"\n## {section}\n\n{faults.HEADER}| " in PAGE
