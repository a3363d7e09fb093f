"""A network in the package's form: a Flax module with its variables, and how a fresh one is made.

Here and in its sister modules is all that knows Flax; other parts call `Network.apply`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

Module = nn.Module
"""What a network is made of; for the signatures of those who do not import Flax."""

_SIDE = 64  # of the photo that shapes are worked out on


class Network(NamedTuple):
    """A Flax module with its variables.

    Attributes:
        module: the module; takes normalised photos `[b, h, w, 3] f32`.
        params: what gradients move.
        statistics: the other variables by collection (of batch norms); no gradient moves them.
    """

    module: Module
    params: Any
    statistics: Any

    def apply(self, variables: Any, *args: Any, method: str | None = None) -> Any:
        """Calls the module (or a method of it) with the given variables.

        They are arguments of the caller's program: taken from here, they would be baked in.
        """
        return self.module.apply(variables, *args, method=method)

    @property
    def variables(self) -> dict[str, Any]:
        """All variables in one tree, as Flax takes them."""
        return {"params": self.params, **self.statistics}


def variable_shapes(module: Module) -> dict[str, Any]:
    """Returns a module's variables by collection, as `jax.ShapeDtypeStruct`s; nothing is drawn."""
    photo = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
    return dict(jax.eval_shape(module.init, jax.random.key(0), photo))


def on_backbone(key: jax.Array, module: Module, backbone: Mapping[str, Any]) -> Network:
    """Draws the head of a network whose backbone has its weights already.

    Args:
        key: PRNG key of the head's weights.
        module: the network; calls its backbone "backbone".
        backbone: `{"params": tree, "batch_stats": tree}` of the backbone.

    Returns:
        The network.
    """

    @jax.jit
    def init_head(key: jax.Array) -> dict[str, Any]:
        # Without the backbone among the results the compiler drops its whole forward pass.
        variables = module.init(key, jnp.zeros((1, _SIDE, _SIDE, 3)))
        return {
            collection: {part: tree for part, tree in parts.items() if part != "backbone"}
            for collection, parts in variables.items()
        }

    variables = init_head(key)
    params = {**variables.pop("params"), "backbone": backbone["params"]}
    statistics = dict(variables)
    statistics["batch_stats"] = {
        **statistics.get("batch_stats", {}),
        "backbone": backbone["batch_stats"],
    }
    return Network(module, *jax.tree.map(jnp.asarray, (params, statistics)))
