"""Step times of the road's networks, ours against PyTorch's, on the same cores in one run.

Without PyTorch only ours are timed. Both compute the same function of the same weights
(`difference` says how nearly) in turn, two steps at a time, and the fastest step counts. A training
step is the gradient of the outputs' mean square and SGD. `roofline` is the share of what a large
float32 matrix product reaches on a core; both by processor time. `cpu_ratio` compares processor
time too: on one core (`taskset -c 0`) it holds on a busy machine.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.extras import how_to_install
from wsgcn_jax.models.backbone import make_backbone
from wsgcn_jax.models.boundary import BoundaryNet
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.models.resnet import RESNET50, RESNET101
from wsgcn_jax.trainer.loop import TrainState, make_update

from . import torch_networks

GOAL = 1.2

Step = Callable[[], Any]


class Case(NamedTuple):
    """One network in both libraries, on `[b, side, side, 3]`.

    Attributes:
        module: ours.
        torch: (weights, x NCHW) -> PyTorch's outputs, tuple of NCHW (or `[b, c]`).
        outputs: ours -> the same outputs, NHWC.
        trained: path of a parameter -> whether it learns.
    """

    module: Any
    torch: Callable[[Any, Any], tuple[Any, ...]]
    outputs: Callable[[Any], tuple[Any, ...]] = lambda y: (y,)
    trained: Callable[[str], bool] = lambda name: True


def cases() -> dict[str, Case]:
    """The four networks."""
    nets = torch_networks
    rates, half = (6, 12, 18, 24), (3, 6, 9, 12)
    return {
        "classifier": Case(
            Classifier(make_backbone("resnet50", frozen_stages=3), num_classes=20),
            lambda w, x: (nets.classifier(w, x, RESNET50),),
        ),
        "boundary": Case(
            BoundaryNet(make_backbone("resnet50"), displacement=True),
            lambda w, x: nets.boundary(w, x, RESNET50),
            lambda y: (y.logits[..., None], y.displacement),
            lambda name: not name.startswith("backbone/"),
        ),
        "segmenter_resnet101": Case(
            DeepLabV2(make_backbone("resnet101", output_stride=8), num_classes=21, rates=rates),
            lambda w, x: (nets.deeplab(w, nets.resnet(w, x, RESNET101, stride8=True)[-1], rates),),
        ),
        "segmenter_lite0": Case(
            DeepLabV2(make_backbone("efficientnet_lite0"), num_classes=21, rates=half),
            lambda w, x: (nets.deeplab(w, nets.lite0(w, x), half),),
        ),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's options."""
    parser.add_argument("--side", type=int, default=256, help="of the photos")
    parser.add_argument("--batch", type=int, default=2, help="photos at a time")
    parser.add_argument("--rounds", type=int, default=3, help="of two steps; the fastest counts")
    parser.add_argument("--only", help="one of " + ", ".join(cases()))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures every network."""
    torch = torch_networks.torch
    cores = len(os.sched_getaffinity(0))
    if torch is None:
        print(f"PyTorch is missing: only ours are timed ({how_to_install('torch')})")
    else:
        torch.set_num_threads(cores)
    peak = _peak(torch, options.rounds + 2)
    figures: dict[str, Any] = {
        "cores": cores,
        "peak_gflops_per_core": round(peak / 1e9, 1),
        "batch": options.batch,
        "side": options.side,
        "goal": GOAL,
    }
    for name, case in cases().items():
        if options.only in (None, name):
            figures[name] = _measure(torch, case, options, peak)
            for kind in ("forward", "training"):
                print(f"{name:<20} {kind:<9} {_described(figures[name][kind])}", flush=True)
    return figures


def _described(f: dict[str, float]) -> str:
    rival = ""
    if "torch_ms" in f:
        rival = f"torch {f['torch_ms']:8.1f} ms, "
        rival += f"ratio {f['ratio']:.2f} (cpu {f['cpu_ratio']:.2f}), "
    return f"{f['jax_ms']:8.1f} ms, {rival}{100 * f['roofline']:.0f} % of the peak"


def _measure(torch: Any, case: Case, options: argparse.Namespace, peak: float) -> dict[str, Any]:
    """Times one network's forward pass and training step."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, options.side, options.side, 3)).astype(np.float32)
    variables = drawn_variables(case.module, x)
    steps, outputs, counts = _our_steps(case, variables, x)
    rivals: dict[str, list[Step]] = {kind: [step] for kind, step in steps.items()}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    figures: dict[str, Any] = {"parameters": parameters}
    if torch is not None:
        weights = torch_networks.Weights(variables, trained=case.trained)
        theirs = _torch_steps(torch, case, weights, x)
        different = max(
            float(np.abs(_nchw(a) - b.numpy()).max() / np.abs(b.numpy()).max())
            for a, b in zip(outputs, theirs["forward"](), strict=True)
        )
        figures["difference"] = float(f"{different:.1e}")
        for kind, step in theirs.items():
            rivals[kind].append(step)
    for kind, both in rivals.items():
        seconds, cpu = _in_turn(both, options.rounds)
        figures[kind] = {"jax_ms": round(1e3 * seconds[0], 2)}
        if torch is not None:
            figures[kind] |= {
                "torch_ms": round(1e3 * seconds[1], 2),
                "ratio": round(seconds[0] / seconds[1], 3),
                "cpu_ratio": round(cpu[0] / cpu[1], 3),
            }
        figures[kind] |= {
            "gflop": float(f"{counts[kind] / 1e9:.4g}"),
            "roofline": round(counts[kind] / cpu[0] / peak, 3),
        }
    return figures


def _our_steps(
    case: Case, variables: dict[str, Any], x: np.ndarray
) -> tuple[dict[str, Step], tuple[jax.Array, ...], dict[str, float]]:
    """Returns the forward pass and the training step, the outputs, and operations of either."""
    compiled = partial(jax.jit, compiler_options=convolution_options())

    @compiled
    def forward(variables: Any, x: jax.Array) -> tuple[jax.Array, ...]:
        return case.outputs(case.module.apply(variables, x))

    update, state = our_update(case, variables)
    counts = {
        "forward": _operations(forward, variables, x),
        "training": _operations(update, state, {"x": x}),
    }

    def train() -> Any:
        nonlocal state
        state, scalars = update(state, {"x": x})
        return scalars

    steps: dict[str, Step] = {"forward": partial(forward, variables, x), "training": train}
    return steps, forward(variables, x), counts


def our_update(case: Case, variables: dict[str, Any]) -> tuple[Any, TrainState]:
    """Returns the jitted training step (state, {"x": photos}) -> (state, scalars), and a state."""
    params, frozen = variables["params"], {"batch_stats": variables["batch_stats"]}

    def loss(params: Any, frozen: Any, batch: Any) -> Any:
        outputs = case.outputs(case.module.apply({"params": params, **frozen}, batch["x"]))
        return jnp.stack([jnp.square(y).mean() for y in outputs]).sum(), ({}, frozen)

    labels = jax.tree_util.tree_map_with_path(
        lambda path, _: case.trained("/".join(entry.key for entry in path) + "/"), params
    )
    optimiser = optax.multi_transform(
        {True: optax.sgd(1e-6, momentum=0.9), False: optax.set_to_zero()}, labels
    )
    state = TrainState(jnp.zeros((), jnp.int32), params, frozen, optimiser.init(params), None)
    state = jax.tree.map(jnp.array, state)  # a copy, since the update takes its memory
    update = jax.jit(
        make_update(loss, optimiser),
        donate_argnums=0,
        compiler_options=convolution_options(params),
    )
    return update, state


def _torch_steps(
    torch: Any, case: Case, weights: torch_networks.Weights, x: np.ndarray
) -> dict[str, Step]:
    """Returns PyTorch's forward pass and training step."""
    photos = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    optimiser = torch.optim.SGD(weights.trained, 1e-6, momentum=0.9)

    def forward() -> Any:
        with torch.no_grad():
            return case.torch(weights, photos)

    def train() -> None:
        optimiser.zero_grad()
        sum(y.square().mean() for y in case.torch(weights, photos)).backward()
        optimiser.step()

    return {"forward": forward, "training": train}


def drawn_variables(module: Any, x: np.ndarray) -> dict[str, Any]:
    """Weights of a size at which nothing explodes or dies, faster than the network's `init`."""
    rng = np.random.default_rng(1)

    def fill(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        name = path[-1].key
        if name.endswith("kernel"):
            fan_in = np.prod(leaf.shape[-4:-1]) if len(leaf.shape) >= 4 else leaf.shape[0]
            return (rng.normal(size=leaf.shape) * (2 / fan_in) ** 0.5).astype(np.float32)
        last = name == "scale" and path[-2].key in ("bn3", "bn2")
        value = {"scale": 0.5 if last else 1.0, "var": 1.0}.get(name, 0.0)
        return np.full(leaf.shape, value, np.float32)

    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(fill, shapes)


def _nchw(x: jax.Array) -> np.ndarray:
    return np.moveaxis(np.asarray(x), -1, 1) if x.ndim == 4 else np.asarray(x)


def _in_turn(steps: Sequence[Step], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds, and processor seconds, of each one's fastest step, after a round to warm up."""
    times: list[list[tuple[float, float]]] = [[] for _ in steps]
    for _ in range(rounds + 1):
        for mine, step in zip(times, steps, strict=True):
            # Two in a row, as in training: right after the other library's step the same page
            # faults can take the kernel seconds more (ResNet-101: 1.7 to 3.6 instead of 0.5 s).
            for _ in range(2):
                start, cpu = time.perf_counter(), time.process_time()
                jax.block_until_ready(step())
                mine.append((time.perf_counter() - start, time.process_time() - cpu))
    best = [[min(pair[i] for pair in mine[2:]) for mine in times] for i in (0, 1)]
    return best[0], best[1]


def _operations(program: Any, *arguments: Any) -> float:
    """Floating-point operations of one of our programs, before XLA changes it."""
    return float(program.lower(*arguments).cost_analysis()["flops"])


def _peak(torch: Any, rounds: int) -> float:
    """Operations a second that a large matrix product reaches, by the faster library."""
    a = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    ours, product = jnp.asarray(a), jax.jit(jnp.matmul)
    products: list[Step] = [lambda: product(ours, ours)]
    if torch is not None:
        products.append(partial(torch.matmul, torch.from_numpy(a), torch.from_numpy(a)))
    _, cpu = _in_turn(products, rounds)
    return 2 * 2048**3 / min(cpu)
