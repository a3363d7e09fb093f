"""Configurations: `get_config()` returns a locked ConfigDict. They import nothing of the package."""
