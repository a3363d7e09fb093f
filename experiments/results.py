"""Writes a finished run's figures into pages: its own table, or its column of a table of runs.

    python -m experiments.results --workdir=RUN --name=NAME --page=docs/results.md --page=README.md

Between `<!-- results: NAME -->` and `<!-- end -->` of a page comes the table of the run, and below
it one line: command, machine, date, versions, minutes by stage. `<!-- results: NAME, OTHER -->`
stands before a table with a column for each run, whose heading holds the name in backticks; only
the figures of that column are written. The rest of a page stays as it is. Exit status: 0 written,
2 a run is not finished, or a page has no place for it.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from etils.epath import Path

from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.folders import absolute
from wsgcn_jax.pipeline.classifier import as_needed
from wsgcn_jax.pipeline.evaluate import read_scores
from wsgcn_jax.pipeline.stages import STAGES
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.report import read_record
from wsgcn_jax.report.record import Record, all_settings
from wsgcn_jax.report.tables import seeds_text, table
from wsgcn_jax.settings import defaults
from wsgcn_jax.types import DataError, printable

from .command import Parser, fail

_PART = re.compile(
    r"(?P<begin><!-- results: (?P<names>[^<>]*?) -->)"
    r"(?P<body>(?:(?!<!-- results:).)*?)(?P<end><!-- end -->)",
    re.DOTALL,
)
# All but letters, digits, underscores between them, and what Markdown and HTML make nothing of.
_MARKUP = re.compile(r"[^\w \-.,:;=/()%+']|(?<![^\W_])_|_(?![^\W_])")
_LOCAL = re.compile(r"(?<![^\s='\"])/(?:[^\s/'\"]+/)+(?=[^\s/'\"])")
_LONGEST = 2000  # characters of a command
_ON_TRUTH = "segmenter on true masks"


class Result(NamedTuple):
    """A finished run in figures.

    Attributes:
        record: what the run was.
        scores: what `scores.json` holds.
        minutes: that each stage took, by its name.
        photos: fingerprint of photos, masks and labels.
        supervision: `segmenter.supervision`.
    """

    record: Record
    scores: dict[str, Any]
    minutes: dict[str, float]
    photos: str
    supervision: str


def main(argv: Sequence[str]) -> int:
    """Writes the pages; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--workdir", required=True, metavar="RUN", help="work folder of the run")
    parser.add_argument("--name", required=True, help="what the pages call the run")
    parser.add_argument(
        "--page", required=True, action="append", help="Markdown file; may be given several times"
    )
    parser.add_argument(
        "--truth",
        metavar="RUN",
        help="work folder of a run on the same photos with segmenter.supervision=truth: a row more",
    )
    options = parser.parse_args(argv)
    try:
        result = read_result(absolute(options.workdir))
        truth = read_result(absolute(options.truth)) if options.truth else None
        if truth and not _are_comparable(result, truth):
            raise DataError(
                f"--truth={options.truth}: give a run on the same photos, masks and labels, with "
                "the same report.classes, a val split and segmenter.supervision=truth"
            )
        texts = {page: read_text(page, what="page") for page in options.page}
        for page, text in texts.items():
            texts[page] = with_results(text, options.name, result, truth, where=page)
        for page, text in texts.items():
            _write(page, text)
    except DataError as error:
        return fail(str(error))
    return 0


def read_result(workdir: Path) -> Result:
    """Reads a run whose stages are all finished, with the settings of its record.

    Raises:
        DataError: they are not, or the run has no true masks.
    """
    record = read_record(workdir)
    workspace = Workspace(workdir)
    own = run_settings.needed(workdir, record.command)
    config = as_needed(run_settings.apply(own, defaults(), workdir), own.classes[1:])
    settings = all_settings(_as_json(config.to_dict()))
    stamps = {}
    for stage in STAGES:
        stamp = workspace.stamp(stage.name)
        # Where the photos lay is among the settings of the data, and may change.
        made = all_settings(stamp.settings) if stamp and stage.name != "data" else {}
        others = [key for key, value in made.items() if settings.get(key, value) != value]
        if stamp is None or not stamp.complete or others:
            state = f"has another {others[0]}" if others else "is not finished"
            raise DataError(
                f"{workdir}: stage {stage.name!r} {state}; start the run's command again, which "
                f"goes on where it stopped: {record.command}"
            )
        stamps[stage.name] = stamp
    try:
        scores = read_scores(workspace.folder("evaluate"))
    except (OSError, ValueError) as error:
        raise DataError(f"{workdir}: its scores are damaged; start its command again") from error
    if not table(scores)[1]:
        raise DataError(f"{workdir}: the run has no true masks, so there are no scores")
    minutes = {name: stamp.seconds / 60 for name, stamp in stamps.items()}
    photos = stamps["data"].fingerprint
    return Result(record, scores, minutes, photos, config.segmenter.supervision)


def _as_json(value: Any) -> Any:
    """What a stamp holds of settings: lists for tuples."""
    return json.loads(json.dumps(value))


def _write(page: str, text: str) -> None:
    try:
        write_atomic(page, text.encode(), through_link=True)
    except OSError as error:
        raise DataError(f"{page} cannot be written: {error.strerror}") from error
    print(f"written: {page}")


def _are_comparable(result: Result, truth: Result) -> bool:
    (header, _), (other, rows) = _rows_of(result), _rows_of(truth)
    taught = any(row[1] == _ON_TRUTH for row in rows)
    return taught and other == header and truth.photos == result.photos


def with_results(
    text: str, name: str, result: Result, truth: Result | None = None, *, where: str
) -> str:
    """Puts a run into its places of a page.

    Args:
        text: the page, in Markdown.
        name: what the page calls the run.
        result: the run.
        truth: one on the same photos whose segmenter learnt from the true masks.
        where: the page's name, for errors.

    Returns:
        The page.

    Raises:
        DataError: it has no place for the run.
    """
    header, rows = _rows_of(result)
    if truth:
        rows = rows + [row for row in _rows_of(truth)[1] if row[0] == "val"]
    found = list[str]()

    def replaced(part: re.Match[str]) -> str:
        names = [each.strip() for each in part["names"].split(",")]
        if name not in names:
            return part[0]
        found.append(part[0])
        if len(names) > 1:
            column = {row[1].partition(" (")[0]: row[2] for row in rows}
            column["minutes"] = _rounded(sum(result.minutes.values()))
            body = _with_column(part["body"], name, column, where)
        else:
            lines = [_row(header), "|---" * len(header) + "|", *map(_row, rows)]
            seeds = seeds_text(result.scores)
            below = [f"{seeds[:1].upper()}{seeds[1:]}."] if seeds else []
            below += [_about(each) for each in (result, truth) if each]
            body = "\n\n" + "\n\n".join(["\n".join(lines), *below]) + "\n\n"
        return f"{part['begin']}{body}{part['end']}"

    page = _PART.sub(replaced, text)
    if not found:
        raise DataError(
            f"{where} has no place for {name!r}; write the lines <!-- results: {name} --> and "
            "<!-- end --> where its table shall be"
        )
    return page


def _rows_of(result: Result) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a run's scores by class; what taught its segmenter is in the title."""
    header, rows = table(result.scores)
    if result.supervision == "truth":
        rows = [[split, _ON_TRUTH if split == "val" else t, *rest] for split, t, *rest in rows]
    return header, rows


def _with_column(body: str, name: str, column: dict[str, str], where: str) -> str:
    """Writes one column's figures by the rows' titles; a row that the run lacks is left empty."""
    lines = body.splitlines()
    drawn = [i for i, line in enumerate(lines) if line.startswith("|")]
    heading = lines[drawn[0]].split("|") if drawn else []
    at = [k for k, cell in enumerate(heading) if f"`{name}`" in cell]
    if len(at) != 1:
        raise DataError(f"{where}: no column of the table of runs is headed `{name}`")
    for i in drawn[2:]:  # below the heading and its rule
        cells = [cell.strip() for cell in lines[i].split("|")]
        cells += [""] * (len(heading) - len(cells))
        cells[at[0]] = column.get(cells[1], "")
        lines[i] = " | ".join(cells).strip()
    return "\n".join(lines) + "\n"


def _about(result: Result) -> str:
    """One line: command, machine, date, versions, minutes by stage."""
    record = result.record
    command = _LOCAL.sub("PATH/", printable(record.command, most=_LONGEST))
    versions = [f"{k} {record.versions[k]}" for k in ("wsgcn-jax", "jax") if k in record.versions]
    stages = [f"{name.replace('_', ' ')} {_rounded(m)}" for name, m in result.minutes.items()]
    minutes = f"{_rounded(sum(result.minutes.values()))} minutes ({', '.join(stages)})"
    rest = "; ".join([record.devices, record.date, ", ".join(versions), minutes])
    return f"<code>{escaped(command)}</code>; {escaped(rest)}."


def _rounded(minutes: float) -> str:
    return f"{minutes:.0f}" if minutes >= 10 else f"{minutes:.1f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"


def escaped(text: str) -> str:
    """Writes text so that Markdown shows it as it is: no code, no HTML, no end of a cell."""
    return _MARKUP.sub(lambda c: f"&#{ord(c[0])};", printable(text, most=_LONGEST))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
