"""The one way through the house: who may import whom, and what an import may do."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = {"data", "models", "graph", "gcn", "crf", "metrics", "seeds", "train"}
BASE = {"types", "positions", "pickles", "folders", "compiler"}
ALLOWED = {part: {*BASE, part} for part in CORE} | {part: set() for part in BASE}
ALLOWED["pipeline"] = {"pipeline", *BASE, *CORE}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files():
    return sorted((ROOT / "wsgcn_jax").rglob("*.py"))


def test_imports_point_one_way():
    wrong = []
    for path in _files():
        part = path.relative_to(ROOT / "wsgcn_jax").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for name in _imports(path):
            pieces = name.split(".")
            if pieces[0] == "wsgcn_jax" and len(pieces) > 1 and pieces[1] not in ALLOWED[part]:
                wrong.append(f"{path.name}: {name}")
            if pieces[0] in ("experiments", "configs", "torch", "tensorflow"):
                wrong.append(f"{path.name}: {name}")
            if pieces[0] == "flax" and part != "models" and "networks" not in path.name:
                wrong.append(f"{path.name}: {name}")
            if pieces[0] == "ml_collections" and part != "pipeline":
                wrong.append(f"{path.name}: {name}")
            if pieces[0] in ("pickle", "cloudpickle", "dill", "shelve"):
                wrong.append(f"{path.name}: {name}; pickles.py reads them as data")
    assert not wrong


def test_configs_import_nothing_of_the_package():
    for path in (ROOT / "configs").glob("*.py"):
        assert not [n for n in _imports(path) if n.startswith(("wsgcn_jax", "experiments"))]


def test_importing_computes_nothing_and_needs_no_tensorflow_or_torch():
    code = (
        "import sys, wsgcn_jax, wsgcn_jax.pipeline.stages\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, 'a backend was started'\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=ROOT)
