"""What a GPU or TPU makes of the programs: time and memory a photo, first calls, rounding.

One command that ends within minutes on a bare machine, on drawn photos (--root: VOC's): the label
program (seeds, walk, fit of the GCN), the published dense algorithm on the same device and how many
times slower it is, labels under the device's rounding against full float32, the CRF, and training
steps of the networks beside PyTorch's where that is installed. On a CPU it runs at toy sizes. What
would not fit into --minutes is left out, what fails is told in a line, and the rest goes on.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp

from wsgcn_jax.crf import Kernel
from wsgcn_jax.distributed import describe_devices
from wsgcn_jax.graph.fast_walk import Form, best_form
from wsgcn_jax.pipeline.inference import grid_size
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.settings import load_config

from . import device_parts, models
from .device_parts import Figures
from .training_steps import training_step
from .walk_inputs import make_cases

PARTS = ("label", "dense", "rounding", "crf", "steps")
FORMS = get_args(Form)
PHOTO, TOY = (375, 500), (64, 96)
ROUNDED = 8  # photos whose labels are compared


class Scale(NamedTuple):
    """How large everything is.

    Attributes:
        size: height and width of the photos.
        epochs: of the fit.
        batches: of the label program, the most important first.
        crf_labels: how many labels the CRF has.
        crf_size: height and width of its photos.
        crf_batches: photos of a batch of it.
        side: of the networks' crops.
        crops: a step.
        rounded: photos whose labels are compared.
    """

    size: tuple[int, int]
    epochs: int
    batches: tuple[int, ...]
    crf_labels: tuple[int, ...]
    crf_size: tuple[int, int]
    crf_batches: tuple[int, ...]
    side: int
    crops: int
    rounded: int


DEVICE = Scale(PHOTO, 250, (64, 1, 16, 128), (3, 21), PHOTO, (1, 32), 320, 8, ROUNDED)
CPU = Scale(TOY, 5, (2,), (3,), TOY, (2,), 64, 1, 2)


class Part(NamedTuple):
    """One measurement.

    Attributes:
        name: that is printed.
        measure: measures.
        seconds: that it is expected to take, compilation included, given the figures so far.
    """

    name: str
    measure: Callable[[], Figures]
    seconds: Callable[[dict[str, Any]], float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which (all)")
    parser.add_argument("--forms", nargs="+", choices=FORMS, help="of the walk (the device's own)")
    parser.add_argument("--batches", nargs="+", type=int, help="of the label program")
    parser.add_argument("--epochs", type=int, help="of the fit (250; 5 on a CPU)")
    parser.add_argument("--minutes", type=float, default=6.0, help="at the most (default 6)")
    parser.add_argument("--root", type=Path, help="VOC folder, for the labels that are compared")
    parser.add_argument("--workdir", type=Path, help="of a run with a trained boundary network")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns the figures.

    Returns:
        Figures by part; `left_out`, the parts that did not fit into the time; `ratio_float32` and
        `ratio_default`, how many times the label program is faster than the dense algorithm.
    """
    ends = time.monotonic() + 60 * options.minutes
    scale = CPU if jax.default_backend() == "cpu" else DEVICE
    scale = scale._replace(
        epochs=options.epochs or scale.epochs, batches=tuple(options.batches or scale.batches)
    )
    figures: dict[str, Any] = {
        "devices": describe_devices(),
        "jax": jax.__version__,
        "size": scale.size,
        "epochs": scale.epochs,
        "left_out": [],
    }
    print(f"{figures['devices']}, JAX {figures['jax']}, photos of {scale.size}", flush=True)
    for part in _parts(options, scale):
        if time.monotonic() + part.seconds(figures) > ends:
            figures["left_out"].append(part.name)
            continue
        figures[part.name] = _told(part)
    figures |= _ratios(figures)
    for name in [name for name in figures if name.startswith("ratio_")]:
        print(f"{name}: {figures[name]:.4g}")
    for name in figures["left_out"]:
        print(f"{name}: left out, it would not fit into {options.minutes:g} minutes")
    return figures


def _told(part: Part) -> Figures:
    """Measures one part and prints it; a line of error where it fails."""
    try:
        found = part.measure()
    except Exception as error:  # whatever a compiler, an allocator or a photo raises
        found = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(f"{part.name}: failed: {found['error']}", flush=True)
        return found
    print(f"{part.name}: " + ", ".join(f"{x:.4g} {what}" for what, x in found.items()), flush=True)
    return found


def _ratios(figures: dict[str, Any]) -> Figures:
    """How many times faster than the dense algorithm the label program is, at its best batch."""
    ours = [
        one["ms_per_photo"]
        for name, one in figures.items()
        if name.startswith("label,") and one.get("finite")
    ]
    dense = {name: figures.get(f"dense, {name}", {}) for name in ("float32", "default")}
    return {
        f"ratio_{name}": one["ms_per_photo"] / min(ours)
        for name, one in dense.items()
        if ours and "ms_per_photo" in one
    }


def _parts(options: argparse.Namespace, scale: Scale) -> list[Part]:
    """All measurements, the most important first."""
    # Seconds that a part takes on a GPU with its compilation; a CPU's toys take hardly any.
    takes = (lambda seconds: 0.0) if scale.size == TOY else float

    @cache
    def drawn(photos: int) -> PhotoInputs:
        return device_parts.drawn_inputs(photos, grid_size(scale.size))

    def fixed(name: str, seconds: float, measure: Callable[[], Figures]) -> Part:
        return Part(name, measure, lambda figures: takes(seconds))

    def label(form: str, batch: int) -> Part:
        return fixed(
            f"label, {form}, batch {batch}",
            45,
            lambda: device_parts.label(drawn(batch), form, scale.epochs),
        )

    work: dict[str, list[Part]] = {name: [] for name in PARTS}
    forms = options.forms or [best_form()]
    work["label"] = [label(form, batch) for batch in scale.batches for form in forms]
    for name, precision in (("float32", "highest"), ("default", None)):
        measure = partial(_dense, drawn, scale.epochs, precision)
        work["dense"].append(fixed(f"dense, {name}", 20, measure))
    measure = partial(_rounding, options, drawn, scale)
    work["rounding"].append(fixed("rounding", 60, measure))
    work["crf"] = list(_crfs(scale, takes))
    work["steps"] = [
        fixed(
            f"step, {name}, {kind}",
            45,
            partial(
                training_step, name, bfloat16=kind == "bfloat16", side=scale.side, batch=scale.crops
            ),
        )
        for name in models.cases()
        for kind in ("bfloat16", "float32")
    ]
    # The first label program and both dense ones make the ratios.
    order = [*work["label"][:1], *work["dense"], *work["rounding"], *work["label"][1:]]
    order += work["crf"] + work["steps"]
    chosen = {id(part) for name in options.parts for part in work[name]}
    return [part for part in order if id(part) in chosen]


def _dense(drawn: Callable[[int], PhotoInputs], epochs: int, precision: str | None) -> Figures:
    return device_parts.dense(drawn(1), epochs, precision)


def _rounding(
    options: argparse.Namespace, drawn: Callable[[int], PhotoInputs], scale: Scale
) -> Figures:
    """Of VOC's photos, 250 pixels long, where there is a folder; else of drawn ones."""
    if options.root is None:
        return device_parts.rounding(drawn(scale.rounded), scale.epochs)
    found = make_cases(
        options.root,
        options.workdir,
        load_config("voc_animals"),
        size=PHOTO,
        photos=ROUNDED,
        full=0,
        longer=250,
    )
    inputs = [case.inputs._replace(seeds=None) for case in found]
    stacked: PhotoInputs = jax.tree.map(lambda *x: jnp.stack(x), *inputs)
    return device_parts.rounding(stacked, scale.epochs)


def _crfs(scale: Scale, takes: Callable[[float], float]) -> Iterator[Part]:
    """The CRF by either kernel, of one photo and, as soon as its time is known, of a batch."""
    kernels: tuple[Kernel, ...] = ("sampled", "lattice")
    if jax.default_backend() != "tpu":
        kernels = kernels[::-1]
    for batch in scale.crf_batches:
        for labels in scale.crf_labels:
            for kernel in kernels:
                what = f"CRF, {kernel}, {labels} labels"
                yield Part(
                    f"{what}, batch {batch}",
                    partial(device_parts.crf, kernel, labels, scale.crf_size, batch),
                    partial(_expected, f"{what}, batch 1", batch, takes),
                )


def _expected(
    of_one: str, batch: int, takes: Callable[[float], float], figures: dict[str, Any]
) -> float:
    """Seconds of a CRF: two calls, by the figures of one photo where these are known."""
    known = figures.get(of_one, {}).get("ms_per_photo", 0.0) / 1e3
    return takes(20 + 2 * batch * known)
