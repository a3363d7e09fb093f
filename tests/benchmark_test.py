"""The benchmarks' command line: what cannot be measured ends with one line and status 2."""

import pytest

from experiments import benchmark


@pytest.mark.parametrize("name", ["ablation", "quirks"])
@pytest.mark.parametrize(
    ("workdir", "more", "message"),
    [
        ("missing", [], "missing is no folder; give the work folder of a run"),
        ("empty", ["--photos=0"], "--photos must be at least 1"),
        ("empty", [f"--json={__file__}/x.json"], "x.json cannot be written; name another file"),
        ("empty", [f"--json={__file__}"], "it holds something else than JSON; name another file"),
        ("empty", [], "finish the boundary stage of this run first"),
    ],
)
def test_a_run_that_cannot_be_scored_is_refused(tmp_path, capsys, name, workdir, more, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    options = [f"--root={tmp_path}", f"--workdir={tmp_path / workdir}", *more]
    assert benchmark.main([name, *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "missing").exists()
