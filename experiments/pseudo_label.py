"""Pseudo labels for a folder of photos, from anybody's maps or a trained run.

    python -m experiments.pseudo_label --images DIR --labels labels.csv --out DIR \\
        [--cams DIR] [--boundary DIR] [--seeds DIR] [--regions DIR] [--checkpoint RUN] [options]

`labels.csv` lists `file,label label ...`. CAMs are files of IRNet, PSA, SEAM, CLIP-ES, MCTformer
or WeTr (`NAME.npy`), arrays [k, h, w] (`.npy`, `.npz`), or masks (`.png`); a line says what they
were taken for. Boundary maps are `NAME.png` (grey, white = boundary) or `.npz`. --seeds are partial
labels, `NAME.png` of the photo's size with 255 where nothing is known, or probabilities with
background (`.npy`, `.npz`); they make CAMs needless. --regions are SAM's (`NAME.json`, or PNGs):
every pixel of a region takes the mean of the region's final scores.

Class ids 1, 2, ... follow --classes (names, commas between; `voc`: the 20 of VOC), else the run's
or the order of appearance in the list.

What is missing, the networks of RUN (a work folder of experiments.train) make, and RUN's own
configuration counts; --config.KEY changes single keys of it. The GCN's node features are RUN's
boundary network's too; without RUN they are random waves of colour and position, which is not what
the paper has. With neither maps nor RUN, ImageNet's head makes the CAMs of names that it knows
(dog, wine_glass), and a boundary network is trained on the photos (OUT/run, configs/photos.py).

Exit status: 0 all well, 2 the input cannot be used, 3 done, but photos had to be left out.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from absl import logging
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data, interrupt
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.data.class_list import parse_classes
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.data.outputs import check_foreign, check_output
from wsgcn_jax.folders import absolute, check_bucket, disk_for
from wsgcn_jax.locks import locked
from wsgcn_jax.pipeline.external.external_maps import ExternalMaps
from wsgcn_jax.pipeline.external.label_folder import label_folder
from wsgcn_jax.pipeline.external.untrained import nothing_given, untrained_config
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.run_settings import RunSettings
from wsgcn_jax.settings import load_config
from wsgcn_jax.types import DataError

from .command import Parser, fail, fail_on_disk_error, log_skipped
from .config_options import add_config_options, override
from .huge_pages import restart_with_huge_pages

LAYOUTS = {
    "plain": "",
    "irnet": "sem_seg",
    "wsgcn": "GCN4DeepLab/Label",
    "voc-server": "results/VOC2012/Segmentation/comp6_test_cls",
}
"""Where below --out the label maps go; scores go to `scores`."""

_SETTINGS = "settings.json"
_DEFAULT = "default"
_UNTRAINED = "photos"
_SECTIONS = ("graph", "seeds", "crf", "gcn", "cams", "backbone")


@interrupt.guard()
def main(argv: Sequence[str]) -> int:
    """Labels the photos; returns the exit status."""
    options, keys = _parser().parse_known_args(argv)
    logging.set_verbosity(logging.WARNING)
    given = (options.cams, options.boundary, options.seeds, options.checkpoint, options.regions)
    external = ExternalMaps(*(v and Path(v) for v in given))
    out = Path(options.out)
    masks = out / LAYOUTS[options.layout]
    try:
        for folder in filter(None, (*external, out)):
            check_bucket(folder)
        _check_folders(out, masks, external, options)
        run = None if external.run is None else run_settings.load(external.run)
        untrained = nothing_given(external)
        name = options.config or (_UNTRAINED if untrained else None)
        config = override(_config(run, external.run, name), keys)
        keep_compiled_programs()
        classes = _classes(options, run, external.run, config)
        source = data.FolderSource(options.images, absolute(options.labels), classes=classes)
        with locked(out):
            _claim(out, config, external, classes)
            if untrained:
                labels = absolute(options.labels)
                config = untrained_config(config, options.images, labels, classes)
                run_stages(config, os.fspath(out / "run"))
                external = external._replace(run=out / "run", cams=out / "run" / "cams")
            scores = out / "scores" if options.scores else None
            done, skipped = label_folder(source, external, config, masks, scores)
    except DataError as error:
        return fail(str(error))
    except OSError as error:
        return fail_on_disk_error(error, out)
    print(f"{masks}: {done} photos labelled")
    return log_skipped(skipped)


def _check_folders(
    out: Path, masks: Path, external: ExternalMaps, options: argparse.Namespace
) -> None:
    """Refuses an output folder in which something else lies."""
    read = {
        "the photos' folder": options.images,
        "the labels' folder": Path(absolute(options.labels)).parent,
        "the CAMs' folder": external.cams,
        "the boundary maps' folder": external.boundary,
        "the partial labels' folder": external.seeds,
        "the regions' folder": external.regions,
        "the run's folder": external.run,
    }
    check_output((out, masks, out / "scores"), read)
    if not (out / _SETTINGS).exists():
        check_foreign(masks, _SETTINGS)


def _config(run: RunSettings | None, root: Path | None, name: str | None) -> ConfigDict:
    """The run's own configuration, else the file that is named, else the default."""
    if run is None or root is None:
        return load_config(name or _DEFAULT)
    if name is not None:
        raise DataError(
            f"--config={name}: the networks of {root} go with that run's own configuration; leave "
            "it out, and change single keys by --config.KEY=VALUE"
        )
    return run_settings.apply(run, load_config(_DEFAULT), root)


def _classes(
    options: argparse.Namespace, run: RunSettings | None, root: Path | None, config: ConfigDict
) -> tuple[str, ...]:
    own = run.classes if run is not None else ()
    if root is not None and run is None:
        own = data.load(disk_for(root / "data"), config.data.pseudo_split).classes
    if options.classes:
        classes = parse_classes(options.classes)
        if own and classes != own:
            raise DataError(
                f"--classes: the networks of {root} know {', '.join(own[1:])}; leave --classes out"
            )
    else:
        listed = data.FolderSource(options.images, absolute(options.labels))
        classes = own or listed.classes()
    log("class ids: " + ", ".join(f"{i} {name}" for i, name in enumerate(classes)))
    return classes


def _claim(out: Path, config: ConfigDict, external: ExternalMaps, classes: Sequence[str]) -> None:
    """Notes what the label maps are made with, so that those of another setting are not kept."""
    note = {
        "maps": [path and str(absolute(path)) for path in external],
        "classes": list(classes),
        "seed": config.seed,
        "config": {name: config[name].to_dict() for name in _SECTIONS},
        "longer_side": config.data.longer_side,
    }
    text = json.dumps(note, indent=1).encode()
    path = out / _SETTINGS
    try:
        other = path.is_file() and path.read_bytes() != text
        if other and _holds_results(out):
            raise DataError(f"{out} holds labels of another setting; name another --out.")
        write_atomic(path, text)
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}); name another.") from error


def _holds_results(out: Path) -> bool:
    """Whether a command before this one came as far as a label map or a run."""
    folders = [out / layout for layout in LAYOUTS.values()]
    return (out / "run").exists() or any(any(folder.glob("*.png")) for folder in folders)


def _parser() -> Parser:
    parser = Parser(__doc__)
    for name, what, needed in (
        ("--images", "folder of the photos", True),
        ("--labels", "CSV list `file,label label ...`", True),
        ("--out", "folder to write", True),
        ("--cams", "folder of CAMs", False),
        ("--boundary", "folder of boundary maps", False),
        ("--seeds", "folder of partial labels", False),
        ("--regions", "folder of regions that vote on the scores", False),
        ("--checkpoint", "work folder of a trained run", False),
    ):
        parser.add_argument(name, metavar="PATH", help=what, required=needed)
    parser.add_argument("--edges", dest="boundary", help=argparse.SUPPRESS)  # as in version 0.1
    parser.add_argument("--classes", metavar="NAMES", help="in the order of their ids; or voc")
    parser.add_argument("--scores", action="store_true", help="also write the scores, as NPZ")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="plain",
        metavar="NAME",
        help=f"where label maps go below --out: {', '.join(LAYOUTS)}",
    )
    add_config_options(parser, _DEFAULT)
    parser.set_defaults(config=None)  # a run brings its own
    return parser


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main(sys.argv[1:]))
