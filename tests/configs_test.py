"""The configurations: all load, all are locked, none has a key of its own."""

import importlib
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from wsgcn_jax import settings
from wsgcn_jax.settings import inputs

ROOT = Path(__file__).parents[1]
NAMES = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem != "__init__")
TRAINED = ("classifier", "boundary", "segmenter")


def _keys(config, prefix=""):
    for name, value in config.items():
        yield from (
            _keys(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else [prefix + name]
        )


KNOWN = set(_keys(settings.defaults()))


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_has_the_known_keys_and_their_types(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    assert set(_keys(config)) == KNOWN
    assert config.is_locked
    with pytest.raises(AttributeError):
        config.gcn.epoch = 1
    for key in KNOWN:
        section, _, last = key.rpartition(".")
        ours, usual = ((c[section] if section else c)[last] for c in (config, settings.defaults()))
        assert usual is None or type(ours) is type(usual), key


@pytest.mark.parametrize("name", ["shapes", "voc_animals", "voc12"])
def test_a_machine_changes_batches_and_formats_only(name):
    module = importlib.import_module(f"configs.{name}")
    usual = module.get_config()
    for machine in settings.MACHINES:
        config = module.get_config(machine)
        assert config.is_locked and config.graph.batch_size is config.cams.batch_size is None
        assert config.segmenter.bfloat16 == (machine != "cpu")
        changed = {
            key
            for key in KNOWN
            if "." in key
            and config[key.split(".")[0]][key.split(".")[1]]
            != usual[key.split(".")[0]][key.split(".")[1]]
        }
        assert all(key.endswith(("batch_size", "bfloat16")) for key in changed)
    with pytest.raises(ValueError, match="no preset 'gpus'; there are cpu, gpu, tpu"):
        module.get_config("gpus")


def test_all_networks_train_by_the_same_keys():
    common = {key.name.split(".")[1] for key in inputs.training("any")}
    for name in TRAINED:
        assert common <= set(settings.defaults()[name].keys())


def test_old_names_lead_to_known_keys():
    assert set(settings.RENAMED.values()) <= KNOWN and not set(settings.RENAMED) & KNOWN
