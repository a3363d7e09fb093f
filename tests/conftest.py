"""Settings of all tests: implicit rank promotion is an error; programs compile once a worker."""

import os
import sys
import tempfile
from pathlib import Path

import jax

from experiments.emulated_rounding import emulate

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["faults", "parity"]
jax.config.update("jax_numpy_rank_promotion", "raise")

# Minutes of compilation each: begun last, they would keep one worker busy and the others idle.
LONGEST = (
    "pipeline_test.py",
    "fast_walk_test.py",
    "label_devices_test.py",
    "boundary_test.py",
    "fit_test.py",
    "efficientnet_lite_test.py",
    "cam_test.py",
    "deeplab_test.py",
    "segmenter_test.py",
)


def pytest_addoption(parser):
    """Adds the option to run all tests under an accelerator's rounding, emulated on a CPU."""
    parser.addoption("--rounding", choices=["tf32", "bf16"], help="of products, emulated")


def pytest_configure(config):
    """Keeps compiled programs for the next test, or sub-process of a test, that needs the same."""
    base = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not base:
        made = tempfile.TemporaryDirectory(prefix="compiled_", ignore_cleanup_errors=True)
        config.add_cleanup(made.cleanup)
        base = made.name
    # A folder a worker: JAX does not write atomically, so another one might read half a program.
    folder = os.path.join(base, os.environ.get("PYTEST_XDIST_WORKER", ""))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    if config.getoption("--rounding"):
        emulate(config.getoption("--rounding"))


def pytest_collection_modifyitems(items):
    """Puts the longest files first (with xdist's --no-loadscope-reorder)."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
