"""The keys as a table for the documentation."""

from itertools import groupby

from wsgcn_jax.settings.keys import KEYS
from wsgcn_jax.settings.kinds import Key

BEGIN = "<!-- begin: python -m wsgcn_jax.settings writes this part -->"
END = "<!-- end -->"


def table() -> str:
    """Returns every key with its default, what is allowed and what it means, as Markdown.

    A heading and a table for each section.
    """
    parts = []
    for section, keys in groupby(KEYS, lambda key: key.name.rpartition(".")[0]):
        rows = "\n".join(map(_row, keys))
        head = "| key | default | allowed | meaning |\n|---|---|---|---|"
        parts.append(f"### {section or 'The run'}\n\n{head}\n{rows}")
    return "\n\n".join(parts)


def with_table(page: str) -> str:
    """Puts the table between the two marker comments of a page.

    Raises:
        ValueError: the page has no such markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _row(key: Key) -> str:
    default = str(key.default) if key.default != "" else "''"
    cells = (f"`{key.name}`", f"`{default}`", key.allowed(), key.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
