"""What a run keeps of itself."""

import pytest

from configs import default, voc_animals
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.types import DataError

CLASSES = ("background", "cat", "traffic light")


@pytest.mark.fault("a run given to another command", "its own configuration and classes count")
def test_a_configuration_comes_back_whole(tmp_path):
    config = voc_animals.get_config()
    config.data.root = "somewhere"
    config.report.classes = ("cat",)
    run_settings.save(config, CLASSES, tmp_path)
    kept = run_settings.load(tmp_path)
    assert kept.classes == CLASSES
    back = run_settings.apply(kept, default.get_config(), tmp_path)
    assert back.to_dict() == config.to_dict()


def test_older_runs_keep_nothing(tmp_path):
    assert run_settings.load(tmp_path) is None


@pytest.mark.fault("a run's `config.json` that is damaged", "one line")
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"config": 1, "classes": []}', '{"config": {}}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=r"config\.json is damaged"):
        run_settings.load(tmp_path)


@pytest.mark.fault("a run of another version", "one line with the keys that differ")
@pytest.mark.parametrize("config", [{"gcn": {"epoch": 3}}, {"gcn": {"epochs": "many"}}])
def test_keys_of_another_version_are_named(tmp_path, config):
    kept = run_settings.RunSettings(config, CLASSES)
    with pytest.raises(DataError, match=r"config\.json is of another version or damaged"):
        run_settings.apply(kept, default.get_config(), tmp_path)
