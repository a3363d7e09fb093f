"""The page about a run: `report.html`, and the command that writes it once more.

`python -m experiments.report --workdir=DIR`; `train` writes it at the end of a run.
"""

from experiments.report.command import main
from experiments.report.run import write_report
from experiments.report.tables import table_text

__all__ = ["main", "table_text", "write_report"]
