"""Configurations: `get_config()` gives a locked ConfigDict. They import nothing of the package."""
