"""Settings of all tests: implicit rank promotion is an error; helpers are importable."""

import sys
from pathlib import Path

import jax

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["parity"]
jax.config.update("jax_numpy_rank_promotion", "raise")
