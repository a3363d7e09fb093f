"""The conventions of the public functions: key first, then arrays; options by keyword only."""

import inspect
import typing

import jax
import numpy as np
import pytest

import wsgcn_jax
from wsgcn_jax import crf, gcn, graph, metrics, plot, resize, seeds
from wsgcn_jax.api import run
from wsgcn_jax.models import network
from wsgcn_jax.pipeline import (
    boundary,
    classifier,
    graph_inputs,
    label_photo,
    label_program,
    networks,
    segmenter,
)

MODULES = (boundary, classifier, graph_inputs, label_photo, label_program, network, networks)
MODULES += (metrics, plot, resize, seeds, segmenter)


def _functions():
    found = {f"ws.{n}": getattr(wsgcn_jax, n) for n in wsgcn_jax.__all__}
    for group in (crf, gcn, graph):
        found |= {f"{group.__name__}.{n}": getattr(group, n) for n in group.__all__}
    for module in MODULES:
        of_it = {n: v for n, v in vars(module).items() if not n.startswith("_")}
        found |= {
            f"{module.__name__}.{n}": v
            for n, v in of_it.items()
            if getattr(v, "__module__", "") == module.__name__
        }
    return {n: v for n, v in found.items() if callable(v) and not inspect.isclass(v)}


FUNCTIONS = _functions()
# Typing's aliases are callable, too.
FUNCTIONS = {n: f for n, f in FUNCTIONS.items() if typing.get_origin(f) is None}
# What a call is made for may follow the arrays without a keyword.
PLAIN = {"classes", "labels", "settings"}


@pytest.fixture(params=sorted(FUNCTIONS), name="signature")
def _signature(request):
    return inspect.signature(FUNCTIONS[request.param])


def test_every_function_says_what_it_takes(signature):
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    assert signature.return_annotation is not inspect.Signature.empty


def test_a_key_comes_first(signature):
    names = list(signature.parameters)
    assert "key" not in names[1:]


def test_options_are_by_keyword_only(signature):
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            optional = parameter.default is not inspect.Parameter.empty
            simple = parameter.annotation in (int, float, bool, str)
            assert not (optional and (simple or parameter.name not in PLAIN)), parameter


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_described(name):
    assert inspect.getdoc(FUNCTIONS[name])


@pytest.mark.parametrize(
    "function", [graph.fast_walk, graph.gcn_adjacency, graph.dense_walk, crf.mean_field]
)
def test_what_is_slow_operator_by_operator_is_compiled_when_called(function):
    compiled = type(jax.jit(lambda x: x))
    assert isinstance(function, compiled) or isinstance(function.__wrapped__, compiled)


def test_every_name_at_the_top_can_be_had():
    assert set(wsgcn_jax.__all__) <= set(dir(wsgcn_jax))
    with pytest.raises(AttributeError, match="masks"):
        _ = wsgcn_jax.masks


@pytest.mark.fault(
    "`ws.train` with other settings in a finished folder",
    "refused, unless `overwrite=True`",
)
def test_a_run_replaces_others_artefacts_only_when_told_to(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        run, "run_stages", lambda config, workdir, *, overwrite: told.append(overwrite) or []
    )
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)
    photo = np.zeros((16, 16, 3), np.uint8)
    for options in ({}, {"overwrite": True}):
        wsgcn_jax.train([photo], [["cat"]], workdir=tmp_path, **options)
    assert told == [False, True]
