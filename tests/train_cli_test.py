"""The command that trains: what its options do, and one clear line for what cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import train
from wsgcn_jax.settings import KEYS, load_config

ROOT = Path(__file__).parents[1]


def _status(*arguments):
    try:
        return train.main(arguments)
    except SystemExit as stopped:
        return stopped.code


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Leaves out what belongs to a process of its own."""
    monkeypatch.setattr(train, "keep_compiled_programs", lambda: None)
    monkeypatch.setattr(train, "join_hosts", lambda log: None)


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Runs the command with stages that only tell what they were given."""
    monkeypatch.chdir(tmp_path)
    given = []

    def run_stages(config, workdir, *, overwrite):
        del overwrite
        given.append((config, Path(workdir)))
        return []

    monkeypatch.setattr(train, "run_stages", run_stages)
    monkeypatch.setattr(train, "write_report", lambda *_: None)

    def run(*arguments):
        assert train.main(arguments) == 0
        return given[-1]

    return run


@pytest.mark.fault(
    "`--labels=DIR/list.csv` beside `--photos=DIR`", "the list is found, in DIR or from here"
)
def test_a_list_may_be_named_from_here_or_from_the_photos(ran, tmp_path):
    (tmp_path / "pets").mkdir()
    for name in ("pets/in.csv", "pets/both.csv", "both.csv", "here.csv"):
        (tmp_path / name).touch()
    for given, found in {
        "in.csv": "in.csv",
        "both.csv": "both.csv",
        "pets/in.csv": f"{tmp_path}/pets/in.csv",
        "here.csv": f"{tmp_path}/here.csv",
        "none.csv": "none.csv",
    }.items():
        config, _ = ran("--config=test", "--photos=pets", f"--labels={given}")
        assert config.data.labels == found


@pytest.mark.fault(
    "options or keys that are misspelt, lack a value or do not go together",
    "one line, with what was probably meant, if anything",
)
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--config.gcn.epoch=3", "unknown key gcn.epoch; did you mean 'gcn.epochs'?"),
        ("--config.zzz=3", "unknown key zzz (--helpfull lists the keys)"),
        ("--config.gcn.epochs=many", "--config.gcn.epochs=many: invalid literal"),
        ("--config.gcn.epochs=1.5", "; it must be a whole number from 1 to 100000"),
        ("--config.gcn.epochs", "Missing value for flag --config.gcn.epochs"),
        ("--config.segmenter.test_scales=(1.0,)", "it is called segmenter.eval_scales"),
        ("--config.gcn.epochs=None", "None"),
        ("--config=shpaes", "no configuration 'shpaes'; did you mean 'shapes'? (there are"),
        ("--config=nothing.py", "no configuration 'nothing.py' (there are"),
        ("--config=shapes:gpus", "no preset 'gpus'; there are cpu, gpu, tpu"),
        ("--wrokdir=x", "unknown option --wrokdir; did you mean '--workdir'? (--help"),
        ("--zzz", "unknown option --zzz (--help"),
        ("--work=x", "unknown option --work; did you mean '--workdir'?"),
        ("x", "unknown argument 'x'; options begin with --"),
        ("--photos=", "--photos has no value"),
        ("", "an argument has no value"),
        ("--labels=x.csv", "--labels and --masks belong to --photos=DIR"),
    ],
)
def test_bad_options_name_themselves(argument, said, capsys):
    assert _status(argument) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    assert said in err and ("did you mean" in said) == ("did you mean" in err)


@pytest.mark.fault("a configuration file that is broken or none", "one line, with its fault")
def test_a_broken_configuration_is_named(tmp_path, capsys):
    for text, said in (
        ("def get_config(:", "SyntaxError"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1", "AttributeError"),
        ("def get_config(): return {}", "gives no ConfigDict"),
        ("def get_config(): raise ValueError('of mine')", "mine.py: of mine"),
    ):
        (tmp_path / "mine.py").write_text(text)
        assert _status(f"--config={tmp_path}/mine.py") == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: configuration {tmp_path}/mine.py: ") and said in err
        assert len(err.splitlines()) == 1
    (tmp_path / "mine.py").write_text("def get_config(): return {}")
    assert _status(f"--config={tmp_path}/mine.py:gpu") == 2
    assert "takes no preset, such as 'gpu'" in capsys.readouterr().err
    (tmp_path / "mine.txt").write_text("")
    assert _status(f"--config={tmp_path}/mine.txt") == 2
    assert "a Python file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["test", "configs/test.py", str(ROOT / "configs/test.py")])
def test_a_configuration_is_found_by_name_and_path_from_any_folder(name, ran):
    config, workdir = ran(f"--config={name}")
    assert config.data.num_train == 6 and config.is_locked
    assert workdir == Path.cwd() / "workdir/test"


def test_a_preset_is_no_part_of_the_work_folder(ran):
    config, workdir = ran("--config=shapes:gpu")
    assert config.segmenter.bfloat16 and workdir.name == "shapes"


def test_keys_may_stand_before_the_configuration_and_be_none(ran):
    config, _ = ran(
        *("--config.gcn.epochs", "3", "--config.cams.scales=(1.0,2.0)", "--config.data.val_split="),
        *("--config.crf.longer_side=None", "--noconfig.crf.ir_labels", "--config", "test"),
    )
    assert (config.gcn.epochs, config.cams.scales) == (3, (1.0, 2.0))
    assert config.data.val_split is None and config.crf.longer_side is None
    assert config.crf.ir_labels is False and config.data.num_train == 6


@pytest.mark.fault("own photos", "one option, `--photos`; the work folder has their name")
def test_own_photos_need_one_option(ran, capsys):
    config, workdir = ran("--config=test", "--photos=pets/all", "--labels=a.json", "--masks=m")
    data = config.data
    assert (data.source, data.root, data.labels, data.masks) == (
        *("folder", "pets/all", "a.json", "m"),
    )
    assert workdir == Path.cwd() / "workdir/all"
    assert f"work folder: {workdir}" in capsys.readouterr().err
    assert ran("--config=test", "--photos=pets", "--workdir=here")[1] == Path.cwd() / "here"
    assert ran("--config=test", "--photos=p", "--config.data.root=q")[0].data.root == "q"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((), "shapes"), (("--photos=p",), "photos"), (("--photos=p", "--config=test"), "test")],
)
def test_own_photos_have_a_configuration_of_their_own(arguments, name, ran, monkeypatch):
    loaded = []
    monkeypatch.setattr(train, "load_config", lambda n: loaded.append(n) or load_config("test"))
    ran(*arguments)
    assert loaded == [name]


@pytest.mark.fault(
    "other photos under the default work folder's name",
    "one line; the old run is kept",
)
def test_other_photos_never_share_the_default_folder(ran, capsys):
    _, workdir = ran("--config=test", "--photos=a/cats")
    assert ran("--config=test", "--photos=b/cats")[1] == workdir  # nothing was trained there
    (workdir / "classifier").mkdir()
    assert ran("--config=test", "--photos=b/cats")[1] == workdir
    assert train.main(["--config=test", "--photos=a/cats"]) == 2
    assert f"{workdir} holds a run of other data, folder {Path.cwd()}/b/cats; name another" in (
        capsys.readouterr().err
    )


def test_the_default_folder_is_none_of_the_photos(tmp_path, monkeypatch, capsys):
    (tmp_path / "cat").mkdir()
    monkeypatch.chdir(tmp_path)
    assert train.main(["--config=test", "--photos=."]) == 2
    assert "of which everything is read" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]


def test_help_fits_on_a_screen_and_ends_well(capsys):
    assert _status("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    shown = [line.split()[0] for line in lines if line.startswith("  -")]
    assert shown[1:] == [
        *("--photos", "--labels", "--masks", "--workdir", "--overwrite", "--config", "--helpfull")
    ]


def test_all_keys_are_listed_wherever_the_configuration_stands(capsys):
    assert _status("--helpfull", "--config=test") == 0
    said = capsys.readouterr().out
    assert "\n  --config.data.num_train=6\n" in said
    assert all(f"\n  --config.{key.name}=" in said and key.meaning in said for key in KEYS)


@pytest.mark.fault("`--photos` that is missing, or a file", "one line")
@pytest.mark.parametrize("made", [False, True], ids=["missing", "a file"])
def test_a_photo_folder_that_is_none(made, tmp_path, capsys):
    if made:
        (tmp_path / "photos").write_text("")
    assert (
        train.main(["--config=test", f"--photos={tmp_path}/photos", f"--workdir={tmp_path}/w"]) == 2
    )
    what = "a file, no folder" if made else "missing"
    assert f"error: the photo folder {tmp_path}/photos is {what}; " in capsys.readouterr().err


@pytest.mark.fault("VOC's folder that is missing", "one line")
def test_missing_data_root(tmp_path, capsys):
    root = f"--config.data.root={tmp_path}/VOC2012"
    assert train.main(["--config=voc_animals", root, f"--workdir={tmp_path}/work"]) == 2
    assert f"error: {tmp_path}/VOC2012 is no VOC folder" in capsys.readouterr().err


@pytest.mark.fault("`gs://` without its library", "one line: how to install it")
def test_a_bucket_without_its_library_is_one_line():
    """In a process of its own: other tests register a bucket in this one."""
    command = [sys.executable, "-m", "experiments.train", "--workdir=gs://bucket/run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: gs://bucket/run" in done.stderr and "-m pip install gcsfs" in done.stderr
