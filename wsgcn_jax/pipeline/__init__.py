"""The stages of the road, each a function of the configuration and the stages before it."""
