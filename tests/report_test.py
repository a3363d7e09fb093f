"""The report: well-formed, self-contained, every picture intact."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.report import colour_mask, heat, write_report

PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
VOID = {"meta", "img", "line", "polyline", "circle"}


class Outline(HTMLParser):
    """Checks that tags close in order, and collects them and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(path: Path, **changes: object) -> str:
    picture = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    content: dict = {
        "title": "a <b> & c",
        "intro": "two\nlines",
        "tables": [("scores", ["labels", "mIoU"], [["CAM", "41.5"], ["<i>", "52.0"]])],
        "curves": {"loss": [(0, 2.0), (10, 1.0), (20, float("nan")), (30, 0.5)]},
        "gallery": [("photo 1", [("photo", picture), ("truth", picture[::-1])])],
        "legend": [("cat", (128, 0, 0))],
    }
    write_report(path, **{**content, **changes})
    return path.read_text(encoding="utf-8")


def test_page_is_well_formed_escaped_and_needs_nothing_else(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html")
    outline = Outline(text)
    assert "<i>" not in text and "a <b> & c" in outline.text
    assert outline.tags.count("img") == 2 and outline.tags.count("svg") == 1
    assert {"41.5", "CAM", "cat", "unlabelled", "photo 1"} <= set(outline.text)
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith("data:image/png;base64,")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_pictures_survive_unchanged(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html")
    expected = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    found = re.findall(r"base64,([^\"]*)", text)
    for data, picture in zip(found, (expected, expected[::-1]), strict=True):
        decoded = Image.open(io.BytesIO(base64.b64decode(data)))
        np.testing.assert_array_equal(np.asarray(decoded), picture)


def test_curve_starts_high_and_ends_low(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html")
    (line,) = re.findall(r'points="([^"]*)"', text)
    points = np.array([[float(v) for v in p.split(",")] for p in line.split()])
    assert len(points) == 3  # the NaN is left out
    assert (np.diff(points[:, 0]) > 0).all() and (np.diff(points[:, 1]) > 0).all()
    np.testing.assert_allclose(points[:, 0].min(), 52.0)


def test_empty_parts_leave_no_trace(tmp_path: Path) -> None:
    curves = {"one": [(5, 1.0)], "none": [], "lost": [(0, float("nan"))]}
    outline = Outline(page(tmp_path / "a.html", curves=curves, gallery=[], tables=[]))
    assert outline.tags.count("svg") == 1
    assert "img" not in outline.tags and "table" not in outline.tags
    bare = Outline(page(tmp_path / "b.html", curves={}, gallery=[], tables=[], legend=[]))
    assert "h2" not in bare.tags


def test_failed_write_keeps_the_old_page(tmp_path: Path) -> None:
    old = page(tmp_path / "report.html")
    with pytest.raises((TypeError, ValueError)):
        page(tmp_path / "report.html", gallery=[("bad", [("x", np.zeros((4, 4, 7)))])])
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_masks_are_painted_with_the_palette() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    painted = colour_mask(mask, PALETTE)
    np.testing.assert_array_equal(painted.reshape(4, 3)[:3], PALETTE)
    assert painted[1, 1].min() > 200 and painted[1, 1].std() == 0
    image = np.full((2, 2, 3), 101, np.uint8)
    over = colour_mask(mask, PALETTE, image)
    np.testing.assert_array_equal(over[0], [[101, 101, 101], [114, 50, 50]])
    np.testing.assert_array_equal(over[1, 1], [101, 101, 101])


def test_masks_take_a_full_voc_palette() -> None:
    palette = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    painted = colour_mask(np.array([[254, 255]], np.uint8), palette)
    assert painted[0, 0, 0] == 254 and painted[0, 1, 0] == 211


def test_heat_brightens_and_takes_anything() -> None:
    ramp = heat(np.linspace(0, 1, 50)[None])
    assert (np.diff(ramp.astype(int).sum(axis=-1)) >= 0).all() and ramp.dtype == np.uint8
    odd = heat(np.array([[np.nan, -3.0, 9.0]]))
    np.testing.assert_array_equal(odd[0, :2], ramp[0, [0, 0]])
    np.testing.assert_array_equal(odd[0, 2], ramp[0, -1])
