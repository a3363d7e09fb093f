"""Convolutions whose values AND gradients are fast where XLA's own are not.

On CPUs (measured on 2 cores, `[16, 72, 72, 144]`): a 1x1 convolution's gradient takes four
times as long as the same written as a matrix product; a grouped convolution twenty times as
long as a sum of shifted copies; that sum's gradient for the filter, as XLA derives it, eight
times as long as the row loop below. What is left is XLA's own, fast if compiled with
`compiler.convolution_options`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

Padding = Sequence[tuple[int, int]]
"""Zeros (before, after) the rows, then the columns."""


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = ((0, 0), (0, 0)),
) -> jax.Array:
    """Convolves all channels with all.

    Args:
        x: `[b, h, w, c]`, f32 or bf16, which is also what is computed in.
        kernel: `[k, k, c, d] f32`.
        stride: of rows and columns.
        dilation: distance of the filter's taps.
        padding: zeros added (before, after) rows and (before, after) columns; none for k = 1.

    Returns:
        `[b, H, W, d]` of `x`'s dtype.
    """
    kernel = kernel.astype(x.dtype)
    if kernel.shape[:2] == (1, 1):
        x = x[:, ::stride, ::stride]
        product = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
        return product.reshape(*x.shape[:3], kernel.shape[-1])
    return _by_xla(x, kernel, stride, dilation, padding, groups=1)


def _by_xla(
    x: jax.Array, kernel: jax.Array, stride: int, dilation: int, padding: Padding, *, groups: int
) -> jax.Array:
    """XLA's convolution of `[b, h, w, c]` with `[k, k, c / groups, d]`."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=tuple(padding),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def scaled(
    convolution: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    kernel: jax.Array,
    factor: jax.Array | None,
) -> jax.Array:
    """Multiplies every channel of a convolution by a factor.

    Derived plainly, the factor's gradient needs the convolution's output; here it is read off the
    filter's gradient, and nothing but the input is kept. Unless that output is small beside the
    filter: going through that four times more would then take longer.

    Args:
        convolution: (picture, filter) -> `[b, H, W, d]`; linear in both.
        x: `[b, h, w, c]`, f32 or bf16.
        kernel: `[k, k, c, d] f32`, or `[k, k, 1, d]`.
        factor: `[d] f32`; None = 1.

    Returns:
        `[b, H, W, d] f32`; of the convolution's own dtype without a factor.
    """
    if factor is None:
        return convolution(x, kernel)
    if jax.eval_shape(convolution, x, kernel).size < 2 * kernel.size:
        return convolution(x, kernel) * factor[None, None, None, :]

    def folded(x: jax.Array, kernel: jax.Array, factor: jax.Array) -> jax.Array:
        return convolution(x, kernel * factor[None, None, None, :]).astype(factor.dtype)

    @jax.custom_vjp
    def product(x: jax.Array, kernel: jax.Array, factor: jax.Array) -> jax.Array:
        return convolution(x, kernel) * factor[None, None, None, :]

    def forward(*inputs: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        return product(*inputs), inputs

    def backward(inputs: tuple[jax.Array, ...], cotangent: jax.Array) -> tuple[jax.Array, ...]:
        return jax.vjp(folded, *inputs)[1](cotangent)

    product.defvjp(forward, backward)
    return product(x, kernel, factor)


def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding,
) -> jax.Array:
    """Convolves every channel with a filter of its own.

    On the CPU backend the filter is applied as k * k shifted multiply-adds, which have a
    gradient but (unlike elsewhere) no forward-mode derivative.

    Args:
        x: `[b, h, w, c]`, f32 or bf16, which is also what is computed in.
        kernel: `[k, k, 1, c] f32`.
        stride: of rows and columns.
        dilation: distance of the filter's taps.
        padding: zeros added (before, after) rows and (before, after) columns.

    Returns:
        `[b, H, W, c]` of `x`'s dtype.
    """
    kernel = kernel.astype(x.dtype)
    if jax.default_backend() == "cpu":
        # Padded out here, so that the gradient of the padding is JAX's business.
        padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        return shifted_sum(padded, kernel, stride, dilation)
    return _by_xla(x, kernel, stride, dilation, padding, groups=x.shape[-1])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def shifted_sum(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
    """Sums weighted copies of a padded picture, one for every tap of a depthwise filter.

    Args:
        x: `[b, h, w, c] f32`, padded already.
        kernel: `[k, k, 1, c] f32`.
        stride: of rows and columns.
        dilation: distance of the filter's taps.

    Returns:
        `[b, H, W, c] f32`, `H = (h - (k - 1) * dilation - 1) // stride + 1`.
    """
    size = kernel.shape[0]
    batch, height, width, channels = x.shape
    height, width = ((s - (size - 1) * dilation - 1) // stride + 1 for s in (height, width))
    out = jnp.zeros((batch, height, width, channels), x.dtype)
    for i in range(size):
        for j in range(size):
            start = (0, i * dilation, j * dilation, 0)
            limit = (
                batch,
                start[1] + (height - 1) * stride + 1,
                start[2] + (width - 1) * stride + 1,
                channels,
            )
            weight = kernel[i, j, 0][None, None, None, :]
            out = out + lax.slice(x, start, limit, (1, stride, stride, 1)) * weight
    return out


_Saved = tuple[jax.Array, jax.Array]


def _shifted_sum_forward(
    x: jax.Array, kernel: jax.Array, stride: int, dilation: int
) -> tuple[jax.Array, _Saved]:
    """Saves the inputs for the gradient."""
    return shifted_sum(x, kernel, stride, dilation), (x, kernel)


def _shifted_sum_backward(
    stride: int, dilation: int, saved: _Saved, cotangent: jax.Array
) -> _Saved:
    """Gives the gradients of the picture and of the filter."""
    x, kernel = saved
    reach = (kernel.shape[0] - 1) * dilation
    margins = [
        (reach, x.shape[axis] - (cotangent.shape[axis] - 1) * stride - 1, stride - 1)
        for axis in (1, 2)
    ]
    zero = jnp.zeros((), cotangent.dtype)
    spread = lax.pad(cotangent, zero, ((0, 0, 0), *margins, (0, 0, 0)))
    # The same sum with the filter turned round: a tap that read x[r + t] now writes there.
    x_gradient = shifted_sum(spread, kernel[::-1, ::-1], 1, dilation)
    return x_gradient, _filter_gradient(x, cotangent, kernel.shape[0], stride, dilation)


def _filter_gradient(
    x: jax.Array, cotangent: jax.Array, size: int, stride: int, dilation: int
) -> jax.Array:
    """Correlates picture and cotangent, one row at a time.

    A row of both and the k * k running sums `[W, c]` stay in the cache, and every operation
    is an elementwise multiply-add; a plain reduction over whole pictures reads memory k * k
    times in an order that does not vectorise.
    """
    batch, height, width, channels = cotangent.shape
    reach = (size - 1) * dilation + 1

    def add_row(index: jax.Array, sums: list[jax.Array]) -> list[jax.Array]:
        image, row = index // height, index % height
        g = lax.dynamic_slice(cotangent, (image, row, 0, 0), (1, 1, width, channels))[0, 0]
        window = (1, reach, x.shape[2], channels)
        rows = lax.dynamic_slice(x, (image, row * stride, 0, 0), window)[0]
        span = (width - 1) * stride + 1
        return [
            total + lax.slice_in_dim(rows[i * dilation], left, left + span, stride) * g
            for (i, left), total in zip(taps, sums, strict=True)
        ]

    taps = [(i, j * dilation) for i in range(size) for j in range(size)]
    # In bf16 the sum over thousands of rows would stand still.
    dtype = jnp.promote_types(cotangent.dtype, jnp.float32)
    start = [jnp.zeros((width, channels), dtype) for _ in taps]
    sums = lax.fori_loop(0, batch * height, add_row, start)
    gradient = jnp.stack([total.sum(0) for total in sums]).reshape(size, size, 1, channels)
    return gradient.astype(cotangent.dtype)


shifted_sum.defvjp(_shifted_sum_forward, _shifted_sum_backward)
