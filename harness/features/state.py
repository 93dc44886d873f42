"""Bring any state dict of VGG-19 or VGG-16 into one form: ``convB_I.weight|bias`` and ``input.weight|bias``, float32.

Key styles read here: torchvision's ``features.N.weight``, the same without ``features.``, Gatys et al.'s
``convB_I.weight`` (vgg_conv.pth), and the Sequential with reflection paddings and its own 1×1 input convolution
published with Huang & Belongie 2017 (vgg_normalised.pth); each behind any of the usual prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from harness.errors import WeightsError
from harness.features.inputs import CAFFE_MEAN, IMAGENET_DEVIATION, IMAGENET_MEAN
from harness.features.sources import NetworkInput
from harness.features.vgg import LAYERS, NETWORKS, VGG16, VGG19, layers_of

_PREFIX = r"(?:(?:module|model|vgg|vgg16|vgg19|net|network|encoder|backbone|features|state_dict|_orig_mod)\.)*"
_NAMED = re.compile(_PREFIX + r"(conv\d+_\d+|input)\.(weight|bias)")
_NUMBERED = re.compile(_PREFIX + r"(\d+)\.(weight|bias)")

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

_NEEDED = (
    "Needed is a VGG-19 or VGG-16 without batch normalisation: its 3×3 convolutions from conv1_1 on, all or the "
    "first of them without a gap, under keys like features.0.weight (torchvision) or conv1_1.weight."
)


def _positions(blocks: Sequence[int], first: int = 0, step: int = 2) -> tuple[int, ...]:
    """Where the convolutions stand in a Sequential: ``step`` modules apart, and one more for each pooling."""
    positions, at = [], first
    for num in blocks:
        positions += [at + step * i for i in range(num)]
        at += step * num + 1
    return tuple(positions)


BLOCKS = {"VGG-19": VGG19, "VGG-16": VGG16}
OTHER_BLOCKS = {"VGG-13": (2, 2, 2, 2, 2), "VGG-11": (1, 1, 2, 2, 2)}
"""Its siblings, which are recognised to be refused by name."""


def input_convolution(network_input: NetworkInput) -> tuple[Tensor, Tensor]:
    """The 1×1 convolution from sRGB in [0, 1] to a network's own input.

    ``torchvision``: (x − mean) / std with ImageNet's mean and standard deviation. ``caffe``: channels in the order
    blue, green, red, 255·x − (103.939, 116.779, 123.68).

    Returns:
        Weight (3, 3, 1, 1) and bias (3,), float32.
    """
    if network_input == "torchvision":
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        return torch.diag(1 / std)[:, :, None, None], -mean / std
    weight = 255 * torch.eye(3).flip(0)
    return weight[:, :, None, None].contiguous(), -torch.tensor(CAFFE_MEAN)


def vgg_state(tensors: Mapping[str, Tensor], network_input: NetworkInput | None, what: str) -> dict[str, Tensor]:
    """The tensors in the form ``VGG`` takes, every one checked.

    Args:
        tensors: a state dict with any of the usual key styles; fully connected layers are ignored.
        network_input: what the network takes; None where the tensors bring their own ``input.weight``.
        what: the source's name, for the sentences.

    Raises:
        WeightsError: another network, a gap, widths that do not fit, values that are no finite floating-point numbers,
            or an input that is not known.
    """
    what = what[:1].upper() + what[1:]
    is_vgg = any(_NAMED.fullmatch(key) or _NUMBERED.fullmatch(key) for key in tensors)
    if is_vgg and any(key.endswith("running_mean") for key in tensors):
        raise WeightsError(
            f"{what} looks like a VGG with batch normalisation (such as torchvision's vgg19_bn): "
            f"it has running_mean. {_NEEDED}"
        )
    named = _named_parts(tensors, what)
    layers = _layers_without_gap(named, what)
    state: dict[str, Tensor] = {}
    num_in = 3
    for layer in layers:
        weight, bias = _floats(named, layer, what)
        if weight.ndim != 4 or weight.shape[2:] != (3, 3):
            shape = tuple(weight.shape)
            raise WeightsError(f"{what}: {layer}.weight has shape {shape}, not (filters, channels, 3, 3). {_NEEDED}")
        is_readout = layer != layers[0] and f"{layers[layers.index(layer) - 1]}.readout" in tensors
        if weight.shape[1] != num_in and not (is_readout and 0 < weight.shape[1] < num_in):
            before = "the image has" if layer == layers[0] else f"{layers[layers.index(layer) - 1]} gives"
            raise WeightsError(f"{what}: {layer} takes {weight.shape[1]} channels, but {before} {num_in}. {_NEEDED}")
        num_in = weight.shape[0]
        if num_in == 0 or bias.shape != (num_in,):
            shape = tuple(bias.shape)
            raise WeightsError(f"{what}: {layer} has {num_in} filters and biases of shape {shape}. {_NEEDED}")
        state[f"{layer}.weight"], state[f"{layer}.bias"] = weight, bias
        state |= _what_is_compared(tensors, layer, num_in, what)
    state["input.weight"], state["input.bias"] = _input(named, network_input, what)
    return state


def _what_is_compared(tensors: Mapping[str, Tensor], layer: str, num_filters: int, what: str) -> dict[str, Tensor]:
    """A layer's ``compared`` or ``readout``, where it has one of them."""
    compared, readout = f"{layer}.compared", f"{layer}.readout"
    if compared in tensors and readout in tensors:
        raise WeightsError(f"{what} has both {compared} and {readout}. Keep one: a read-out can leave filters out.")
    if compared in tensors:
        return {compared: _indices(tensors[compared], num_filters, f"{what}: {compared}")}
    if readout in tensors:
        matrix = _float(tensors[readout], readout, what)
        if matrix.ndim != 2 or matrix.shape[0] == 0 or matrix.shape[1] != num_filters:
            shape = tuple(matrix.shape)
            raise WeightsError(f"{what}: {readout} has shape {shape}; it must be (channels, {num_filters}).")
        return {readout: matrix}
    return {}


def _indices(given: Tensor, num_filters: int, what: str) -> Tensor:
    """Distinct indices of filters, at least one, in order."""
    indices = given.detach().flatten().tolist() if not given.is_floating_point() else []
    if not indices or sorted(set(indices)) != indices or not 0 <= indices[0] <= indices[-1] < num_filters:
        raise WeightsError(f"{what} is not a list of distinct filters between 0 and {num_filters - 1}, in order.")
    return torch.tensor(indices, dtype=torch.int64)


def _named_parts(tensors: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """The tensors of convolutions under the paper's names, and ``input`` where there is one."""
    named: dict[str, Tensor] = {}
    numbered: dict[tuple[int, str], Tensor] = {}
    for key, tensor in tensors.items():
        if match := _NAMED.fullmatch(key):
            name = f"{match[1]}.{match[2]}"
            if name in named:
                raise WeightsError(f"{what} holds more than one network: {name} is there twice. Save one alone.")
            named[name] = tensor
        elif match := _NUMBERED.fullmatch(key):
            place = (int(match[1]), match[2])
            if place in numbered:
                raise WeightsError(f"{what} holds more than one network: {key} is there twice. Save one alone.")
            numbered[place] = tensor
    if any(name.startswith("conv") for name in named):
        return named
    convolutions = tuple(sorted(at for (at, part), tensor in numbered.items() if part == "weight" and tensor.ndim == 4))
    if not convolutions:
        keys = ", ".join(list(tensors)[:3]) or "none"
        raise WeightsError(
            f"{what} holds no convolution of a VGG (its keys: {keys}, …). {_NEEDED} Any other network, such as a "
            "ResNet, is named by a plugin: weights: {network: NAME}."
        )
    is_padded = convolutions[0] == 0 and numbered[0, "weight"].shape == (3, 3, 1, 1)
    names = _names(convolutions, is_padded, what)
    return named | {f"{names[at]}.{part}": tensor for (at, part), tensor in numbered.items() if at in names}


def _names(convolutions: Sequence[int], is_padded: bool, what: str) -> dict[int, str]:
    """The layers by their numbers: of the network that has all of these convolutions, best without a gap.

    Up to conv3_3 the numbers are the same in VGG-19 and VGG-16, and so are the layers.
    """
    own = ({0: "input"}, 2, 3) if is_padded else ({}, 0, 2)

    def names_of(blocks: Sequence[int]) -> dict[int, str]:
        before, first, step = own
        return before | dict(zip(_positions(blocks, first, step), layers_of(blocks), strict=True))

    def has_gap(names: Mapping[int, str]) -> bool:
        return list(names)[: len(convolutions)] != list(convolutions)

    fitting = [names for names in map(names_of, BLOCKS.values()) if set(convolutions) <= set(names)]
    if fitting:
        return min(fitting, key=has_gap)
    like = [name for name, blocks in OTHER_BLOCKS.items() if set(convolutions) <= set(names_of(blocks))]
    looks = f"looks like {like[0]}" if like else "is neither VGG-19 nor VGG-16"
    raise WeightsError(f"{what} {looks}: its convolutions are numbers {', '.join(map(str, convolutions))}. {_NEEDED}")


def _layers_without_gap(named: Mapping[str, Tensor], what: str) -> tuple[str, ...]:
    """The layers held, which must be the first ones of VGG-19 or of VGG-16."""
    held = {name.split(".")[0] for name in named} - {"input"}
    if unknown := sorted(held - set(LAYERS)):
        raise WeightsError(f"{what} has {unknown[0]}, which is no layer of VGG-19 or VGG-16. {_NEEDED}")
    for layers in NETWORKS.values():
        if held == set(layers[: len(held)]):
            return layers[: len(held)]
    like = [name for name, blocks in OTHER_BLOCKS.items() if held == set(layers_of(blocks)[: len(held)])]
    network = "VGG-16" if held <= set(NETWORKS["VGG-16"]) else "VGG-19"
    missing = next(layer for layer in NETWORKS[network] if layer not in held)
    looks = f" (it looks like {like[0]})" if like else ""
    raise WeightsError(f"{what} lacks {missing} but has deeper layers{looks}. {_NEEDED}")


def _floats(named: Mapping[str, Tensor], layer: str, what: str) -> tuple[Tensor, Tensor]:
    """A layer's weight and bias."""
    weight, bias = f"{layer}.weight", f"{layer}.bias"
    for name in (weight, bias):
        if name not in named:
            raise WeightsError(f"{what} lacks {name}. {_NEEDED}")
    return _float(named[weight], weight, what), _float(named[bias], bias, what)


def _float(tensor: Tensor, name: str, what: str) -> Tensor:
    """A tensor as finite float32, copied (what was read may be a map of the file)."""
    if tensor.dtype not in _FLOATS:
        raise WeightsError(f"{what}: {name} is {tensor.dtype}; allowed are float32, float16, bfloat16 and float64.")
    if tensor.layout != torch.strided:
        raise WeightsError(f"{what}: {name} is sparse; allowed are dense tensors. Save it with .to_dense().")
    tensor = tensor.detach().to(torch.float32, copy=True).contiguous()
    if not bool(tensor.isfinite().all()):
        raise WeightsError(f"{what}: {name} has values that are not finite. Use a file that is not damaged.")
    return tensor


def _input(named: Mapping[str, Tensor], network_input: NetworkInput | None, what: str) -> tuple[Tensor, Tensor]:
    """The network's own input convolution, or the one that belongs to ``network_input``."""
    if "input.weight" not in named:
        if network_input is None:
            raise WeightsError(
                f"{what} does not say what the network takes. Add input: torchvision (RGB in [0, 1], ImageNet mean and "
                "standard deviation) or input: caffe (BGR, 0 to 255, mean subtracted: also the authors' vgg_conv.pth)."
            )
        return input_convolution(network_input)
    if network_input is not None:
        raise WeightsError(f"{what} has its own input.weight, so input: {network_input} cannot apply. Leave input out.")
    weight, bias = _floats(named, "input", what)
    if weight.shape != (3, 3, 1, 1) or bias.shape != (3,):
        shape = tuple(weight.shape)
        raise WeightsError(f"{what}: input.weight has shape {shape}; it must be a 1×1 convolution, (3, 3, 1, 1).")
    return weight, bias
