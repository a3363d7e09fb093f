"""Published PyTorch weights to a folder that the networks here start from, without PyTorch.

    python -m experiments.convert IN OUT [--as KIND]

IN is a .pth/.pt file of either format or a .safetensors; OUT becomes an Orbax folder for
`--config.{backbone,segmenter}.weights` (a backbone alone) or
`--config.{classifier,boundary,segmenter}.init`.

Exit status: 0 converted, 2 the file cannot be used.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from wsgcn_jax.models.published import Tensor, convert, recognise
from wsgcn_jax.models.published_kinds import KINDS
from wsgcn_jax.models.weight_files import read_weights
from wsgcn_jax.trainer.checkpoint import save_tree
from wsgcn_jax.types import DataError

from .command import Parser, fail

_ORBAX_FILE = "_CHECKPOINT_METADATA"


def main(argv: Sequence[str]) -> int:
    """Converts one file; returns the exit status."""
    kinds = "; ".join(f"{key}: {kind.what}" for key, kind in KINDS.items())
    parser = Parser(__doc__)
    parser.add_argument("source", metavar="IN", help="the weight file")
    parser.add_argument("target", metavar="OUT", type=Path, help="the folder to write")
    parser.add_argument("--as", dest="kind", choices=KINDS, metavar="KIND", help=kinds)
    options = parser.parse_args(argv)
    try:
        return _convert(options.source, options.target, options.kind)
    except DataError as error:
        return fail(str(error))


def _convert(source: str, target: Path, kind: str | None) -> int:
    if target.exists() and not (target / _ORBAX_FILE).exists():
        raise DataError(f"{target} exists and is no converted folder; name another")
    weights = read_weights(source)
    try:
        kind = kind or recognise(weights)
        result = convert(weights, kind)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    _tell("unexpected, left out", result.unexpected)
    _tell("missing", result.missing)
    _tell("of another shape than the network's", result.misshapen)
    if result.missing or result.misshapen:
        raise DataError(
            f"{source} does not fit {KINDS[kind].what}: {len(result.missing)} tensors are missing, "
            f"{len(result.misshapen)} have another shape (listed above); give the whole file, or "
            "its kind by --as"
        )
    try:
        save_tree(target, result.variables)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror}); name another") from error
    print(f"{target}: {KINDS[kind].what} ({kind})")
    return 0


def _tell(what: str, tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        print(f"{what}: {tensor.name} {list(tensor.shape)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
