"""The command that scores a folder of masks, against the golden metrics."""

import json
import os

import numpy as np
import pytest
from golden_weights import golden

from experiments import evaluate as command
from wsgcn_jax import data
from wsgcn_jax.data.class_list import write_classes

METRIC = golden("metric")


@pytest.fixture
def folders(tmp_path):
    for kind, folder in (("gt", "truth"), ("pred", "pred")):
        for i in range(4):
            data.write_mask(tmp_path / folder / f"{i}.png", METRIC[f"{kind}_{i}"])
    return tmp_path / "pred", tmp_path / "truth"


def _run(pred, truth, *arguments):
    return command.main(
        [str(argument) for argument in ("--pred", pred, "--truth", truth, *arguments)]
    )


def test_both_definitions_match_golden(folders, tmp_path, capsys):
    file = tmp_path / "scores.json"
    assert _run(*folders, f"--json={file}") == 0
    scores = json.loads(file.read_text())
    assert scores["miou"] == pytest.approx(100 * METRIC["deeplab_mean_iou"], abs=1e-4)
    assert scores["miou_all"] == pytest.approx(100 * METRIC["gcn_mean_iu"], abs=1e-4)
    assert scores["pixel_accuracy"] == pytest.approx(100 * METRIC["deeplab_pixel_acc"], abs=1e-4)
    each = METRIC["deeplab_class_iou"]
    assert scores["iou"] == {
        name: pytest.approx(100 * value, abs=1e-4)
        for name, value in zip(data.VOC_CLASSES, each, strict=True)
        if np.isfinite(value)
    }
    assert scores["labelled"] == 100 and scores["photos"] == 4
    out = capsys.readouterr().out
    assert f"{scores['miou']:.2f}" in out and f"{scores['miou_all']:.2f}" in out
    assert "aeroplane" in out


def test_unlabelled_predictions_are_counted(folders, tmp_path):
    mask = METRIC["pred_0"].copy()
    mask[: len(mask) // 2] = 255
    data.write_mask(folders[0] / "0.png", mask)
    assert _run(*folders, f"--json={tmp_path}/s.json") == 0
    known = [METRIC[f"gt_{i}"] != 255 for i in range(4)]
    lost = known[0][: len(mask) // 2].sum() / sum(k.sum() for k in known)
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["labelled"] == pytest.approx(100 * (1 - lost), abs=1e-3)
    # Beside it, the same masks with background there.
    data.write_mask(folders[0] / "0.png", np.where(mask == 255, 0, mask).astype(np.uint8))
    assert _run(*folders, f"--json={tmp_path}/filled.json") == 0
    filled = json.loads((tmp_path / "filled.json").read_text())
    assert {key: filled[key] for key in scores["as_background"]} == scores["as_background"]
    assert "as_background" not in filled and scores["miou"] > filled["miou"]


@pytest.mark.fault(
    "predictions that leave pixels at 255",
    "scored as published, and beside it with them as background",
)
def test_ten_right_pixels_are_no_perfect_score(tmp_path, capsys):
    truth = np.zeros((40, 50), np.uint8)
    truth[:, 20:] = 1
    mask = np.full_like(truth, 255)
    mask[0, 20:30] = 1
    for folder, content in (("pred", mask), ("truth", truth)):
        data.write_mask(tmp_path / folder / "a.png", content)
    assert _run(tmp_path / "pred", tmp_path / "truth", "--classes=cat") == 0
    out = capsys.readouterr().out
    assert "100.00" in out and "with unlabelled pixels as background:" in out
    assert "pixel accuracy               40.50" in out  # 800 of background and 10, of 2000


def test_names_averages_and_lists(folders, tmp_path):
    names = ["background", *(f"c{i}" for i in range(1, 21))]
    (tmp_path / "names.txt").write_text("\n".join(names))
    present = [i for i in np.unique(METRIC["gt_0"]) if i != 255][:2]
    (tmp_path / "list.txt").write_text("0\n")
    options = (f"--classes={tmp_path}/names.txt", f"--list={tmp_path}/list.txt")
    average = ",".join(names[i] for i in present)
    assert _run(*folders, *options, f"--average={average}", f"--json={tmp_path}/s.json") == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    gt, pred = METRIC["gt_0"], METRIC["pred_0"]
    known = gt != 255
    expected = [
        100 * ((gt == k) & (pred == k)).sum() / (((gt == k) | (pred == k)) & known).sum()
        for k in present
    ]
    assert [*scores["iou"]] == [names[i] for i in present] and scores["photos"] == 1
    assert scores["miou"] == pytest.approx(np.mean(expected), abs=1e-3)


@pytest.mark.fault("masks to score that are broken or of another size", "one line, with the file")
@pytest.mark.fault("a prediction with a class beyond the list", "one line")
def test_what_cannot_be_scored_is_one_line(folders, tmp_path, capsys):
    pred, truth = folders

    def message(*arguments):
        assert _run(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    assert "missing" in message(pred, tmp_path / "nothing")
    assert "masks to score" in message(tmp_path / "nothing", truth)
    for file in (truth, truth / "1.png" / "scores.json"):
        assert f"--json={file} cannot be written" in message(pred, truth, f"--json={file}")
    assert "holds class" in message(pred, truth, "--classes=background,cat")
    assert "different names" in message(pred, truth, "--classes=cat,cat")
    assert "different names" in message(pred, truth, "--classes=cat,background,dog")
    write_classes(pred, ("background", "cat"))
    assert "names 2 classes, but here are 3" in message(pred, truth, "--classes=cat,dog")
    (pred / "classes.json").write_text("{}")
    assert "classes.json is damaged" in message(pred, truth)
    (pred / "classes.json").unlink()
    assert "unknown class 'cow '"[:-2] in message(pred, truth, "--average=background,cows")
    data.write_mask(pred / "1.png", METRIC["pred_1"][:-1])
    assert "1.png is" in message(pred, truth)
    (pred / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (pred / "1.png").unlink()
    assert "lacks 1 of 4 masks: 1.png" in message(pred, truth)
    (truth / "1.png").unlink()
    assert "2.png" in message(pred, truth)


@pytest.mark.fault(
    "true masks without a prediction",
    "one line; `--allow-missing` scores the others",
)
def test_truth_without_prediction_is_named_and_may_be_left_out(folders, tmp_path, capsys):
    pred, truth = folders
    (pred / "1.png").unlink()
    (pred / "3.png").unlink()
    assert _run(pred, truth) == 2
    error = capsys.readouterr().err
    assert "lacks 2 of 4 masks: 1.png, 3.png; predict them, name those to score by --list" in error
    assert _run(pred, truth, "--allow-missing", f"--json={tmp_path}/s.json") == 0
    assert "lacks 2 of 4 masks" in capsys.readouterr().err
    (tmp_path / "list.txt").write_text("0.jpg\n\n 2.JPEG\n")
    assert _run(pred, truth, f"--list={tmp_path}/list.txt", f"--json={tmp_path}/l.json") == 0
    assert (tmp_path / "s.json").read_text() == (tmp_path / "l.json").read_text()
    assert json.loads((tmp_path / "s.json").read_text())["photos"] == 2
    for name in ("0", "2"):
        (pred / f"{name}.png").unlink()
    assert _run(pred, truth, "--allow-missing") == 2


@pytest.mark.fault("masks of an own run to score", "classes have that run's names")
@pytest.mark.fault(
    "`--classes` without background",
    "no name moves; a list of another length is refused",
)
def test_class_names_come_from_the_list_beside_the_masks(folders, tmp_path):
    pred, truth = folders
    own = ("background", *(f"thing {i}" for i in range(1, 21)))
    for folder in (truth, pred):
        write_classes(folder, own)
        assert _run(pred, truth, f"--json={tmp_path}/s.json") == 0
        assert set(json.loads((tmp_path / "s.json").read_text())["iou"]) <= set(own)
    # Background comes first, named or not, so that no name moves.
    for given in (own, own[1:]):
        assert _run(pred, truth, f"--classes={','.join(given)}") == 0
    assert _run(pred, truth, f"--classes={','.join(own[1:-1])}") == 2


@pytest.mark.fault(
    "`--json` that names a mask, the class list, a pipe, a device or a folder",
    "one line before the work; it stays as it is",
)
def test_figures_replace_nothing_but_figures(folders, tmp_path, capsys):
    pred, truth = folders
    write_classes(pred, data.VOC_CLASSES)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to pipe").symlink_to("pipe")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "list.txt").write_text("[]")
    (tmp_path / "notes").write_text("my notes")
    (tmp_path / "mask.json").symlink_to(truth / "1.png")
    for file, why in {
        truth / "0.png": "it holds something else than JSON",
        tmp_path / "mask.json": "it holds something else than JSON",
        tmp_path / "notes": "it holds something else than JSON",
        pred / "classes.json": "it is read",
        tmp_path / "list.txt": "it is read",
        tmp_path / "pipe": "it is a pipe or a device",
        tmp_path / "to pipe": "it is a pipe or a device",
        tmp_path / "round": "Too many levels of symbolic links",
        truth: "it is a folder",
    }.items():
        before = os.lstat(file), file.read_bytes() if file.is_file() else b""
        assert _run(pred, truth, f"--list={tmp_path}/list.txt", f"--json={file}") == 2
        err = capsys.readouterr().err
        assert err == f"error: --json={file} cannot be written: {why}; name another file\n"
        after = os.lstat(file), file.read_bytes() if file.is_file() else b""
        assert os.path.samestat(before[0], after[0]) and before[1] == after[1]


@pytest.mark.fault("`--json` that names a link to a file", "the file is written, the link stays")
def test_figures_are_written_through_links(folders, tmp_path):
    (tmp_path / "own").mkdir()
    for name in ("new", "old", "empty"):
        (tmp_path / name).symlink_to(f"own/{name}.json")
    (tmp_path / "own" / "old.json").write_text('{"miou": 0}')
    (tmp_path / "own" / "empty.json").touch()
    for name in ("new", "old", "empty"):
        assert _run(*folders, f"--json={tmp_path / name}") == 0
        assert (tmp_path / name).is_symlink()
        assert json.loads((tmp_path / "own" / f"{name}.json").read_text())["photos"] == 4


@pytest.mark.fault("`--average` of classes that are nowhere", "their mean is `none`")
def test_a_class_that_is_nowhere_has_no_mean(tmp_path, capsys):
    for folder, value in (("truth", 0), ("pred", 255)):
        mask = np.full((4, 4), value, np.uint8)
        mask[0] = 0
        data.write_mask(tmp_path / folder / "a.png", mask)
    options = ("--classes=cat,dog", "--average=dog", f"--json={tmp_path}/s.json")
    assert _run(tmp_path / "pred", tmp_path / "truth", *options) == 0
    assert capsys.readouterr().out.count("none\n") == 4
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["miou"] is scores["as_background"]["miou"] is None


@pytest.mark.fault("a mask that `--list` names several times", "it counts once, which is said")
def test_each_mask_of_a_list_counts_once(folders, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("1\n0\n")
    assert _run(*folders, f"--list={tmp_path}/list.txt", f"--json={tmp_path}/once.json") == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "list.txt").write_text("1\n0\n0\n0.png\n./0\n.//1.JPG\n")
    assert _run(*folders, f"--list={tmp_path}/list.txt", f"--json={tmp_path}/often.json") == 0
    assert capsys.readouterr().err == (
        f"{tmp_path}/list.txt: 4 of 6 lines name a mask that stands above them; "
        "each mask counts once\n"
    )
    assert (tmp_path / "once.json").read_text() == (tmp_path / "often.json").read_text()


@pytest.mark.fault(
    "masks called `.PNG`",
    "scored as `.png`; two files of one name are one line",
)
def test_the_case_of_endings_does_not_matter(folders, tmp_path, capsys):
    pred, truth = folders
    assert _run(pred, truth, f"--json={tmp_path}/lower.json") == 0
    (truth / "1.png").rename(truth / "1.PNG")
    (pred / "2.png").rename(pred / "2.Png")
    assert _run(pred, truth, f"--json={tmp_path}/upper.json") == 0
    assert (tmp_path / "lower.json").read_text() == (tmp_path / "upper.json").read_text()
    (tmp_path / "list.txt").write_text("1\n2\n")
    assert _run(pred, truth, f"--list={tmp_path}/list.txt") == 0
    if not (truth / "1.png").exists():  # as it does on a disk that ignores case
        data.write_mask(truth / "1.png", METRIC["gt_1"])
        capsys.readouterr()
        assert _run(pred, truth) == 2
        assert "1.PNG and 1.png are masks of one name" in capsys.readouterr().err


@pytest.mark.fault(
    "a line end in the name of a folder or a mask",
    r"the error shows it as `\n`, and is one line",
    section="Untrusted files",
)
def test_line_ends_in_names_start_no_line(folders, tmp_path, capsys):
    pred, truth = folders
    data.write_mask(truth / "a\nerror: b.png", METRIC["gt_0"])
    assert _run(pred, truth) == 2
    err = capsys.readouterr().err
    assert r"a\nerror: b.png" in err and err.count("\n") == 1
    assert _run(pred, truth, "--allow-missing") == 0
    assert capsys.readouterr().err.count("\n") == 1
    assert _run(tmp_path / "no\nfolder", truth, "--allow-missing") == 2
    assert capsys.readouterr().err.count("\n") == 1
