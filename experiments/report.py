"""Writes the page of a finished run once more, from what its work folder holds.

    python -m experiments.report --workdir=DIR

Nothing is computed: the stages must be done. Exit status: 0 written, 2 the folder cannot be used,
3 written, but the run had left photos out.
"""

import sys
from collections.abc import Sequence

from wsgcn_jax import settings
from wsgcn_jax.folders import absolute
from wsgcn_jax.pipeline.stages import left_out
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import read_record, write_report
from wsgcn_jax.types import DataError

from .command import Parser, fail, fail_on_disk_error, log_skipped


def main(argv: Sequence[str]) -> int:
    """Writes `report.html`; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--workdir", required=True, help="work folder of a run, or gs://...")
    options = parser.parse_args(argv)
    try:
        workdir = absolute(options.workdir)
        record = read_record(workdir)
        own = run_settings.needed(workdir, record.command)
        config = run_settings.apply(own, settings.defaults(), workdir)
        skipped = left_out(Workspace(workdir))
        path = write_report(config, workdir, skipped, record=record)
        if path is None:
            raise DataError(
                f"{workdir}: there are no scores of the settings in its config.json, or of these "
                "photos; start the run's command again, which goes on where it stopped: "
                f"{record.command}"
            )
    except DataError as error:
        return fail(str(error))
    except OSError as error:
        return fail_on_disk_error(error, options.workdir)
    print(f"report: {path}")
    return log_skipped(skipped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
