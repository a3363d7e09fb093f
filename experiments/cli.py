"""Semantic segmentation from image-level labels.

    wsgcn COMMAND [options]

`wsgcn COMMAND --help` lists a command's options, `wsgcn --version` tells the version. From a
checkout `python -m experiments.COMMAND` is the same. Exit status: 0 all well, 2 the input cannot
be used, 3 done, but photos had to be left out.
"""

import importlib
import sys
from collections.abc import Sequence

from wsgcn_jax import __version__
from wsgcn_jax.settings import did_you_mean

from .command import fail
from .huge_pages import restart_with_huge_pages

COMMANDS = {
    "train": "from labelled photos to masks, scores and a report",
    "pseudo-label": "masks of labelled photos, from anybody's maps or a trained run",
    "predict": "masks of any photos, by a trained network",
    "evaluate": "scores of masks against true masks",
    "report": "the page about a finished run, written once more",
    "convert": "published PyTorch weights to folders that networks start from",
    "benchmark": "timings and agreement, measured side by side",
}
"""Name of a module of this package, a dash for its underscore, and what its `main` does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names; returns its exit status."""
    if argv is None:
        restart_with_huge_pages()
    arguments = sys.argv[1:] if argv is None else argv
    name, *rest = arguments or ["--help"]
    if (command := name.replace("_", "-")) in COMMANDS:
        module = importlib.import_module(f".{command.replace('-', '_')}", __package__)
        return int(module.main(rest))
    if name in ("-h", "--help", "--version"):
        listed = "\n".join(f"  {key:<14}{what}" for key, what in COMMANDS.items())
        print(__version__ if name == "--version" else f"{__doc__}\ncommands:\n{listed}")
        return 0
    hint = did_you_mean(name, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
    return fail(f"unknown command {name!r}{hint}")


if __name__ == "__main__":
    sys.exit(main())
