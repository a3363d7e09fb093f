"""One module a benchmark: `add_options(parser)` and `run(options) -> figures`."""
