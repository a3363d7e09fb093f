"""Emulates on a CPU how accelerators round the operands of matrix products by default.

    emulate("tf32")  # before anything is compiled

A GPU rounds them to TF32, a TPU to bfloat16, unless the product names another precision. Sums
are taken in float32 there as here. XLA's own names of such precisions do nothing on CPUs, so the
lowering of products and convolutions is replaced, by means of JAX's inner modules; programs from
a compilation cache would not know of it.
"""

from typing import Any

import jax
from jax import lax
from jax._src.lax import convolution as convolution_module
from jax._src.lax import lax as lax_module
from jax._src.lib.mlir import ir
from jax._src.lib.mlir.dialects import hlo
from jax.interpreters import mlir

MANTISSA_BITS = {"tf32": 10, "bf16": 7}
"""Bits that an operand keeps behind its first one, by the name of the rounding."""

BACKENDS = {"tf32": "gpu", "bf16": "tpu"}
"""Whose default a rounding is."""

_DEFAULT = (None, lax.Precision.DEFAULT)


def emulate(rounding: str) -> None:
    """Rounds the operands of every float32 product and convolution of default precision.

    Args:
        rounding: a key of `MANTISSA_BITS`.
    """
    jax.config.update("jax_enable_compilation_cache", False)
    bits = MANTISSA_BITS[rounding]

    def rounded(x: Any) -> Any:
        if not isinstance(ir.RankedTensorType(x.type).element_type, ir.F32Type):
            return x
        i32 = ir.IntegerType.get_signless(32)
        return hlo.reduce_precision(x, ir.IntegerAttr.get(i32, 8), ir.IntegerAttr.get(i32, bits))

    def by_default(precision: Any) -> bool:
        both = precision if isinstance(precision, tuple) else (precision,)
        return all(one in _DEFAULT for one in both)

    def lowering(usual: Any) -> Any:
        def lower(ctx: Any, lhs: Any, rhs: Any, *, precision: Any, **options: Any) -> Any:
            if by_default(precision):
                lhs, rhs = rounded(lhs), rounded(rhs)
            return usual(ctx, lhs, rhs, precision=precision, **options)

        return lower

    def product(*args: Any, **options: Any) -> Any:
        return lax_module._dot_general_lower(*args, platform="cpu", **options)

    for primitive, usual in (
        (lax.dot_general_p, product),
        (lax.conv_general_dilated_p, convolution_module._conv_general_dilated_lower),
    ):
        mlir.register_lowering(primitive, lowering(usual), platform="cpu")
