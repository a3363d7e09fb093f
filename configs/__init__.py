"""Configurations: `get_config()` gives a locked ConfigDict. They import the settings only."""
