"""The stages of the pipeline, each a function of the configuration and the stages before it."""
