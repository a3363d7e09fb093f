"""The choice of a setting: by half of val, reported on the other half, every trial on record."""

import json

import pytest

from configs import test as tiny
from experiments import benchmark
from experiments.benchmarks import selection
from wsgcn_jax import data
from wsgcn_jax.pipeline import stages
from wsgcn_jax.pipeline.saved_segmenter import load_segmenter
from wsgcn_jax.pipeline.stages import run_stages


@pytest.fixture
def base(tmp_path):
    """A run that is as far as the segmenter needs when true masks teach it."""
    config = tiny.get_config().unlock()
    config.stages = "data"
    config.segmenter.update(init=None, supervision="truth", epochs=1)
    run_stages(config, str(tmp_path / "run"))
    return tmp_path / "run"


def _select(base, *more):
    """The figures and the lines of the record."""
    figures, record = base.parent / "figures.json", base.parent / "trials.jsonl"
    key = ["--key=segmenter.decoder", "--values=none,skip"]
    options = [f"--workdir={base}", f"--json={figures}", f"--record={record}", *key, *more]
    assert benchmark.main(["selection", *options]) == 0
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    return json.loads(figures.read_text()), lines


def test_the_second_half_of_val_is_looked_at_for_the_winner_only(base, monkeypatch):
    val = data.load(base / "data", "val")
    names = sorted(val.names)
    trained = []

    def segment(context, folder):
        """Right on the first half with the skip, on the second one without."""
        trained.append(context.config.seed)
        (folder / "val").mkdir()
        skip = context.config.segmenter.decoder == "skip"
        for index, name in enumerate(val.names):
            mask = val[index].mask
            right = (name in names[:2]) == skip
            data.write_mask(folder / "val" / f"{name}.png", mask if right else 0 * mask)
        return ()

    changed = (s._replace(run=segment) if s.name == "segmenter" else s for s in stages.STAGES)
    monkeypatch.setattr(stages, "STAGES", tuple(changed))
    figures, lines = _select(base)
    seed = tiny.get_config().seed
    assert trained == [seed, seed + 1] * 2 and figures["winner"] == "skip"
    firsts = [trial["val_first"] for trial in figures["trials"]]
    assert firsts[2:] == [100, 100] and max(firsts[:2]) < 50 and max(figures["val_second"]) < 50
    assert [line["value"] for line in lines] == ["none", "none", "skip", "skip", "skip", "skip"]
    assert ["val_second" in line["scores"] for line in lines] == [False] * 4 + [True] * 2
    assert all({"date", "command", "key", "seed", "trial"} <= set(line) for line in lines)
    assert _select(base) == (figures, lines) and len(trained) == 4  # nothing is done twice


@pytest.mark.slow
def test_trials_train_what_changes_on_the_runs_own_data(base):
    figures, lines = _select(base, "--seeds=1")
    assert len(figures["trials"]) == 2 and len(lines) == 3
    folders = [base / "trials" / line["trial"] for line in lines[:2]]
    assert [load_segmenter(f).description.decoder for f in folders] == ["none", "skip"]
    assert all(sorted(p.name for p in folder.iterdir()) == ["segmenter"] for folder in folders)


@pytest.mark.parametrize(
    ("scores", "winner"),
    [
        ([("a", 60), ("b", 60.9)], "a"),
        ([("a", 60), ("b", 61.1)], "b"),
        ([("a", 60), ("a", 62), ("b", 63), ("b", 60)], "a"),
        ([("a", 60), ("b", 62), ("c", 63)], "c"),
    ],
)
def test_another_value_wins_by_more_than_a_point_on_average(scores, winner):
    assert selection.choose(scores) == winner


def test_halves_are_by_name_and_share_no_photo():
    names = ("d", "a", "e", "c", "b")
    assert selection.first_half(names) == {"a", "b", "c"}
    assert selection.second_half(names) == {"d", "e"}


def test_what_is_run_anew_begins_with_the_first_stage_that_reads_the_key():
    assert selection.stages_from("segmenter.targets") == ["segmenter"]
    assert selection.stages_from("gcn.epochs") == ["pseudo_labels", "segmenter"]
    assert selection.stages_from("crf.sigma_rgb")[0] == "boundary"
    assert selection.stages_from("data.longer_side")[0] == "classifier"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key=report.classes", "--values=a,b"], "no stage from the classifier to the segmenter"),
        (["--key=seed", "--values=1,2"], "no stage from the classifier to the segmenter"),
        (["--key=gcn.epochs", "--values=100"], "--values=100: name at least two, all different"),
        (["--key=gcn.epochs", "--values=5,5"], "name at least two, all different"),
        (["--key=gcn.epochs", "--values=5,6", "--seeds=0"], "--seeds must be at least 1"),
        (["--key=gcn.epochs", "--values=5,6"], "holds no run; give the work folder of one"),
    ],
)
def test_what_cannot_be_tried_is_refused(tmp_path, capsys, options, message):
    assert benchmark.main(["selection", f"--workdir={tmp_path}", *options]) == 2
    assert message in capsys.readouterr().err


def test_values_are_split_outside_brackets():
    assert selection.split_values("(3,6), (6,12)") == ["(3,6)", "(6,12)"]


@pytest.mark.parametrize("text", ["[1]", "notes", "{}", "3"])
def test_a_record_of_something_else_is_refused_first_and_left_alone(base, capsys, text):
    record = base.parent / "notes.txt"
    record.write_text(text)
    key = ["--key=segmenter.decoder", "--values=none,skip"]
    assert benchmark.main(["selection", f"--workdir={base}", f"--record={record}", *key]) == 2
    assert "no record of trials; name another --record" in capsys.readouterr().err
    assert record.read_text() == text and not (base / "trials").exists()
