"""From labelled photos to masks: runs the stages of a configuration.

    python -m experiments.train [--config=configs/shapes.py] [--workdir=DIR] [--config.KEY=VALUE]

Exit status: 0 all well, 2 the input cannot be used, 3 done, but photos had to be left out, 130 or
143 interrupted by Ctrl-C or SIGTERM.
"""

import json
import time
from collections.abc import Sequence

from absl import app, flags, logging
from etils.epath import Path
from ml_collections import config_flags

from experiments import run_report
from experiments.command import fail, fail_on_full_disk, log_skipped, parse_config_flags
from wsgcn_jax import interrupt
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.distributed import is_primary
from wsgcn_jax.folders import absolute
from wsgcn_jax.hosts import join_hosts
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.types import DataError


@interrupt.guard()
def main(_: Sequence[str]) -> int:
    """Runs the configured stages; returns the exit status."""
    logging.set_verbosity(logging.WARNING)  # Orbax and TFDS tell every detail at INFO
    name = Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = absolute(flags.FLAGS.workdir or Path("workdir") / name)
    started = time.monotonic()
    keep_compiled_programs()
    try:
        join_hosts(log)
        skipped = run_stages(flags.FLAGS.config, str(workdir), overwrite=flags.FLAGS.overwrite)
        if not is_primary():
            return 0
        report = run_report.write(flags.FLAGS.config, workdir, skipped)
    except (DataError, FloatingPointError) as error:
        return fail(str(error))
    except OSError as error:
        return fail_on_full_disk(error, workdir)
    if report is not None:
        print(run_report.table_text(json.loads((workdir / "scores.json").read_text())))
        print(f"report: {report}")
    log(f"{time.monotonic() - started:.0f} s")
    return log_skipped(skipped)


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses the command line; exits where an option is bad."""

    def define() -> None:
        flags.DEFINE_string(
            "workdir", None, "Where results go, a folder or gs://...; default workdir/CONFIG."
        )
        flags.DEFINE_bool("overwrite", False, "Replace what other settings or photos made there.")

    see = "configs/default.py for every key"
    return parse_config_flags(argv, "configs/shapes.py", define, see)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
