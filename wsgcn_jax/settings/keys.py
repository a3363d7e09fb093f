"""Every key of a configuration, in the order of the pipeline."""

from wsgcn_jax.settings import inputs, labels, outputs
from wsgcn_jax.settings.kinds import Key

KEYS: tuple[Key, ...] = (*inputs.KEYS, *labels.KEYS, *outputs.KEYS)

OPTIONAL = frozenset(key.name for key in KEYS if key.optional)
"""The keys that may be None, and no others may."""


def must_be(name: str) -> str:
    """What a key's value must be, to go on in an error; nothing for what is no key."""
    return "".join(f"; it must be {key.allowed()}" for key in KEYS if key.name == name)
