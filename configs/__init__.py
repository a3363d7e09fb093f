"""Configurations: `get_config()` gives a locked ConfigDict. They import `wsgcn_jax.settings` only."""
