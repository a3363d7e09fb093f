"""Pseudo labels for a folder of photos, from anybody's maps or a trained run.

    python -m experiments.pseudo_label --images DIR --labels labels.csv --out DIR \\
        [--cams DIR] [--boundary DIR] [--seeds DIR] [--checkpoint RUN] [options]

`labels.csv` lists `file,label label ...`. CAMs are `NAME.npy` (IRNet's) or `NAME.npz` (`cam`
[k, h, w] in 0..1, `keys` [k] class ids), boundary maps `NAME.png` (grey, white = boundary) or
`NAME.npz` (`boundary` [h, w]). --seeds are partial labels, `NAME.png` of the photo's size with 255
where nothing is known; they make CAMs needless. Class ids 1, 2, ... follow --classes (names, commas
between); without it they are the run's where there is a run, else VOC's if all labels are VOC's
names, else the order of appearance in the list.

What is missing, the networks of RUN (a work folder of experiments.train, with its --config) make.
The GCN's node features are RUN's boundary network's too; without RUN they are random waves of
colour and position, which is not what the paper has.

Exit status: 0 all well, 2 the input cannot be used, 3 done, but photos had to be left out.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from absl import logging
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data, interrupt
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.data.labels import BACKGROUND, VOC_CLASSES, read_csv_labels
from wsgcn_jax.folders import absolute, disk_for
from wsgcn_jax.pipeline.external_maps import ExternalMaps
from wsgcn_jax.pipeline.label_folder import label_folder
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.settings import load_config
from wsgcn_jax.types import DataError

from .command import Parser, fail, fail_on_full_disk, log_skipped
from .config_options import add_config_options, override

LAYOUTS = {
    "plain": "",
    "irnet": "sem_seg",
    "wsgcn": "GCN4DeepLab/Label",
    "voc-server": "results/VOC2012/Segmentation/comp6_test_cls",
}
"""Where below --out the label maps go; scores go to `scores`."""

_SECTIONS = ("graph", "seeds", "crf", "gcn", "cams", "backbone")


@interrupt.guard()
def main(argv: Sequence[str]) -> int:
    """Labels the photos; returns the exit status."""
    options, keys = _parser().parse_known_args(argv)
    logging.set_verbosity(logging.WARNING)
    given = (options.cams, options.boundary, options.seeds, options.checkpoint)
    external = ExternalMaps(*(v and Path(v) for v in given))
    out = Path(options.out)
    try:
        config = override(load_config(options.config), keys)
        keep_compiled_programs()
        classes = _classes(options.classes, Path(options.labels), external.run, config)
        source = data.FolderSource(options.images, absolute(options.labels), classes=classes)
        _claim(out, config, external, classes)
        done, skipped = label_folder(
            source,
            external,
            config,
            out / LAYOUTS[options.layout],
            out / "scores" if options.scores else None,
        )
    except DataError as error:
        return fail(str(error))
    except OSError as error:
        return fail_on_full_disk(error, out)
    print(f"{out / LAYOUTS[options.layout]}: {done} photos labelled")
    return log_skipped(skipped)


def _classes(
    given: str | None, labels: Path, run: Path | None, config: ConfigDict
) -> tuple[str, ...]:
    if given:
        return (BACKGROUND, *(name.strip() for name in given.split(",")))
    if run is not None:
        return data.load(disk_for(run / "data"), config.data.pseudo_split).classes
    named = read_csv_labels(labels).classes
    classes = VOC_CLASSES if set(named) <= set(VOC_CLASSES) else named
    log("class ids: " + ", ".join(f"{i} {name}" for i, name in enumerate(classes)))
    return classes


def _claim(out: Path, config: ConfigDict, external: ExternalMaps, classes: Sequence[str]) -> None:
    """Notes what the label maps are made with, so that those of another setting are not kept."""
    note = {
        "maps": [path and str(absolute(path)) for path in external],
        "classes": list(classes),
        "seed": config.seed,
        "config": {name: config[name].to_dict() for name in _SECTIONS},
    }
    text = json.dumps(note, indent=1).encode()
    path = out / "settings.json"
    try:
        if path.exists() and path.read_bytes() != text:
            raise DataError(f"{out} holds labels of another setting; name another --out.")
        write_atomic(path, text)
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}); name another.") from error


def _parser() -> Parser:
    parser = Parser(__doc__)
    for name, what, needed in (
        ("--images", "folder of the photos", True),
        ("--labels", "CSV list `file,label label ...`", True),
        ("--out", "folder to write", True),
        ("--cams", "folder of CAMs", False),
        ("--boundary", "folder of boundary maps", False),
        ("--seeds", "folder of partial labels", False),
        ("--checkpoint", "work folder of a trained run", False),
    ):
        parser.add_argument(name, metavar="PATH", help=what, required=needed)
    parser.add_argument("--edges", dest="boundary", help=argparse.SUPPRESS)  # as in version 0.1
    parser.add_argument("--classes", metavar="NAMES", help="in the order of their ids")
    parser.add_argument("--scores", action="store_true", help="also write the scores, as NPZ")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="plain",
        metavar="NAME",
        help=f"where label maps go below --out: {', '.join(LAYOUTS)}",
    )
    add_config_options(parser, "default")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
