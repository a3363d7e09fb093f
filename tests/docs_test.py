"""The documentation: its snippets run, it names every public name, its pages are current."""

import inspect
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import wsgcn_jax as ws

ROOT = Path(__file__).parents[1]
GROUPS = ("crf", "gcn", "graph", "metrics", "plot", "seeds")
PYTHON = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def _snippets(page):
    return [inspect.cleandoc(code) for code in PYTHON.findall((ROOT / page).read_text())]


def _public(group):
    module = getattr(ws, group)
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    return sorted(set(getattr(module, "__all__", own)))


def test_the_readme_is_a_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def _results(page, names):
    """The table between the marks of a page, as rows of cells, and all that stands there."""
    text = (ROOT / page).read_text()
    part = text.partition(f"<!-- results: {names} -->")[2].partition("<!-- end -->")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines], part


def test_the_readme_shows_the_figures_of_the_results_page():
    (heading, _, *rows), _ = _results("README.md", "shapes, voc_animals")
    titles = [row[0] for row in rows]
    for column, name in ((1, "shapes"), (2, "voc_animals")):
        assert f"`{name}`" in heading[column]
        table, part = _results("docs/results.md", name)
        figures = {row[1].partition(" (")[0]: row[2] for row in table[2:]}
        figures["minutes"] = re.findall(r"([\d.]+) minutes", part)[0]
        assert figures.keys() <= {*titles}
        assert [row[column] for row in rows] == [figures.get(title, "") for title in titles]


def test_the_reference_has_every_public_name():
    overview = (ROOT / "docs/api/index.md").read_text()
    for name in ws.__all__:
        assert f"`ws.{name}`" in overview, name
    for group in GROUPS:
        page = (ROOT / f"docs/api/{group}.md").read_text()
        assert f"::: wsgcn_jax.{group}\n" in page
        for name in _public(group):  # a module of the same name hides it
            if (ROOT / f"wsgcn_jax/{group}/{name}.py").exists():
                assert f"::: wsgcn_jax.{group}.{name}.{name}\n" in page


def test_the_tests_that_pages_name_are_there():
    files = [path.with_suffix("").as_posix() for path in (ROOT / "tests").rglob("*_test.py")]
    for page in (ROOT / "docs").rglob("*.md"):
        for name in re.findall(r"(?<![\w.])[\w/]+_test\b(?!::)", page.read_text()):
            named = "/" + name.removeprefix("tests/")
            assert any(file.endswith(named) for file in files), f"{page.name} names {name}"


@pytest.mark.parametrize("group", GROUPS)
def test_every_public_name_is_described(group):
    for name in _public(group):
        value = getattr(getattr(ws, group), name)
        if callable(value) and getattr(value, "__module__", "").startswith("wsgcn_jax"):
            assert inspect.getdoc(value), f"{group}.{name}"


@pytest.mark.parametrize("method", ["predict", "classes", "names", "pseudo_labels", "scores"])
def test_a_run_is_described(method):
    assert inspect.getdoc(getattr(ws.Run, method))


def test_the_parts_can_be_put_together_as_the_reference_says():
    y, x = np.mgrid[:8, :8]  # as many nodes as the walk has columns: nothing is factored
    away = np.hypot(y - 3, x - 3)
    rgb = jnp.asarray(np.repeat((0.3 + 0.4 * (away < 2))[..., None], 3, -1), jnp.float32)
    space = {
        "boundary": jnp.asarray(np.where(abs(away - 2.5) < 0.6, 0.95, 0.02), jnp.float32),
        "cams": jnp.asarray(np.exp(-away / 2)[None], jnp.float32),
        "present": jnp.ones(1, bool),
        "rgb": rgb,
        "features": jnp.concatenate([rgb, rgb**2], -1).reshape(-1, 6).T,
    }
    for code in _snippets("docs/api/index.md"):
        exec(code, space)
    assert space["labels"].shape == (8, 8)
    assert space["labels"][3, 3] == 1 and space["labels"][0, -1] == 0


def test_the_snippets_of_the_pages_name_what_there_is():
    pages = ("README.md", "docs/index.md", "docs/getting-started.md", "docs/external-maps.md")
    for page in pages:
        for code in _snippets(page):
            compile(code, page, "exec")
            for name in re.findall(r"\bws\.(\w+)", code):
                assert name in ws.__all__, f"{page}: ws.{name}"


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem
)
def test_a_notebook_and_its_text_hold_the_same_and_no_outputs(notebook):
    jupytext = pytest.importorskip("jupytext")
    text, pair = jupytext.read(notebook), jupytext.read(notebook.with_suffix(".ipynb"))
    cells = [[(cell.cell_type, cell.source) for cell in side.cells] for side in (text, pair)]
    assert cells[0] == cells[1]
    assert not any(cell.get("outputs") for cell in pair.cells)


def test_one_repository_is_named_and_only_in_notebooks():
    """CONTRIBUTING.md says how to put another in its place."""
    pages = [
        *(file for file in ROOT.glob("*.*") if file.is_file()),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.y*ml"),
    ]
    notebooks = [*(ROOT / "notebooks").iterdir()]
    address = re.compile(r"github(?:\.com)?/([\w-]+/[\w-]+)")
    named = {file: set(address.findall(file.read_text())) for file in (*pages, *notebooks)}
    assert all(named[file] == {"wsgcn-jax/wsgcn-jax"} for file in notebooks)
    assert not any(named[file] for file in pages)
