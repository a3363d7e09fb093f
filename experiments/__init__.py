"""Commands: `python -m experiments.train` and its kin."""
