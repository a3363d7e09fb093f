"""What public functions accept: shapes, kinds and ranges, checked when they are called.

    @checked(boundary=Shaped("H W", low=0, high=1), radius=Number(low=1))
    def affinity_stencil(boundary, *, radius=5): ...

Shapes and kinds are known under `jax.jit`, too; values are looked at only where they are known.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import numpy as np

from wsgcn_jax.types import DataError

P = ParamSpec("P")
R = TypeVar("R")

_KINDS = {"float": "f", "integer": "iu", "bool": "b", "number": "fiu"}


class Shaped(NamedTuple):
    """An array that a function accepts.

    Attributes:
        dims: names or sizes of its dimensions, "c H W"; a name stands for one size in all
            arguments of a call; "..." in front for any more.
        kind: float, integer, bool, or number (float or integer).
        low: the least value, or None for any finite one.
        high: the largest.
    """

    dims: str
    kind: str = "float"
    low: float | None = None
    high: float | None = None


class Number(NamedTuple):
    """A finite number that a function accepts.

    Attributes:
        low: the least, or None for any.
        high: the largest, or None for any.
        above: True where `low` itself is too little.
        whole: True where it counts something.
    """

    low: float | None = None
    high: float | None = None
    above: bool = False
    whole: bool = False


class Made(NamedTuple):
    """What only this package makes.

    Attributes:
        kind: its type.
        by: what makes it.
    """

    kind: type
    by: str


def checked(**specs: Shaped | Number | Made) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function refuse wrong arguments with one line, a DataError.

    Args:
        specs: what is accepted, by the argument's name; None, too, where it is the default.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        name = getattr(function, "__name__", "function")

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            sizes: dict[str, tuple[int, str]] = {}
            for argument, spec in specs.items():
                if argument not in given:
                    continue
                value = given[argument]
                if value is None and signature.parameters[argument].default is None:
                    continue
                if isinstance(spec, Number):
                    _check_number(f"{name}: {argument}", value, spec)
                elif isinstance(spec, Made):
                    _check_kind(f"{name}: {argument}", value, spec)
                else:
                    _check_array(name, argument, value, spec, sizes)
            return function(*args, **kwargs)

        return call

    return decorate


def as_array(given: object, what: str) -> np.ndarray:
    """What was given as an array.

    Args:
        given: an array, or lists of numbers.
        what: its name in the error.

    Raises:
        DataError: lists of several lengths.
    """
    try:
        return np.asarray(given)
    except ValueError as error:
        raise DataError(f"{what} is a list of several lengths; give an array") from error


def _check_number(where: str, value: Any, spec: Number) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    fits = isinstance(value, int | float | np.number | np.ndarray | jax.Array) and (
        np.ndim(value) == 0
        and math.isfinite(value)
        and (not spec.whole or np.asarray(value).dtype.kind in "iu")
        and (spec.low is None or value > spec.low or (value == spec.low and not spec.above))
        and (spec.high is None or value <= spec.high)
    )
    if not fits:
        kind = "whole number" if spec.whole else "number"
        raise DataError(f"{where} is {value!r}; give a {kind} {_range(spec)}")


def _check_kind(where: str, value: Any, spec: Made) -> None:
    if not isinstance(value, spec.kind):
        raise DataError(f"{where} is a {type(value).__name__}; give {spec.by}")


def _range(spec: Number) -> str:
    least = "" if spec.low is None else f"{'above' if spec.above else 'from'} {spec.low:g}"
    most = "" if spec.high is None else f"up to {spec.high:g}"
    return " ".join(part for part in (least, most) if part) or "that is finite"


def _check_array(
    name: str, argument: str, value: Any, spec: Shaped, sizes: dict[str, tuple[int, str]]
) -> None:
    """Checks one array; `sizes` holds the dimensions met so far, and in which argument."""
    where = f"{name}: {argument}"
    if not isinstance(value, np.ndarray | jax.Array):
        raise DataError(f"{where} is a {type(value).__name__}; give an array [{spec.dims}]")
    if np.dtype(value.dtype).kind not in _KINDS[spec.kind] and value.dtype != jax.numpy.bfloat16:
        hint = "; divide by 255" if spec.high == 1 and value.dtype == np.uint8 else ""
        raise DataError(f"{where} is {value.dtype}; give an array of {spec.kind}s{hint}")
    dims = spec.dims.split()
    shape = value.shape
    if dims[0] == "...":
        dims = dims[1:]
        shape = shape[max(0, len(shape) - len(dims)) :]
    if len(shape) != len(dims):
        raise DataError(f"{where} is {value.shape}; it should be [{spec.dims}]")
    if not value.size:
        raise DataError(f"{where} is {value.shape}: there is nothing in it")
    for dim, size in zip(dims, shape, strict=True):
        expected, origin = (int(dim), "") if dim.isdigit() else sizes.get(dim, (size, ""))
        if size != expected:
            of = f", {dim} of {origin} being {expected}" if origin else ""
            raise DataError(f"{where} is {value.shape}; it should be [{spec.dims}]{of}")
        if not dim.isdigit():
            sizes.setdefault(dim, (size, argument))
    if value.dtype != bool and not isinstance(value, jax.core.Tracer):
        _check_values(where, np.asarray(value), spec)


def _check_values(where: str, value: np.ndarray, spec: Shaped) -> None:
    least, most = float(value.min()), float(value.max())  # NaN, where there is one
    low = -math.inf if spec.low is None else spec.low
    high = math.inf if spec.high is None else spec.high
    if not math.isfinite(least + most):
        raise DataError(f"{where} holds NaN or infinite values; find out where they come from")
    slack = 1e-4 * min(high - low, 1.0)
    if least < low - slack or most > high + slack:
        raise DataError(
            f"{where} reaches from {least:g} to {most:g}; its values should lie between {low:g} "
            f"and {high:g}"
        )
