"""The networks: backbones, the classifier and its CAMs, the boundary network, DeepLab."""
