"""The settings: every key refuses what is not of its kind, and says what is."""

import ast
import importlib
import math
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from configs import test as tiny
from wsgcn_jax import settings
from wsgcn_jax.crf.mean_field import Kernel
from wsgcn_jax.models.backbone import BACKBONES
from wsgcn_jax.models.decoder import DECODERS
from wsgcn_jax.pipeline import stages
from wsgcn_jax.settings import inputs, kinds, markdown
from wsgcn_jax.types import DataError

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem != "__init__")
LARGE = 10**400  # no float

WRONG = [
    ("accumulate", 0, ("classifier", "boundary", "segmenter")),
    ("batch_size", 0, ("classifier", "boundary", "segmenter", "cams", "graph")),
    ("crop", 0, ("classifier", "boundary", "segmenter")),
    ("crop", 1, ("classifier", "boundary", "segmenter")),
    ("ema", math.nan, ("classifier", "boundary", "segmenter")),
    ("ema", 1.0, ("classifier", "boundary", "segmenter")),
    ("epochs", -1, ("classifier", "boundary", "segmenter", "gcn")),
    ("learning_rate", -1, ("classifier", "boundary", "segmenter", "gcn")),
    ("learning_rate", math.inf, ("classifier", "boundary", "segmenter", "gcn")),
    ("learning_rate_interval", 0, ("classifier", "boundary", "segmenter")),
    ("momentum", 2, ("classifier", "boundary", "segmenter")),
    ("momentum", 1, ("classifier", "boundary", "segmenter")),
    ("frozen_stages", 99, ("classifier", "segmenter")),
    ("longer_side", (640, 320), ("classifier",)),
    ("longer_side", 0, ("graph", "crf")),
    ("bucket", 0, ("cams", "graph")),
    ("scales", (), ("cams", "boundary", "segmenter")),
    ("scales", (0, 0), ("cams", "boundary", "segmenter")),
    ("scales", (1.5, 0.5), ("boundary", "segmenter")),
    ("scales", (math.nan, 1.0), ("cams", "boundary", "segmenter")),
    ("radius", 0, ("graph", "boundary")),
    ("rates", (), ("segmenter",)),
    ("rates", (6, -6), ("segmenter",)),
    ("eval_scales", (), ("segmenter",)),
    ("eval_bucket", 0, ("segmenter",)),
    ("output_stride", 32, ("segmenter",)),
    ("supervision", "half", ("segmenter",)),
    ("foreground", 1.0, ("boundary",)),
    ("kernel", "latice", ("crf",)),
    ("sigma_rgb", 0.0, ("crf",)),
    ("steps", -1, ("graph",)),
    ("steps", 100, ("graph",)),
    ("walk", "wlak", ("graph",)),
    ("rule", "wlak", ("seeds",)),
    ("minimum_score", 2, ("seeds",)),
    ("confident", 0.0, ("seeds",)),
    ("floor", 1.0, ("seeds",)),
    ("dropout", -1, ("gcn",)),
    ("dropout", 1.0, ("gcn",)),
    ("ensemble", 0, ("gcn",)),
    ("foreground_odds", 0.0, ("gcn",)),
    ("foreground_odds", math.nan, ("gcn",)),
    ("classes", ("cat", "cat"), ("report",)),
    ("num_val", 0, ("data",)),
    ("seed", -1, ("",)),
    ("seed", True, ("",)),
    ("stages", "camms", ("",)),
]
"""(key, value, sections): what was tried, and ended in a traceback or in nonsense."""


def _with(**values):
    """The defaults with other values, of any type: only the check can refuse them."""
    raw = settings.defaults().to_dict()
    for name, value in values.items():
        *section, key = name.split(".")
        (raw[section[0]] if section else raw)[key] = value
    return ConfigDict(raw)


def _said(config, **options):
    with pytest.raises(DataError) as caught:
        settings.check(config, **options)
    return str(caught.value)


@pytest.mark.fault(
    "a value that no run can use: `epochs=-1`, `scales=()`, `ema=nan`, `graph.steps=-1`, "
    "`crop=1` and some ninety more",
    "one line, before anything is touched: nothing crashes, hangs or runs as nonsense",
)
@pytest.mark.parametrize(
    ("key", "value"),
    [(f"{section}.{key}".strip("."), value) for key, value, all_of in WRONG for section in all_of],
)
def test_what_ran_as_nonsense_is_refused_in_one_line(key, value):
    said = _said(_with(**{key: value}))
    assert said.startswith(f"{key}={value!r}: must be ") and len(said.splitlines()) == 1


def _outside(kind):
    """Values just outside a kind, and of other kinds."""
    wrong = [object(), {}, b"x", None]
    match kind:
        case kinds.Flag():
            return [*wrong, 0, 1, "True", ()]
        case kinds.Integer(low, high, multiple):
            return [*wrong, True, False, "1", low - multiple, high + 1, low + 0.5, float(low), ()]
        case kinds.Number(low, high):
            ends = [math.nextafter(low, -math.inf), math.nextafter(high, math.inf)]
            ends += [low] * (not kind.with_low) + [high] * (not kind.with_high)
            return [*wrong, *ends, True, "0.5", math.nan, math.inf, -math.inf, LARGE, 1j, (low,)]
        case kinds.Choice(values):
            return [*wrong, values, str(values[0]) + "x", "", True, float("nan")]
        case kinds.Words(words):
            return [*wrong, "", ",", f"{words[0]},", f"{words[0]},{words[0]}", "all,", 0, words]
        case kinds.Text():
            return [*wrong, "", "  ", "a\nb", "a\0b", 0, ("a",)]
        case kinds.Tuple(each):
            good = _inside(each)[0]
            parts = [(*[good] * (kind.least - 1), bad) for bad in _outside(each)]
            lengths = [(good,) * n for n in (kind.least - 1, kind.most + 1) if n >= 0]
            return [*wrong, good, *lengths, *(p for p in parts if len(p) >= kind.least and p)]


def _inside(kind):
    """The ends of a kind, or a value of it."""
    match kind:
        case kinds.Flag():
            return [True, False]
        case kinds.Integer(low, high):
            return [low, high - high % kind.multiple]
        case kinds.Number(low, high):
            low = low if kind.with_low else math.nextafter(low, high)
            high = high if kind.with_high else math.nextafter(high, low)
            return [low, high, (low + high) / 2]
        case kinds.Choice(values):
            return list(values)
        case kinds.Words(words):
            return [*filter(None, [kind.whole]), words[0], " , ".join(words)]
        case kinds.Text():
            return ["x", "gs://b/ä b.csv"]
        case kinds.Tuple(each):
            values = [f"{n}" for n in range(kind.most)] if kind.distinct else None
            one = [tuple(values[: kind.least])] if values else [(_inside(each)[0],) * kind.least]
            return [*one, list(one[0])]


@pytest.mark.fault(
    "any key outside its range, of another type, NaN, infinite",
    "one line with what is allowed",
)
@pytest.mark.parametrize("key", settings.KEYS, ids=lambda key: key.name)
def test_every_key_refuses_what_is_outside_and_takes_what_is_inside(key):
    for value in _outside(key.kind):
        assert key.holds(value) == (value is None and key.optional), repr(value)
    for value in [key.default, *_inside(key.kind)]:
        assert key.holds(value), repr(value)


@pytest.mark.parametrize("key", settings.KEYS, ids=lambda key: key.name)
def test_every_key_says_what_it_is_and_what_it_allows(key):
    said = _said(_with(**{key.name: object()}))
    assert said.startswith(f"{key.name}=<object") and key.allowed() in said
    assert key.meaning.endswith(".") and len(key.allowed()) < 120
    assert ("None" in key.allowed()) == key.optional


@pytest.mark.fault("several wrong values", "all are listed at once")
def test_all_faults_are_listed_at_once():
    said = _said(_with(**{"classifier.epochs": -1, "seeds.rule": "wlak", "gcn.dropout": math.nan}))
    assert said.splitlines() == [
        "3 settings cannot be used:",
        "  classifier.epochs=-1: must be a whole number from 0 to 1000000",
        "  seeds.rule='wlak': must be one of cam, walk; did you mean 'walk'?",
        "  gcn.dropout=nan: must be a number at least 0 and at most 0.99",
    ]


@pytest.mark.fault("a misspelt key or word", "one line, with the nearest that there is")
def test_only_near_words_are_proposed():
    assert "did you mean 'pseudo_labels'?" in _said(_with(stages="data,pseudo_label"))
    assert "did you mean" not in _said(_with(**{"seeds.rule": "xyz"}))
    config = _with()
    config.gcn["epoch"] = 3
    assert _said(config) == "gcn.epoch: there is no such key; did you mean 'gcn.epochs'?"
    config = _with()
    config.crf["masks"] = True
    assert "crf.masks: there is no such key; it is called crf.post_process" in _said(config)
    config = _with()
    del config.gcn["epochs"]
    assert "gcn.epochs: the configuration lacks this key" in _said(config)


TOGETHER = [
    ({"segmenter.accumulate": 4}, "segmenter.batch_size=10: must be a multiple of"),
    ({"boundary.background": 0.4}, "boundary.background=0.4: must be at most"),
    ({"boundary.crop": 64}, "boundary.crop=64: must be at least 76, for boundary.radius=10"),
    ({"data.source": "voc"}, "data.root=None: must be a folder, for data.source=voc"),
    ({"data.root": "photos"}, "data.root='photos': must be None, for data.source=shapes"),
    ({"data.val_split": "valid"}, "data.val_split='valid': must be one of train, val"),
    (
        {"segmenter.init": "classifier", "segmenter.backbone": "resnet50"},
        "segmenter.backbone='resnet50': must be efficientnet_lite0 or None",
    ),
    (
        {"segmenter.init": "converted", "segmenter.decoder": "skip"},
        "segmenter.decoder='skip': must be none, for segmenter.init is a folder",
    ),
    (
        {"segmenter.supervision": "truth", "segmenter.targets": "scores"},
        "segmenter.targets='scores': must be labels, for segmenter.supervision=truth",
    ),
    (
        {"segmenter.supervision": "truth", "segmenter.ignore_disputed": True},
        "segmenter.ignore_disputed=True: must be False",
    ),
    ({"segmenter.undilated_first": True}, "segmenter.undilated_first=True: must be False"),
    (
        {"segmenter.crop": 32, "segmenter.multi_scale": (0.5, 0.4)},
        "segmenter.multi_scale=(0.5, 0.4): must be scales that leave 16 pixels",
    ),
    (
        {"segmenter.presence": True, "classifier.epochs": 0},
        "segmenter.presence=True: must be False, or else the classifier learns",
    ),
    ({"seeds.low_alpha": 64.0}, "seeds.low_alpha=64.0: must be at most seeds.high_alpha=32.0"),
]


@pytest.mark.fault("keys that contradict each other", "one line with the allowed values")
@pytest.mark.parametrize(("values", "expected"), TOGETHER, ids=lambda v: str(v)[:40])
def test_keys_that_contradict_each_other_are_refused(values, expected):
    said = _said(_with(**values))
    assert said.startswith(expected) and len(said.splitlines()) == 1


def test_a_part_of_the_sections_may_be_checked():
    config = _with(**{"data.source": "voc", "gcn.epochs": 0, "seed": -1, "segmenter.crop": 0})
    assert len(_said(config).splitlines()) == 5
    assert _said(config, sections=("gcn", "seeds")).startswith("gcn.epochs=0")
    assert _said(config, sections=("seed",)).startswith("seed=-1")
    settings.check(config, sections=("graph", "crf"))


@pytest.mark.parametrize("machine", [None, *settings.MACHINES])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_configurations_pass(name, machine):
    config = importlib.import_module(f"configs.{name}").get_config(machine)
    assert config.is_locked
    with config.unlocked():
        config.data.root = config.data.root or ("x" if config.data.source != "shapes" else None)
    settings.check(config)


def test_words_are_those_of_the_parts_that_read_them():
    assert sorted(inputs.BACKBONES) == sorted(BACKBONES)
    assert tuple(stage.name for stage in stages.STAGES) == inputs.STAGES
    kinds_of = {key.name: key.kind for key in settings.KEYS}
    assert set(kinds_of["crf.kernel"].values) == set(Kernel.__args__)
    assert kinds_of["segmenter.decoder"].values == DECODERS


def test_the_page_of_all_keys_is_current():
    page = (ROOT / "docs/configuration.md").read_text()
    assert markdown.with_table(page) == page, (
        "run: python -m wsgcn_jax.settings docs/configuration.md"
    )
    assert all(f"| `{key.name}` |" in page for key in settings.KEYS)


def test_every_key_is_declared_once_and_is_read_somewhere():
    names = [key.name for key in settings.KEYS]
    assert len(set(names)) == len(names)
    read = set()
    for path in (ROOT / "wsgcn_jax/pipeline").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                read.add(node.attr)
            elif isinstance(node, ast.Constant):
                read.add(node.value)
    read |= {"photos", *settings.defaults().gcn.keys()}  # of the report; handed on as a whole
    assert {name.rpartition(".")[2] for name in names} <= read


@pytest.mark.fault(
    "a wrong value, whatever lies in the work folder",
    "one line; the folder is not touched",
)
def test_a_run_refuses_its_settings_before_it_touches_anything(tmp_path):
    config = tiny.get_config()
    config.seeds.rule, config.stages = "wlak", "data,camms"
    with pytest.raises(DataError, match=r"(?s)2 settings.*stages=.*'cams'.*seeds.rule='wlak'"):
        stages.run_stages(config, str(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


@pytest.mark.fault("`report.classes` of another data set", "one line before the first stage")
def test_classes_of_another_data_set_are_found_before_the_first_stage(tmp_path):
    config = tiny.get_config()
    config.report.classes = ("background", "crss")
    with pytest.raises(DataError, match=r"report\.classes: no class 'crss'.*there are background"):
        stages.run_stages(config, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}
