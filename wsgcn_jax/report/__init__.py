"""The page about a run: `report.html`, one self-contained file, and the table of its scores."""

from wsgcn_jax.report.record import read_record
from wsgcn_jax.report.run import write_report
from wsgcn_jax.report.tables import table_text

__all__ = ["read_record", "table_text", "write_report"]
