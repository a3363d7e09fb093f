"""`python -m wsgcn_jax.settings docs/configuration.md` writes the table of all keys."""

import sys
from pathlib import Path

from wsgcn_jax.settings.markdown import with_table

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text()))
