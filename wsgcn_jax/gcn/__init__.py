"""The per-photo graph convolutional network: model, losses, fit."""
