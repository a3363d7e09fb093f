"""The page about a run: `report.html`, and the command that writes it once more.

`python -m experiments.report --workdir=DIR`; `train` writes it at the end of a run.
"""

from .command import main
from .run import write_report
from .tables import table_text

__all__ = ["main", "table_text", "write_report"]
