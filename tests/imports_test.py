"""The structure of the package: who may import whom (docs/architecture.md), sizes, messages."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wsgcn_jax"
ROW = re.compile(r"^\| `wsgcn_jax/(\w+)(?:/|\.py)` \|.*\| ([^|]*) \|$", re.MULTILINE)
ALLOWED = {
    part: set(re.findall(r"`(\w+)`", names))
    for part, names in ROW.findall((ROOT / "docs/architecture.md").read_text())
}
# Libraries that only some parts know, so that the others stay plain functions of arrays.
ONLY_IN = {
    "flax": {"models"},
    "jraph": {"graph"},
    "ml_collections": {"api", "pipeline", "report", "settings"},
    "orbax": {"trainer"},
    "tensorflow_datasets": {"data"},
}
NOWHERE = {"experiments", "configs", "torch", "tensorflow", "cloudpickle", "dill", "shelve"}
NOWHERE |= {"pickle"}  # pickles.py reads pickles as data
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_CODE = 260, 60


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_table_names_every_part():
    assert set(ALLOWED) == {_part(path) for path in FILES} - {"__init__"}


def test_the_table_has_no_cycle():
    left = dict(ALLOWED)
    while left:
        free = [part for part, needs in left.items() if not needs & set(left)]
        assert free, f"each of {sorted(left)} needs another of them"
        for part in free:
            del left[part]


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_what_the_table_says_and_nothing_else(part):
    found = set()
    for path in (path for path in FILES if _part(path) == part):
        for name in _imports(path):
            top, *rest = name.split(".")
            if top == "wsgcn_jax":
                found.add(rest[0])
            assert part in ONLY_IN.get(top, {part}), f"{path}: {name}"
            assert top not in NOWHERE, f"{path}: {name}"
    assert found - {part} == ALLOWED[part]


def test_configs_import_the_settings_only():
    """So that each can be loaded by its path, from anywhere."""
    for path in (ROOT / "configs").glob("*.py"):
        assert set(_imports(path)) <= {"wsgcn_jax.settings"}, path


def test_importing_starts_no_backend():
    code = (
        "import wsgcn_jax, wsgcn_jax.pipeline.stages\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, 'a backend was started'\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_fit_on_a_few_screens(path):
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = node.body[0] if ast.get_docstring(node) else None
            of_doc = doc.end_lineno - doc.lineno + 1 if doc else 0
            assert node.end_lineno - node.lineno + 1 - of_doc <= MOST_CODE, node.name


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_messages_are_right_for_commands_and_for_python(part):
    """They name keys and arguments (`gcn.epochs`, overwrite), not a command's options."""
    for path in (path for path in FILES if _part(path) == part):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        texts = [node for node in nodes if isinstance(node, ast.Constant)]
        docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in (node for node in texts if isinstance(node.value, str)):
            option = re.search(r"(?<![\w-])--[a-z]{2}", node.value)
            of_pip = node.value in ("--force-reinstall", "--no-deps")
            assert not option or of_pip or id(node) in docs, f"{path}:{node.lineno}"
