"""A page about a run: tables, curves and a gallery in one HTML file that needs nothing else."""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from etils.epath import PathLike
from PIL import Image

from wsgcn_jax.data.files import write_atomic
from wsgcn_jax.types import IGNORE

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Caption, header, rows."""
Curve = Sequence[tuple[float, float]]
"""Points (step, value)."""
GalleryRow = tuple[str, Sequence[tuple[str, np.ndarray]]]
"""Title, then (caption, `[h, w, 3] u8`) a picture."""
Legend = Sequence[tuple[str, tuple[int, int, int]]]
"""(class name, RGB)."""

_UNLABELLED = (211, 211, 211)
_HEAT = np.array([[13, 8, 60], [106, 24, 110], [203, 65, 73], [248, 149, 64], [252, 244, 168]])
_CHART = (360, 200, 52, 26)  # width, height, left margin, bottom margin in pixels

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #667079; --page: #fbfbfa;
  --card: #ffffff; --line: #dfe3e6; --accent: #1f6fb2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #98a1a9; --page: #15181b;
  --card: #1d2125; --line: #343a40; --accent: #6db3ec; } }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 90rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.2rem 0 .4rem; }
p.intro { color: var(--soft); max-width: 60rem; white-space: pre-line; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--card); margin: .4rem 0 1.4rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .3rem .75rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--soft); font-weight: 600; } .number { text-align: right; }
.charts, .pictures, .legend { display: flex; flex-wrap: wrap; gap: .8rem; }
.charts figure { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .6rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .8rem; }
svg text { fill: var(--soft); font-size: 11px; } svg .grid { stroke: var(--line); }
svg .curve { fill: none; stroke: var(--accent); stroke-width: 1.8; }
svg .dot { fill: var(--accent); }
.pictures { flex-wrap: nowrap; overflow-x: auto; gap: .5rem; padding-bottom: .3rem; }
.pictures img { height: 150px; width: auto; display: block; border-radius: 4px; }
.legend { gap: .3rem 1rem; position: sticky; top: 0; background: var(--page); padding: .4rem 0; }
.swatch { display: inline-block; width: .9em; height: .9em; margin-right: .35em;
  border: 1px solid var(--line); border-radius: 3px; vertical-align: -.1em; }
"""


def write_report(
    path: PathLike,
    *,
    title: str,
    intro: str,
    tables: Sequence[Table],
    curves: Mapping[str, Curve],
    gallery: Sequence[GalleryRow],
    legend: Legend = (),
) -> None:
    """Writes the page; a reader never meets a half-written one.

    Every text is escaped, so class and file names may hold anything.

    Args:
        path: the file, `.html`; replaced if it exists.
        title: the heading.
        intro: what the reader is looking at; line breaks are kept.
        tables: shown first, in order.
        curves: name -> points; those without a finite point are left out.
        gallery: one row of pictures a photo, shown at equal height.
        legend: colours of the classes, shown above the gallery.
    """
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="intro">{html.escape(intro)}</p>']
    parts += [_table(*table) for table in tables]
    charts = [_chart(name, points) for name, points in curves.items()]
    if any(charts):
        parts.append(f'<h2>Curves</h2><div class="charts">{"".join(charts)}</div>')
    if gallery:
        parts += ["<h2>Photos</h2>", _legend(legend) if legend else ""]
        parts += [_pictures(name, pictures) for name, pictures in gallery]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    write_atomic(path, page.encode("utf-8"))


def heat(x: np.ndarray) -> np.ndarray:
    """Colours a map of scores, dark = 0, bright = 1.

    Args:
        x: `[h, w] f32` in [0, 1]; clipped, NaN becomes 0.

    Returns:
        `[h, w, 3] u8`.
    """
    level = np.clip(np.nan_to_num(np.asarray(x, np.float64)), 0, 1)
    stops = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(level, stops, _HEAT[:, i]) for i in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def colour_mask(
    mask: np.ndarray, palette: np.ndarray, image: np.ndarray | None = None
) -> np.ndarray:
    """Paints a label map; unlabelled pixels (255) are light grey.

    Args:
        mask: `[h, w] u8`.
        palette: `[c, 3] u8`, RGB of every class.
        image: `[h, w, 3] u8`, the photo to lay the colours over, half transparent, leaving
            background and unlabelled pixels as they are; None for plain colours.

    Returns:
        `[h, w, 3] u8`.
    """
    colours = np.tile(np.array(_UNLABELLED, np.uint8), (256, 1))
    colours[: min(len(palette), IGNORE)] = palette[:IGNORE]
    painted = colours[np.asarray(mask, np.uint8)]
    if image is None:
        return painted
    object_here = ((mask != 0) & (mask != IGNORE))[..., None]
    blend = (painted.astype(np.uint16) + image) // 2
    return np.where(object_here, blend, image).astype(np.uint8)


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        inner = (
            f'<{tag} class="{kind}">{html.escape(str(cell))}</{tag}>'
            for cell, kind in zip(cells, kinds, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    columns = list(zip(*rows, strict=True)) if rows else [() for _ in header]
    kinds = ["number" if column and all(map(_is_number, column)) else "text" for column in columns]
    return (
        f'<div class="scroll"><table><caption>{html.escape(caption)}</caption><thead>'
        f"{line(header, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in rows)}"
        "</tbody></table></div>"
    )


def _is_number(cell: str) -> bool:
    try:
        float(str(cell).removesuffix(" s").removesuffix("%"))
    except ValueError:
        return str(cell) in ("", "-")
    return True


def _chart(name: str, points: Curve) -> str:
    """A line chart as SVG; empty if there is nothing finite to draw."""
    points = [(s, v) for s, v in points if math.isfinite(s) and math.isfinite(v)]
    if not points:
        return ""
    width, height, left, bottom = _CHART
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    span = max(steps) - min(steps) or 1.0

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - min(steps)) / span
        up = (value - low) / (high - low)
        return left + across * (width - left - 10), (height - bottom) - up * (height - bottom - 10)

    grid = []
    for value in np.linspace(low, high, 4).tolist():
        y = place(steps[0], value)[1]
        grid.append(f'<line class="grid" x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for step, anchor in ((min(steps), "start"), (max(steps), "end")):
        x = place(step, low)[0]
        grid.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{step:g}</text>')
    line = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in points)
    last = place(*points[-1])
    return (
        f"<figure><figcaption>{html.escape(name)}: last {values[-1]:.4g}</figcaption>"
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f'{"".join(grid)}<polyline class="curve" points="{line}"/>'
        f'<circle class="dot" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="3"/></svg></figure>'
    )


def _legend(legend: Legend) -> str:
    entries = [*legend, ("unlabelled", _UNLABELLED)]
    swatches = (
        f'<span><span class="swatch" style="background: rgb({r}, {g}, {b})"></span>'
        f"{html.escape(name)}</span>"
        for name, (r, g, b) in entries
    )
    return f'<div class="legend">{"".join(swatches)}</div>'


def _pictures(title: str, pictures: Sequence[tuple[str, np.ndarray]]) -> str:
    figures = (
        f'<figure><img src="{_data_uri(picture)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in pictures
    )
    return f'<h3>{html.escape(title)}</h3><div class="pictures">{"".join(figures)}</div>'


def _data_uri(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture, np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
