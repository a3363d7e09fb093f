"""The road's networks in PyTorch, on the very weights of ours: to compare times and outputs.

Written with PyTorch's own operations and in its own layout, as its users would.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wsgcn_jax.models.efficientnet_lite import STAGES

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # only this benchmark needs it
    torch = None


class Weights:
    """Our variables by their paths, as PyTorch tensors in PyTorch's shapes."""

    def __init__(
        self,
        variables: Mapping[str, Any],
        *,
        trained: Callable[[str], bool],
        device: str = "cpu",
    ) -> None:
        """Copies the variables.

        Args:
            variables: `{"params": tree, "batch_stats": tree}`.
            trained: path of a parameter -> whether it gets a gradient.
            device: where they lie, by PyTorch's name.
        """
        self._device = device
        self._tensors: dict[str, Any] = {}
        for tree in variables.values():
            self._add(tree, "")
        self.trained = []
        for name, tensor in self._tensors.items():
            if trained(name) and not name.endswith(("/mean", "/var")):
                self.trained.append(tensor.requires_grad_())

    def _add(self, tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, Mapping):
                self._add(value, f"{prefix}{key}/")
                continue
            array = np.asarray(value)
            if array.ndim == 2 and key.endswith("kernel"):
                array = array.T[:, :, None, None]
            elif array.ndim >= 4:  # the ASPP's kernels have the rates in front
                array = np.moveaxis(array, (-1, -2), (-4, -3))
            tensor = torch.from_numpy(np.array(array, order="C"))
            self._tensors[prefix + key] = tensor.to(self._device)

    def __getitem__(self, name: str) -> Any:
        return self._tensors[name]

    def conv(self, x: Any, name: str, stride: int = 1, dilation: int = 1) -> Any:
        """Convolves, padded alike on all sides."""
        kernel = self[f"{name}/kernel"]
        return F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2 * dilation, dilation)

    def norm(self, x: Any, name: str, epsilon: float = 1e-5) -> Any:
        """Batch norm with frozen statistics."""
        mean, var, scale, bias = (self[f"{name}/{k}"] for k in ("mean", "var", "scale", "bias"))
        return F.batch_norm(x, mean, var, scale, bias, eps=epsilon)


def resnet(
    w: Weights, x: Any, sizes: Sequence[int], *, stride8: bool = False, frozen_stages: int = 0
) -> list[Any]:
    """The five taps of a ResNet at output stride 16 or 8."""
    p = "backbone/"
    x = F.relu(w.norm(w.conv(x, p + "conv1", 2), p + "bn1"))
    taps = [F.max_pool2d(x, 3, 2, 1)]
    strides, dilations = ((1, 2, 1, 1), (1, 1, 2, 4)) if stride8 else ((1, 2, 2, 1), (1,) * 4)
    for stage, (blocks, stride, dilation) in enumerate(zip(sizes, strides, dilations, strict=True)):
        x = taps[-1].detach() if len(taps) <= frozen_stages else taps[-1]
        for block in range(blocks):
            name, step = f"{p}layer{stage + 1}_{block}/", stride if block == 0 else 1
            y = F.relu(w.norm(w.conv(x, name + "conv1"), name + "bn1"))
            y = F.relu(w.norm(w.conv(y, name + "conv2", step, dilation), name + "bn2"))
            y = w.norm(w.conv(y, name + "conv3"), name + "bn3")
            if block == 0:
                x = w.norm(w.conv(x, name + "downsample_0", step), name + "downsample_1")
            x = F.relu(x + y)
        taps.append(x)
    return taps


def lite0(w: Weights, x: Any, *, output_stride: int = 16) -> Any:
    """The last tap of EfficientNet-Lite0."""
    p = "backbone/"

    def conv(x: Any, name: str, stride: int = 1, dilation: int = 1, groups: int = 1) -> Any:
        kernel = w[f"{name}/kernel"]
        total = (kernel.shape[-1] - 1) * dilation + 1 - stride
        sides = [(total // 2, total - total // 2 + side % stride) for side in x.shape[:1:-1]]
        x = F.pad(x, sides[0] + sides[1])
        return F.conv2d(x, kernel, None, stride, 0, dilation, groups)

    def norm(x: Any, name: str) -> Any:
        return w.norm(x, name, 1e-3)

    x = F.relu6(norm(conv(x, p + "conv_stem", 2), p + "bn0"))
    stride, dilation, block = 2, 1, 0
    for stage in STAGES:
        dropped = stride * stage.stride > output_stride
        for repeat in range(stage.repeats):
            step = 1 if repeat or dropped else stage.stride
            name, y = f"{p}blocks_{block}/", x
            if stage.expand > 1:
                y = F.relu6(norm(conv(y, name + "expand_conv"), name + "bn0"))
            y = conv(y, name + "depthwise_conv", step, dilation, y.shape[1])
            y = norm(conv(F.relu6(norm(y, name + "bn1")), name + "project_conv"), name + "bn2")
            x = x + y if x.shape == y.shape and step == 1 else y
            stride, block = stride * step, block + 1
            if dropped and repeat == 0:
                dilation *= stage.stride
    return F.relu6(norm(conv(x, p + "conv_head"), p + "bn1"))


def classifier(w: Weights, x: Any, sizes: Sequence[int]) -> Any:
    """Class logits `[b, c]` (IRNet's classifier; no gradient below stage 3)."""
    x5 = resnet(w, x, sizes, frozen_stages=3)[-1]
    return F.conv2d(x5.mean((2, 3), keepdim=True), w["classifier/kernel"])[:, :, 0, 0]


def boundary(w: Weights, x: Any, sizes: Sequence[int]) -> tuple[Any, Any]:
    """Edge logits `[b, 1, H, W]` and displacements `[b, 2, H, W]` (IRNet's)."""
    with torch.no_grad():
        taps = resnet(w, x, sizes)

    def unit(x: Any, name: str, groups: int, factor: int) -> Any:
        x = w.conv(x, name)
        x = F.group_norm(x, groups, w[f"{name}_norm/scale"], w[f"{name}_norm/bias"])
        if factor > 1:
            x = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        return F.relu(x)

    def cut(x: Any, like: Any) -> Any:
        return x[:, :, : like.shape[2], : like.shape[3]]

    factors = (1, 1, 2, 4, 4)
    edges = [unit(tap, f"edge{i + 1}", 4, factors[i]) for i, tap in enumerate(taps)]
    edge = torch.cat([cut(e, edges[1]) for e in edges], 1)
    edge = F.conv2d(edge, w["edge_kernel"], w["edge_bias"])
    groups, factors = (8, 16, 16, 16, 16), (1, 1, 1, 2, 2)
    d = [unit(tap, f"displacement{i + 1}", groups[i], factors[i]) for i, tap in enumerate(taps)]
    d6 = unit(torch.cat([cut(y, d[2]) for y in d[2:]], 1), "displacement6", 16, 2)
    d7 = unit(torch.cat([d[0], d[1], cut(d6, d[1])], 1), "displacement7", 16, 1)
    return edge, w.conv(d7, "displacement8")


def deeplab(w: Weights, x5: Any, rates: Sequence[int]) -> Any:
    """Class logits `[b, c, H, W]` from the last tap."""
    kernels, biases = w["aspp_kernel"], w["aspp_bias"]
    return sum(F.conv2d(x5, kernels[i], biases[i], 1, rate, rate) for i, rate in enumerate(rates))
