"""From labelled photos to masks: runs the stages of a configuration.

    python -m experiments.train [--config=configs/shapes.py] [--workdir=DIR] [--config.KEY=VALUE]

Exit status: 0 all well, 2 the input cannot be used, 3 done, but photos had to be left out.
"""

import errno
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from experiments import run_report
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workspace import tell
from wsgcn_jax.train.hosts import is_primary, join_hosts
from wsgcn_jax.types import DataError


def main(argv: Sequence[str]) -> int:
    """Runs the configured stages; returns the exit status."""
    if len(argv) > 1:
        return _fail(f"unknown argument {argv[1]!r}; options begin with --")
    logging.set_verbosity(logging.WARNING)  # Orbax and TFDS tell every detail at INFO
    name = Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = Path(flags.FLAGS.workdir or Path("workdir") / name)
    started = time.monotonic()
    join_hosts()
    # A resumed run need not compile again what the killed one had compiled.
    jax.config.update("jax_compilation_cache_dir", str(workdir.absolute() / "compiled"))
    try:
        skipped = run_stages(flags.FLAGS.config, str(workdir))
        if not is_primary():
            return 0
        report = run_report.write(flags.FLAGS.config, workdir, skipped)
    except (DataError, FloatingPointError) as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _fail(f"{workdir}: the disk is full; make room and start the same command again")
    if report is not None:
        print(run_report.table_text(json.loads((workdir / "scores.json").read_text())))
        print(f"report: {report}")
    tell(f"{time.monotonic() - started:.0f} s")
    for photo, reason in skipped:
        print(f"left out: {photo}: {reason}", file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} photos were left out", file=sys.stderr)
    return 3 if skipped else 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses the command line; a bad option ends with one line instead of a traceback.

    The flags are defined here, since config_flags looks at the command line while it defines.
    """
    try:
        config_flags.DEFINE_config_file("config", "configs/shapes.py", "The configuration.")
        flags.DEFINE_string("workdir", None, "Where results go; default workdir/CONFIG.")
        rest = flags.FLAGS(list(argv))
        _ = flags.FLAGS.config.stages  # a file that failed to load says so on its first use
        return rest
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        text = " ".join(str(error).replace("\\n", " ").replace("\\'", "").split())
        sys.exit(_fail(f"{text} (see configs/default.py for every key)"))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
