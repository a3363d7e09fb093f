"""Training steps of the networks on the device there is, in float32 and bfloat16, and PyTorch's.

Networks compute in the type of their photos; the weights stay float32. PyTorch does the same by
autocast, where it is installed and can use the device: a GPU by CUDA, a CPU, but no TPU.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import models, torch_networks

_STEPS = 5  # that are timed; the fastest counts

Figures = dict[str, Any]


def training_step(name: str, *, bfloat16: bool, side: int, batch: int) -> Figures:
    """Times one network's training step: gradient of the outputs' mean square, and SGD.

    Args:
        name: of `models.cases`.
        bfloat16: compute in it; else in float32, products by the backend's default rounding.
        side: of the photos, in pixels.
        batch: how many.

    Returns:
        Milliseconds a step, and seconds of the compilation; `torch_ms` and their ratio where
        PyTorch can be compared.
    """
    case = models.cases()[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, side, side, 3)).astype(np.float32)
    variables = models.drawn_variables(case.module, x)
    update, state = models.our_update(case, variables)
    photos = {"x": jnp.asarray(x, jnp.bfloat16 if bfloat16 else jnp.float32)}
    started = time.perf_counter()
    program = update.lower(state, photos).compile()
    compiled = time.perf_counter() - started

    def step() -> None:
        nonlocal state
        state, scalars = program(state, photos)
        jax.block_until_ready(scalars)

    figures: Figures = {"ms": 1e3 * _fastest(step), "compile_seconds": compiled}
    if (device := _torch_device()) is not None:
        figures["torch_ms"] = 1e3 * _fastest(_torch_step(case, variables, x, device, bfloat16))
        figures["ratio"] = figures["ms"] / figures["torch_ms"]
    return figures


def _fastest(step: Callable[[], None]) -> float:
    """Seconds of the fastest step; the first two warm up."""
    times = []
    for _ in range(_STEPS + 2):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return min(times[2:])


def _torch_device() -> str | None:
    """PyTorch's name of the device that JAX uses, where it can use it."""
    torch = torch_networks.torch
    backend = jax.default_backend()
    if torch is None or backend not in ("cpu", "gpu"):
        return None
    if backend == "gpu":
        return "cuda" if torch.cuda.is_available() else None
    return "cpu"


def _torch_step(
    case: models.Case, variables: dict[str, Any], x: np.ndarray, device: str, bfloat16: bool
) -> Callable[[], None]:
    torch = torch_networks.torch
    assert torch is not None
    weights = torch_networks.Weights(variables, trained=case.trained, device=device)
    photos = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))).to(device)
    optimiser = torch.optim.SGD(weights.trained, 1e-6, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16):
            loss = sum(y.float().square().mean() for y in case.torch(weights, photos))
        loss.backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step
