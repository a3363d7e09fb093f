"""Every key with its default, the published setting where there is one.

docs/configuration.md says what each key means and allows; an unknown key is an error.
"""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the defaults."""
    return settings.fit_to(settings.defaults(), machine)
