"""Winograd's kernels against torch's own calls, for every shape of the networks, both ways: where they win.

    python tests/benchmarks/convolutions.py                   VGG-16 and the embedded network at 256 px, one thread
    python tests/benchmarks/convolutions.py --threads 2 --size 512

Least of nine, in ms; the direct kernel without its ReLU, Winograd's with it. The last column is what is taken
(``harness.features.passes``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from evaluation import machine, network_named
from torch import Tensor
from torch.nn import functional

from harness.features import winograd
from harness.features.passes import by_winograd
from harness.features.vgg import map_shape


def least_ms(work: Callable[..., object], *given: object) -> float:
    """Of nine calls, after two."""
    taken = []
    for _ in range(11):
        began = time.perf_counter()
        work(*given)
        taken.append(time.perf_counter() - began)
    return 1e3 * min(taken[2:])


def direct(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.conv2d(x, weight, bias, padding=1)


def direct_back(g: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return torch.ops.aten.convolution_backward(
        g, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{machine()}\n{given.size} px, {given.threads} threads\n")
    print(
        "| network | layer | C | N | px | direct | Winograd | ratio | direct, back | Winograd, back | ratio | taken |"
    )
    print("| --- " * 12 + "|")
    for name in ("vgg16", "embedded"):
        network = network_named(name)
        for layer in network.layers[1:]:
            weight, bias, (h, w) = network.weight(layer), network.bias(layer), map_shape(layer, given.size, given.size)
            num_out, num_in = weight.shape[:2]
            x = torch.randn(1, num_in, h, w).contiguous(memory_format=torch.channels_last)
            y = torch.randn(1, num_out, h, w).contiguous(memory_format=torch.channels_last)
            of_row, g = (t[0].permute(1, 2, 0) for t in (x, y))
            out, back, small = torch.empty_like(g), torch.empty_like(of_row), winograd.is_small(h, w)
            of_map, of_gradient = winograd.map_weights(weight, small), winograd.gradient_weights(weight, small)
            both = [
                least_ms(direct, x, weight, bias),
                least_ms(winograd.convolve, of_row, of_map, bias, out),
                least_ms(direct_back, y, x, weight),
                least_ms(winograd.input_gradient, g, out, of_gradient, back),
            ]
            ratios = [both[1] / both[0], both[3] / both[2]]
            told = [f"{both[0]:.1f}", f"{both[1]:.1f}", f"{ratios[0]:.2f}"]
            told += [f"{both[2]:.1f}", f"{both[3]:.1f}", f"{ratios[1]:.2f}"]
            taken = "Winograd" if by_winograd(network, layer, h, w) else "direct"
            print(f"| {name} | {layer} | {num_in} | {num_out} | {h} | {' | '.join(told)} | {taken} |", flush=True)


if __name__ == "__main__":
    main()
