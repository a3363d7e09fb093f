"""The page about a run: escaped, self-contained, below its size; layers and choices are right."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from etils.epath import Path
from PIL import Image

from experiments import report as command
from wsgcn_jax.report import cards, layers, page, record, run, sections, tables
from wsgcn_jax.report.cards import Card
from wsgcn_jax.settings import defaults
from wsgcn_jax.types import Skipped

VOID = {"meta", "img", "line", "polyline", "input"}
COLOURS = np.array([[9, 9, 9], [250, 0, 0], [0, 250, 0]], np.uint8)
HOSTILE = "</script><script>alert(1)</script>&<i>\"'"


class Outline(HTMLParser):
    """Checks that tags close in order, and collects them, their attributes and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.inside: dict[str, str] = {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _card(name: str = "photo", **changes: object) -> Card:
    pixel = "data:image/png;base64,AAAA"
    return {
        "name": name,
        "split": "train",
        "size": [4, 3],
        "classes": [1],
        "score": 50.0,
        "iou": {1: 50.0},
        "doubt": None,
        "photo": pixel,
        "layers": {"final": pixel},
        **changes,
    }


def _page(name: str = "cat", **changes: object) -> str:
    gallery = {"layers": cards.LAYERS, "classes": {1: [name, "red"]}, "photos": [_card(name)]}
    content = page.Page(
        title=name,
        subtitle="two words",
        tiles=[("labels", "77.5", name)],
        sections=[
            ("scores", name, page.table(["IoU", name], [[name, "41.5"]], shades={(0, 1): 0.4})),
            ("curves", "Training", page.chart(name, [(0, 2.0), (10, 1.0)])),
        ],
        gallery=gallery,
    )
    return page.render(content._replace(**changes)).decode()


def _decode(uri: str) -> np.ndarray:
    kind, data = uri.split(",")
    assert kind in ("data:image/png;base64", "data:image/webp;base64")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGBA"))


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    outline = Outline(_page())
    assert {"svg", "table", "dialog", "noscript"} <= set(outline.tags)
    assert all(text in outline.text for text in ("41.5", "77.5", "two words"))
    assert not [value for key, value in outline.attributes if key == "src" and value]
    assert all(v.startswith("#") for k, v in outline.attributes if k == "href")
    assert not re.search(r"https?://|@import|url\(", _page())


@pytest.mark.fault(
    "a photo or class called `<script>`",
    "it is text in the report",
    section="Untrusted files",
)
@pytest.mark.parametrize("part", ["</style>", HOSTILE, "<!--", "\u2028\udc80"])
def test_names_are_text_wherever_they_stand(part: str) -> None:
    plain, hostile = Outline(_page("cat")), Outline(_page(part))
    assert hostile.tags == plain.tags
    (found,) = re.findall(r'id="data">(.*?)</script>', _page(part), re.DOTALL)
    assert json.loads(found)["photos"][0]["name"] == part


def test_only_the_pages_own_script_may_run() -> None:
    text = _page()
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (allowed,) = re.findall(r"script-src 'sha256-([^']*)'", text)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1 and digest == allowed
    assert "innerHTML" not in script[0] and "eval(" not in script[0]


def test_a_curve_falls_as_its_values_do_and_is_thinned() -> None:
    text = page.chart("loss", [(0, 2.0), (10, 1.0), (20, float("nan")), (30, 0.5)])
    faint, firm = re.findall(r'points="([^"]*)"', text)
    points = np.array([[float(v) for v in p.split(",")] for p in faint.split()])
    assert len(points) == 3 and faint == firm  # the NaN is left out
    assert (np.diff(points, axis=0) > 0).all()
    assert page.chart("lost", [(0, float("nan"))]) == page.chart("none", []) == ""
    long = page.chart("long", [(i, 1 / (i + 1)) for i in range(9000)])
    assert len(long) < 15_000 and ">step 0<" in long and ">step 8999<" in long


def test_a_class_map_shows_every_region_and_leaves_background_clear() -> None:
    mask = np.zeros((12, 12), np.uint8)
    mask[2:9, 2:9], mask[10:] = 1, 255
    drawn = _decode(layers.class_map(mask, COLOURS))
    assert drawn[0, 0, 3] == 0
    np.testing.assert_array_equal(drawn[5, 5, :3], COLOURS[1])
    assert 0 < drawn[5, 5, 3] < drawn[2, 5, 3] == 255  # the outline is firm
    assert drawn[11, 0, 3] > 0 and drawn[11, 0, :3].min() > 200
    seeds = _decode(layers.class_map(mask, COLOURS, background=True))
    assert seeds[0, 0, 3] > 0 and seeds[11, 0, 3] == 0


def test_a_class_map_takes_more_classes_than_a_palette_has_outlines() -> None:
    mask = np.arange(255, dtype=np.uint8).reshape(15, 17)
    colours = np.arange(255 * 3, dtype=np.uint8).reshape(255, 3)
    np.testing.assert_array_equal(
        _decode(layers.class_map(mask, colours)).reshape(255, 4)[1:, :3], colours[1:]
    )


def test_score_maps_take_the_best_classs_colour_and_grow_firmer() -> None:
    ramp = np.linspace(0, 1, 40, dtype=np.float32)[None]
    maps = np.stack([np.concatenate([ramp, 0 * ramp]), np.concatenate([0 * ramp, ramp])])
    drawn = _decode(layers.class_scores(maps, np.array([1, 2]), COLOURS)).astype(int)
    for row, k in ((0, 1), (1, 2)):
        np.testing.assert_array_equal(drawn[row, -1, :3], COLOURS[k])
        assert drawn[row, 0, 3] == 0 and (np.diff(drawn[row, :, 3]) >= 0).all()
    glow = _decode(layers.glow(np.array([[np.nan, -3.0, 0.5, 9.0]])))[0, :, 3]
    assert glow[0] == glow[1] == 0 < glow[2] < glow[3]


def test_errors_are_told_apart() -> None:
    mask = np.array([[0, 1, 1, 1, 255, 2]], np.uint8)
    truth = np.array([[1, 0, 2, 1, 1, 255]], np.uint8)
    drawn = _decode(layers.error_map(mask, truth))[0]
    kinds = (layers.MISSED, layers.INVENTED, layers.CONFUSED)
    np.testing.assert_array_equal(drawn[:3, :3], kinds)
    assert (drawn[:3, 3] > 0).all() and not drawn[3:, 3].any()


def test_pictures_are_small_and_colours_differ() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    assert _decode(layers.photo(photo)).shape == (288, 384, 4)
    assert layers.shown_size(3000, 1) == (384, 1) and layers.shown_size(30, 40) == (30, 40)
    colours = layers.class_colours(20).astype(int)
    apart = np.abs(colours[:, None] - colours[None]).sum(axis=-1) + 999 * np.eye(20, dtype=int)
    assert apart.min() > 40 and colours.max(axis=1).min() > 150  # bright ones


def test_the_worst_photos_come_first_and_none_twice() -> None:
    names = [f"{i:02}" for i in range(40)]
    found = cards.chosen(names, ["33", "02", "gone"], 9)
    assert found[:2] == ["33", "02"] and len(set(found)) == 9 and found[2] == "00"
    assert found[-1] == "39"
    assert sorted(cards.chosen(names, ["05"], 99)) == names
    assert cards.chosen(names, names, 3) == names[:3] and cards.chosen([], [], 3) == []


def test_no_more_photos_than_fit() -> None:
    noise = np.random.default_rng(0)
    picture = layers.photo(noise.integers(0, 256, (384, 384, 3), np.uint8))
    endless = (_card(str(i), photo=picture) for i in range(1337))
    taken = cards.fitting(endless, 500_000)
    size = len(page.script_json(taken))
    assert 500_000 - len(page.script_json(taken[0])) - 10 < size <= 500_000
    assert next(endless)["name"] == str(len(taken) + 1)  # no more than one in vain


def test_what_is_taken_for_what() -> None:
    confusion = [[6, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 9]]
    ids, share = tables.shares(confusion, 9)
    assert ids == [0, 1, 3]
    np.testing.assert_allclose(share, [[0.75, 0.25, 0], [1, 0, 0], [0, 0, 1]])
    assert tables.shares(confusion, 2)[0] == [0, 3]


def test_without_truth_there_is_no_table() -> None:
    empty = {"train": {}, "val": {}}
    classes = ["background", "<b>"]
    assert sections.scores_by_class(empty, classes) == sections.confusions(empty, classes) == []
    entry = {"miou": 60.0, "iou": {"background": 80.0, "<b>": 40.0}, "threshold": 0.35}
    scores = {"train": {"cam": entry}, "val": {}}
    assert sections.confusions(scores, classes) == []
    ((name, _, text),) = sections.scores_by_class(scores, classes)
    assert name == "scores" and "&lt;b&gt;" in text and "60.0" in text
    assert "CAM at 0.35" in text and "do not count" not in text
    ((_, _, text),) = sections.scores_by_class(scores, [*classes, "dog"])
    assert "do not count" in text


def test_errors_have_a_colour_of_their_own_in_the_confusion() -> None:
    scores = {"train": {"confusion": [[6, 2], [1, 3]]}, "val": {}}
    ((_, _, text),) = sections.confusions(scores, ["background", "cat"])
    cells = re.findall(r'<td class="([^"]*)" style="--v:([^"]*)">([^<]*)', text)
    assert cells == [
        *(("shade", "0.75", "75.0"), ("shade wrong", "0.25", "25.0")),
        *(("shade wrong", "0.25", "25.0"), ("shade", "0.75", "75.0")),
    ]


def test_the_ticks_of_a_curve_are_round() -> None:
    def ticks(low: float, high: float) -> list[str]:
        text = page.chart("loss", [(0, high), (9, low)])
        return re.findall(r'text-anchor="end">([^<]*)<', text)[:-1]  # the last is the step

    assert ticks(0.0215, 0.696) == ["0", "0.2", "0.4", "0.6", "0.8"]
    assert ticks(0.172, 2.59) == ["0", "1", "2", "3"]
    assert ticks(2000, 9000) == ["2000", "4000", "6000", "8000", "10000"]
    assert float(ticks(0.7, 0.7)[0]) <= 0.7 <= float(ticks(0.7, 0.7)[-1])


def test_the_notes_say_how_many_photos_are_shown() -> None:
    shown = [_card("a"), _card("b", split="val", score=None)]
    assert run._some(shown, "train", 1) == "the only photo."
    assert run._some([*shown, _card("c")], "train", 2) == "all 2 photos."
    assert run._some(shown, "train", 9).startswith("1 of 9 photos: those that went worst")
    assert run._some(shown, "val", 9).startswith("1 of 9 photos: the most doubtful")


def test_a_long_list_of_photos_left_out_is_cut() -> None:
    ((_, heading, text),) = sections.left_out([Skipped(f"p{i}", "<broken>") for i in range(5000)])
    assert "5000" in heading and "and 4800 more" in text and "<broken>" not in text


def test_a_record_comes_back_and_what_differs_from_the_defaults_is_shown(tmp_path) -> None:
    config = defaults()
    config.data.update(source="folder", root="/photos", val_split="val")
    config.report.update(photos=7, classes=("background", "cat"))
    written = record.write_record(Path(tmp_path))
    assert record.read_record(Path(tmp_path)) == written
    assert {"jax", "numpy", "Python"} <= set(written.versions)
    changed = {key: (value, usual) for key, value, usual in record.changed_settings(config)}
    assert changed["report.photos"] == ("7", str(defaults().report.photos))
    assert set(changed) == {
        *("data.source", "data.root", "data.val_split", "report.photos", "report.classes")
    }


@pytest.mark.fault("`report` on a folder without a run, or a damaged one", "one line")
@pytest.mark.parametrize("content", [None, "{", "[]", '{"command": 3}', '{"other": 1}'])
def test_the_command_says_in_one_line_what_is_no_run(tmp_path, capsys, content) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    assert command.main([f"--workdir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "run.json" in error


@pytest.mark.parametrize(
    ("called", "typed"),
    [
        (
            ["/usr/bin/python3", "-m", "experiments.train", "--photos=my cats"],
            "python3 -m experiments.train '--photos=my cats'",
        ),
        (["/v/bin/python", "/v/bin/wsgcn", "train"], "wsgcn train"),
        (["python"], "python"),
    ],
)
def test_the_command_is_shown_as_typed(called, typed) -> None:
    assert record._command(called) == typed


@pytest.mark.fault("`report` on a run whose `config.json` is gone or damaged", "one line")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is missing; start the run's command again"),
        ("{", "is damaged"),
        ('{"config": {"gcn": {"epochs": "x"}}, "classes": ["cat"]}', "is of another version"),
        ('{"config": {}, "classes": ["cat", "cat"]}', "is damaged"),
    ],
)
def test_a_run_without_its_settings_is_named(tmp_path, capsys, content, says) -> None:
    record.write_record(Path(tmp_path))
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert command.main([f"--workdir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert "config.json" in error and says in error
