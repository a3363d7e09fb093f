"""A run's figures in a page: its own table and its column, and nothing else of the page."""

import html
import json
import re

import pytest
from etils.epath import Path

from experiments import results
from experiments.results import Result, with_results
from wsgcn_jax.pipeline.stages import STAGES
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.stamps import Stamp, write_stamp
from wsgcn_jax.report.record import Record
from wsgcn_jax.settings import defaults
from wsgcn_jax.types import DataError

COMMAND = "python -m experiments.train --config=voc_x --config.data.root=/home/me/sets/VOC2012"
NOTHING = '{"train": {}, "val": {}}'
PAGE = """# Results

Words before.

<!-- results: animals -->
old
<!-- end -->

Words between.

<!-- results: shapes, animals -->

| | drawn (`shapes`) | real (`animals`) |
|---|---|---|
| CAM | 40.1 | 1 |
| segmenter on true masks | | 2 |
| a row by hand | 7 | 8 |
| minutes | 5 |

<!-- end -->

Words after.
"""


def _result(*, val=True, supervision="pseudo", command=COMMAND, name="cat", **record):
    def entry(miou, **more):
        return {"miou": miou, "iou": {"background": 2 * miou, name: miou / 2}, **more}

    known = {"devices": "CPU, 2 cores", "date": "2026-11-27 20:10 UTC", **record}
    return Result(
        Record(command, versions={"jax": "0.10.2", "numpy": "2.4.6"}, **known),
        {
            "train": {"cam": entry(30.04, threshold=0.25), "gcn": entry(40.06)},
            "val": {"segmenter": entry(25.0)} if val else {},
        },
        {"data": 0.2, "pseudo_labels": 41.4},
        "photos",
        supervision,
    )


def _table(page, name):
    """The cells between a run's marks."""
    (part,) = re.findall(f"<!-- results: {name} -->(.*?)<!-- end -->", page, re.DOTALL)
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[html.unescape(cell).strip() for cell in line[1:-1].split("|")] for line in lines]


def test_a_run_gets_its_table_and_a_line_about_it():
    page = with_results(PAGE, "animals", _result(), where="page")
    assert _table(page, "animals") == [
        ["photos", "labels", "mIoU", "background", "cat"],
        ["---"] * 5,
        ["train", "CAM (at its best threshold, 0.25)", "30.0", "60.1", "15.0"],
        ["train", "GCN", "40.1", "80.1", "20.0"],
        ["val", "segmenter", "25.0", "50.0", "12.5"],
    ]
    about = page.partition("| val")[2].partition("<!-- end -->")[0].splitlines()[2]
    assert html.unescape(about) == (
        "<code>python -m experiments.train --config=voc_x --config.data.root=PATH/VOC2012</code>; "
        "CPU, 2 cores; 2026-11-27 20:10 UTC; jax 0.10.2; "
        "42 minutes (data 0.2, pseudo labels 41)."
    )


def test_its_column_of_the_table_of_runs_is_filled_and_the_rest_stays():
    page = with_results(PAGE, "animals", _result(val=False), where="page")
    assert _table(page, "shapes, animals") == [
        ["", "drawn (`shapes`)", "real (`animals`)"],
        ["---", "---", "---"],
        ["CAM", "40.1", "30.0"],
        ["segmenter on true masks", "", ""],
        ["a row by hand", "7", ""],
        ["minutes", "5", "42"],
    ]
    words = [line for line in page.splitlines() if line.startswith(("#", "Words"))]
    assert words == ["# Results", "Words before.", "Words between.", "Words after."]
    assert with_results(page, "animals", _result(val=False), where="page") == page
    other = with_results(page, "shapes", _result(), where="page")
    assert _table(other, "animals") == _table(page, "animals")


def test_a_second_run_on_true_masks_is_a_further_row():
    truth = _result(supervision="truth", command="train on masks")
    page = with_results(PAGE, "animals", _result(), truth, where="page")
    rows = _table(page, "animals")[-2:]
    assert [row[:3] for row in rows] == [
        ["val", "segmenter", "25.0"],
        ["val", "segmenter on true masks", "25.0"],
    ]
    assert _table(page, "shapes, animals")[3] == ["segmenter on true masks", "", "25.0"]
    assert page.count("<code>") == 2 and "<code>train on masks</code>" in page


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"supervision": "pseudo"}, False),
        ({"val": False}, False),
        ({"name": "dog"}, False),
    ],
)
def test_only_the_same_photos_and_classes_are_compared(change, fits):
    truth = _result(**{"supervision": "truth", **change})
    assert results._are_comparable(_result(), truth) == fits
    assert not results._are_comparable(_result(), truth._replace(photos="others"))


@pytest.mark.fault(
    "a class or a command with Markdown or HTML in it",
    "it is text in a table of results",
    section="Untrusted files",
)
@pytest.mark.parametrize(
    "text",
    ["<b>", "a|b", "*a*", "`a`", "[a](b)", "<!-- end -->", "a\n\n# b", "_a_", "\\|", "\udc80"],
)
def test_what_users_name_is_text(text):
    plain = with_results(PAGE, "animals", _result(), where="page")
    page = with_results(PAGE, "animals", _result(name=text, command=text, date=text), where="page")
    assert page.count("\n") == plain.count("\n") and page.count("|") == plain.count("|")
    table, _, about = page.partition("<!-- results: animals -->")[2].partition("<code>")
    about = about.partition("\n")[0].replace("</code>", "")
    assert not re.search(r"[<>*_`\[\]\\]", table.replace("<!-- end -->", "") + about)
    page.encode()


@pytest.mark.fault("`results` and a page without a place for the run", "one line")
@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("nothing", "page has no place for 'animals'; write the lines <!-- results: animals -->"),
        ("<!-- results: animals --> never ended", "page has no place for 'animals'"),
        ("<!-- results: animals -->\n<!-- results: b -->\n<!-- end -->", "no place for 'animals'"),
        ("<!-- results: animals, b -->\n<!-- end -->", "page: no column .* headed `animals`"),
        ("<!-- results: animals, b -->\n| | `b` |\n<!-- end -->", "no column .* headed `animals`"),
    ],
)
def test_a_page_without_a_place_is_one_line(page, message):
    with pytest.raises(DataError, match=message) as error:
        with_results(page, "animals", _result(), where="page")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("--photos=/home/me/cats", "--photos=PATH/cats"),
        ("'--photos=/home/me/my cats'", "'--photos=PATH/my cats'"),
        ("--workdir=workdir/cats", "--workdir=workdir/cats"),
        ("--workdir=gs://bucket/a/b", "--workdir=gs://bucket/a/b"),
        ("/home/me/train.py", "PATH/train.py"),
    ],
)
def test_a_page_tells_no_ones_folders(path, shown):
    page = with_results(PAGE, "animals", _result(command=f"train {path}"), where="page")
    assert f"<code>train {shown}</code>" in page


@pytest.fixture
def finished(tmp_path):
    """A work folder with all that is read of it, and a page."""
    result = _result()
    config = defaults()
    config.gcn.epochs, config.cams.scales, config.data.root = 9, (1.0, 2.0), "there"
    run_settings.save(config, ("background", "cat"), Path(tmp_path))
    (tmp_path / "run.json").write_text(json.dumps(result.record._asdict()))
    for stage in STAGES:
        _stamp(tmp_path, stage.name)
    (tmp_path / "evaluate/scores.json").write_text(json.dumps(result.scores))
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path


def _stamp(workdir, stage, complete=True, **settings):
    (workdir / stage).mkdir(exist_ok=True)
    write_stamp(Path(workdir / stage), Stamp("print", settings, complete, seconds=90.0))


def _write(workdir):
    arguments = [f"--workdir={workdir}", "--name=animals", f"--page={workdir / 'page.md'}"]
    return results.main(arguments)


def test_a_finished_run_is_read_from_its_folder(finished):
    _stamp(finished, "pseudo_labels", **{"gcn.epochs": 9, "gcn.later": 3})
    _stamp(finished, "cams", **{"cams.scales": (1.0, 2.0)})
    _stamp(finished, "data", **{"data.root": "elsewhere"})
    assert _write(finished) == 0
    page = (finished / "page.md").read_text()
    assert _table(page, "animals") == _table(
        with_results(PAGE, "animals", _result(), where=""), "animals"
    )
    assert f"{1.5 * len(STAGES):.0f} minutes (data 1.5, classifier 1.5, " in page


@pytest.mark.fault(
    "`results` on a run that is not finished", "one line; the pages stay as they are"
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "run.json").unlink(), "run.json is missing"),
        (lambda run: (run / "config.json").unlink(), "config.json, the run's settings, is missing"),
        (lambda run: (run / "segmenter/stage.json").unlink(), "'segmenter' is not finished"),
        (lambda run: _stamp(run, "cams", complete=False), "'cams' is not finished; start the run"),
        (lambda run: _stamp(run, "cams", **{"gcn.epochs": 8}), "'cams' has another gcn.epochs"),
        (lambda run: (run / "evaluate/scores.json").write_text("{"), "its scores are damaged"),
        (lambda run: (run / "evaluate/scores.json").write_text(NOTHING), "has no true masks"),
        (lambda run: (run / "page.md").write_text("no place"), "page.md has no place for"),
        (lambda run: (run / "page.md").unlink(), "page.md is missing"),
    ],
)
def test_what_cannot_be_written_is_one_line(change, message, finished, capsys):
    change(finished)
    page = finished / "page.md"
    before = page.exists() and page.read_text()
    assert _write(finished) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert (page.exists() and page.read_text()) == before
