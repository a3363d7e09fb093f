"""From labelled photos to masks: runs the stages of a configuration.

    python -m experiments.train                                   # the embedded data
    python -m experiments.train --photos=DIR [--labels=FILE]      # your own photos
    python -m experiments.train --config=voc_animals --config.data.root=PATH/VOC2012

A run that was stopped is resumed by the same command; it ends with a table and report.html.

Exit status: 0 all well, 2 the input cannot be used, 3 done, but photos had to be left out, 130 or
143 interrupted by Ctrl-C or SIGTERM.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Sequence

from absl import logging
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import interrupt
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.distributed import is_primary
from wsgcn_jax.folders import absolute
from wsgcn_jax.hosts import join_hosts
from wsgcn_jax.pipeline.inputs import check_place
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.stages import STAGES, run_stages
from wsgcn_jax.report import table_text, write_report
from wsgcn_jax.settings import load_config
from wsgcn_jax.types import DataError

from .command import Parser, fail, fail_on_disk_error, log_skipped
from .config_options import add_config_options, override
from .huge_pages import restart_with_huge_pages

_DEFAULT = "shapes"
_DATA_NOTE = "data.txt"
"""Says in a work folder that nobody named what data it is of."""


@interrupt.guard()
def main(argv: Sequence[str]) -> int:
    """Runs the configured stages; returns the exit status."""
    options, keys = _parser().parse_known_args(argv)
    logging.set_verbosity(logging.WARNING)  # Orbax and TFDS tell every detail at INFO
    started = time.monotonic()
    try:
        config = make_config(options, keys)
        workdir = make_workdir(options, config)
    except DataError as error:
        return fail(str(error))
    keep_compiled_programs()
    try:
        join_hosts(log)
        log(f"work folder: {workdir}")
        skipped = run_stages(config, str(workdir), overwrite=options.overwrite)
        if not is_primary():
            return 0
        report = write_report(config, workdir, skipped)
    except (DataError, FloatingPointError) as error:
        return fail(str(error))
    except OSError as error:
        return fail_on_disk_error(error, workdir)
    if report is not None:
        print(table_text(json.loads((workdir / "scores.json").read_text())))
        print(f"report: {report}")
    log(f"{time.monotonic() - started:.0f} s")
    return log_skipped(skipped)


def make_config(options: argparse.Namespace, keys: Sequence[str]) -> ConfigDict:
    """Makes the configuration of a run.

    Args:
        options: those of the command line.
        keys: its `--config.KEY=VALUE`, which have the last word.

    Raises:
        DataError: an option cannot be used.
    """
    config = load_config(_config_name(options))
    if options.photos is not None:
        config.data.update(source="folder", root=options.photos)
        given = (options.labels, options.masks)
        labels, masks = (name and _found(Path(options.photos), name) for name in given)
        config.data.update(labels=labels, masks=masks)
    elif options.labels is not None or options.masks is not None:
        raise DataError("--labels and --masks belong to --photos=DIR; name the folder of photos")
    return override(config, keys)


def make_workdir(options: argparse.Namespace, config: ConfigDict) -> Path:
    """Names the work folder; one that nobody named is never taken from a run of other data.

    Raises:
        DataError: the folder that goes by this data's name holds networks of other data, or lies
            among the photos.
    """
    if options.workdir:
        return absolute(options.workdir)
    name = absolute(options.photos).name if options.photos else Path(_config_name(options)).stem
    workdir = absolute(Path("workdir") / name.partition(":")[0])
    check_place(config, workdir, [stage.name for stage in STAGES])
    data = f"{config.data.source} {config.data.root and absolute(config.data.root)}"
    note = workdir / _DATA_NOTE
    with contextlib.suppress(OSError):  # the first stage says what is wrong with the folder
        other = note.read_text() if note.is_file() and (workdir / "classifier").exists() else data
        if other != data:
            raise DataError(
                f"{workdir} holds a run of other data, {other}; name another folder by --workdir"
            )
        write_atomic(note, data.encode())
    return workdir


def _found(photos: Path, name: str) -> str:
    """A list or folder as the source of photos wants it: in the photos' folder, else from here."""
    elsewhere = not (photos / name).exists() and Path(name).exists()
    return str(absolute(name)) if elsewhere else name


def _config_name(options: argparse.Namespace) -> str:
    return options.config or (_DEFAULT if options.photos is None else "photos")


def _parser() -> Parser:
    parser = Parser(__doc__)
    parser.add_argument(
        "--photos", metavar="DIR", help="folder of your own photos; --config is photos then"
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="CSV `file,label label ...` or JSON (default: labels.csv in DIR, else the names of "
        "DIR's sub-folders)",
    )
    parser.add_argument("--masks", metavar="DIR", help="true masks of the photos, if there are any")
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="where results go, a folder or gs://... (default: workdir/NAME, of the photos' folder "
        "or of the configuration)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace what other settings or photos made in the work folder",
    )
    add_config_options(parser, _DEFAULT)
    parser.set_defaults(config=None)  # it depends on --photos
    return parser


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main(sys.argv[1:]))
