"""The work folder: which stages are current, what made them, whether their files are whole."""
