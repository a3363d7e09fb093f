"""The page as one HTML file that needs nothing else: its parts as escaped text, and the whole.

What users name (photos, classes, paths) is escaped here; `page.js` writes text nodes only, and the
page's policy lets no other script run.
"""

import base64
import hashlib
import html
import json
import math
from collections.abc import Container, Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any, NamedTuple

import numpy as np

Curve = Sequence[tuple[float, float]]
"""Points (step, value)."""

_CHART = (380, 210, 48, 24)  # width, height, left margin, bottom margin in pixels
_MOST_POINTS = 400  # of a curve
_SMOOTH = 25  # the firm line averages a 25th part of the points


class Page(NamedTuple):
    """What the page says.

    Attributes:
        title: the heading.
        subtitle: what the reader is looking at.
        tiles: (label, figure, remark), shown first.
        sections: (id, heading, HTML), below the photos.
        gallery: what `page.js` shows, as JSON.
    """

    title: str
    subtitle: str
    tiles: Sequence[tuple[str, str, str]]
    sections: Sequence[tuple[str, str, str]]
    gallery: Mapping[str, Any]


def render(page: Page) -> bytes:
    """Returns the page as a file's content, UTF-8."""
    folder = resources.files(__package__)
    files = ("page.html", "page.css", "enlarged.js", "page.js")
    frame, style, *scripts = ((folder / name).read_text("utf-8").strip() for name in files)
    script = "\n".join(scripts)
    tiles = (
        f'<div class="tile"><span>{escape(label)}</span><strong>{escape(figure)}</strong>'
        f"<small>{escape(remark)}</small></div>"
        for label, figure, remark in page.tiles
    )
    sections = (
        f'<section id="{escape(name)}"><h2>{escape(heading)}</h2>{content}</section>'
        for name, heading, content in page.sections
    )
    links = (f'<a href="#{escape(name)}">{escape(head)}</a>' for name, head, _ in page.sections)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    text = Template(frame).substitute(
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'",
        title=escape(page.title),
        subtitle=escape(page.subtitle),
        tiles="".join(tiles),
        links="".join(links),
        sections="\n".join(sections),
        gallery=script_json(page.gallery),
        style=style,
        script=script,
    )
    return text.encode("utf-8", "replace")  # names of files may hold what is no text


def escape(text: Any) -> str:
    """Escapes a text for an element or a quoted attribute."""
    return html.escape(str(text))


def script_json(content: Any) -> str:
    """Writes JSON that cannot end the script element it stands in."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    shades: Mapping[Any, float] | None = None,
    wrong: Container[Any] = (),
) -> str:
    """Lays out a table that scrolls by itself where it is too wide.

    Args:
        header: of the columns; empty for none.
        rows: of cells; the first of each is the row's heading.
        shades: (row, column) -> strength in [0, 1] of the colour behind the cell.
        wrong: (row, column) of the cells whose colour says that they count errors.
    """
    shades = shades or {}
    columns = list(zip(*rows, strict=True))
    kinds = ["number" if all(map(_is_number, column)) else "text" for column in columns]
    lines = []
    for i, (first, *rest) in enumerate(rows):
        cells = (
            f'<td class="shade{" wrong" if (i, j) in wrong else ""}" '
            f'style="--v:{shades[i, j]:.2f}">{escape(cell)}</td>'
            if (i, j) in shades
            else f'<td class="{kinds[j]}">{escape(cell)}</td>'
            for j, cell in enumerate(rest, start=1)
        )
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>')
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    head = f"<thead><tr>{heads}</tr></thead>" if header else ""
    return f'<div class="scroll"><table>{head}<tbody>{"".join(lines)}</tbody></table></div>'


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in ("", "-")
    return True


def chart(name: str, points: Curve) -> str:
    """Draws a line chart as SVG: values faint, their running mean firm.

    Args:
        name: what the curve is.
        points: those that are not finite are left out.

    Returns:
        HTML; empty if there is nothing finite to draw.
    """
    points = [point for point in points if all(map(math.isfinite, point))]
    if not points:
        return ""
    steps, values = _thinned(points)
    width, height, left, bottom = _CHART
    ticks = _ticks(float(values.min()), float(values.max()))
    low, high = ticks[0], ticks[-1]
    span = float(steps[-1] - steps[0]) or 1.0

    def place(step: float, value: float) -> str:
        across, up = (step - steps[0]) / span, (value - low) / (high - low)
        x = left + across * (width - left - 12)
        return f"{x:.1f},{(height - bottom) - up * (height - bottom - 10):.1f}"

    grid = []
    for value in ticks:
        y = float(place(steps[0], value).split(",")[1])
        grid.append(f'<line x1="{left}" x2="{width - 12}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for step, x, anchor in ((points[0][0], left, "start"), (points[-1][0], width - 12, "end")):
        grid.append(f'<text x="{x}" y="{height - 6}" text-anchor="{anchor}">step {step:g}</text>')
    smooth = _running_mean(values)
    faint, firm = (
        " ".join(place(*point) for point in zip(steps, line, strict=True))
        for line in (values, smooth)
    )
    return (
        f"<figure><figcaption>{escape(name)} <small>from {values[0]:.3g} to {smooth[-1]:.3g}"
        "</small></figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
        f'{"".join(grid)}<polyline class="faint" points="{faint}"/>'
        f'<polyline points="{firm}"/></svg></figure>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Returns round values, evenly spaced: the first is at most `low`, the last at least `high`."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _thinned(points: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values, means of neighbours where there are many."""
    array = np.array(points, np.float64)
    parts = np.array_split(array, min(len(array), _MOST_POINTS))
    thin = np.array([part.mean(axis=0) for part in parts])
    return thin[:, 0], thin[:, 1]


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean of every value and those around it, fewer at the ends."""
    reach = len(values) // _SMOOTH // 2
    window = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return np.array([part.mean() for part in window])
