"""What everybody starts from: torchvision's VGG in NCHW, autograd, ``torch.optim.LBFGS``, one picture.

Written as the authors' notebook does it (a list of losses over layers' outputs, one closure), but minimising the
harness's own objective: the same normalised weights, average pooling, units and start. ``bare_convolutions`` is the
floor that a direct implementation cannot go below. Shapes: H × W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.features.vgg import VGG, block_of, map_shape

CONTENT = "conv4_2"
STYLES = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


class TextbookVGG(nn.Module):
    """torchvision's ``features`` with a network's weights, cut after its deepest layer.

    Args:
        network: a VGG-16 or VGG-19 without read-outs, or a distilled one, whose maps are then computed as it says.
    """

    def __init__(self, network: VGG) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        modules: list[nn.Module] = []
        block = 1
        for layer in network.layers:
            if block_of(layer) != block:
                block = block_of(layer)
                modules.append(nn.AvgPool2d(2))
            weight = network.weight(layer)
            convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            convolution.weight.data = weight.contiguous()
            convolution.bias.data = network.bias(layer)
            self.names[len(modules) + 1] = layer
            modules += [convolution, nn.ReLU()]
        self.features = nn.Sequential(*modules).requires_grad_(False)
        self.first = nn.Conv2d(3, 3, 1)
        self.first.weight.data = network.weight("input").contiguous()
        self.first.bias.data = network.bias("input")
        self.first.requires_grad_(False)
        self.compared = {name: network.state_dict().get(f"{name}_compared") for name in network.layers}
        self.readouts = {name: network.readout(name) for name in network.layers}

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """(1, 3, H, W) sRGB to the (1, N, h, w) maps of some layers."""
        maps: dict[str, Tensor] = {}
        x = self.first(image)
        for place, module in enumerate(self.features):
            if isinstance(module, nn.Conv2d) and x.shape[1] != module.in_channels:
                x = x[:, : module.in_channels]
            x = module(x)
            if (layer := self.names.get(place)) in layers:
                maps[layer] = self._compared(layer, x)
                if len(maps) == len(layers):
                    break
        return maps

    def _compared(self, layer: str, x: Tensor) -> Tensor:
        if (readout := self.readouts[layer]) is not None:
            return functional.conv2d(x, readout[:, :, None, None])
        compared = self.compared[layer]
        return x if compared is None else x[:, compared]


def gram(features: Tensor) -> Tensor:
    """(1, N, h, w) to the (N, N) Gram matrix per position."""
    flat = features.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


def textbook_loss(
    network: VGG, content: Tensor, style: Tensor, alpha: float, styles: Sequence[str] = STYLES
) -> Callable[[Tensor], Tensor]:
    """Equation 7 in the harness's default convention, β = 1, equal w_l, for (3, H, W) images, of a (1, 3, H, W) one."""
    textbook = TextbookVGG(network)
    with torch.no_grad():
        target = textbook(content[None], [CONTENT])[CONTENT]
        grams = {layer: gram(features) for layer, features in textbook(style[None], styles).items()}

    def loss(image: Tensor) -> Tensor:
        maps = textbook(image, (*styles, CONTENT))
        losses = [functional.mse_loss(gram(maps[layer]), grams[layer]) for layer in styles]
        return alpha * functional.mse_loss(maps[CONTENT], target) + torch.stack(losses).mean()

    return loss


def textbook_step(
    loss: Callable[[Tensor], Tensor], start: Tensor, history: int = 100
) -> tuple[Callable[[], float], Tensor]:
    """One evaluation with its optimiser, and the picture (1, 3, H, W) that it moves."""
    image = start[None].clone().requires_grad_()
    optimizer = torch.optim.LBFGS([image], lr=1, max_iter=1, history_size=history)

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(image)
        total.backward()
        return total

    return lambda: optimizer.step(closure).item(), image


def bare_convolutions(network: VGG, height: int, width: int) -> Callable[[], None]:
    """Every 3 × 3 convolution of a network once forwards and once for its input's gradient: direct, channels-last.

    For an H × W picture; each on numbers of its own, so that nothing but convolutions is timed.
    """
    calls: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for layer in network.layers:
        weight = network.weight(layer)
        h, w = map_shape(layer, height, width)
        x, y = (
            torch.rand(1, num, h, w).contiguous(memory_format=torch.channels_last)
            for num in (weight.shape[1], weight.shape[0])
        )
        calls.append((x, y, weight.contiguous(memory_format=torch.channels_last), network.bias(layer)))

    @torch.no_grad()
    def both_ways() -> None:
        for x, y, weight, bias in calls:
            functional.conv2d(x, weight, bias, padding=1)
            torch.ops.aten.convolution_backward(
                y, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
            )

    return both_ways
