"""Timings and agreement, measured side by side in one run.

    python -m experiments.benchmark NAME [--json=FILE] [options; --help lists them]

Exit status: 0 measured, 2 the input cannot be used.
"""

import importlib
import sys
from pathlib import Path

from wsgcn_jax.types import DataError

from .command import Parser, check_json, fail, write_json

BENCHMARKS: dict[str, str] = {
    "models": "step times of the networks against PyTorch's",
    "walk": "the fast walk and fit against the published dense algorithm",
    "crf": "the dense CRF against pydensecrf2",
    "cams": "CAMs of the trained classifier, of ImageNet's head, and of both",
    "ablation": "the pseudo labels without one part or another",
    "selection": "values of one setting, chosen on train and half of val, reported on the rest",
    "rounding": "labels under TF32 and bfloat16, emulated, against float32's",
    "accelerator": "time and memory a photo on the GPU, TPU or CPU that there is",
    "quirks": "defects of the published code, by their effect on real photos",
}
"""Name of a module in `experiments.benchmarks`, and what it measures."""


def main(argv: list[str]) -> int:
    """Runs one benchmark; returns the exit status."""
    parser = Parser(__doc__)
    parser.set_defaults(module=None)
    commands = parser.add_subparsers(metavar="NAME", required=True)
    for name, what in BENCHMARKS.items():
        module = importlib.import_module(f".benchmarks.{name}", __package__)
        command = commands.add_parser(name, help=what, doc=module.__doc__)
        command.add_argument("--json", type=Path, help="also write the figures to this file")
        module.add_options(command)
        command.set_defaults(module=module)
    options = parser.parse_args(argv)
    try:
        check_json(options.json)
        write_json(options.json, options.module.run(options))
    except DataError as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
