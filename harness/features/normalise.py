"""Rescale a VGG so that each filter's mean activation is 1 (Gatys et al. 2016, section 2).

The mean m_c of filter c is taken after the ReLU, over photographs and positions. The filter's weights and bias are
divided by m_c and the next layer's matching input is multiplied by it. ReLU, both poolings and both paddings commute
with a positive factor per channel, so what the network computes is unchanged: F_c of the original = m_c · F_c here.

**With which pooling?** The paper does not say. The first five layers of the authors' own normalised VGG-19 (published
with Li et al. 2017) have, over 60 natural photographs, mean activations of 0.96, 0.98, 0.95, 0.93, 0.93 with max
pooling and of 0.96, 0.98, 0.76, 0.76, 0.54 with average pooling: they were measured with max pooling, as the network
was trained, and average pooling was put in afterwards. So it is done here, whatever pooling and padding a transfer
has. It is no detail: under average pooling the deeper layers' activations are then a half to a sixth of 1, and the
paper's ratios α/β mean what they mean in the paper only so.

# Deviates from Gatys et al. 2016, section 2: the means are not over ImageNet's validation set, which cannot be had
# without an account. For the registry's VGG-16 they were measured over natural photographs and come with the package
# (``harness.features.published_means``); for any other network they are over the few photographs bundled with
# scikit-image, too few for sparse filters: on VGG-16 with average pooling these were wrong by factors of 0.2 to 15 in
# single filters, and a filter that hardly fires on them outweighs whole layers on the next photograph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

from harness.errors import WeightsError
from harness.features.means_cache import means_file, read_means, write_means
from harness.features.published_means import published_means
from harness.features.vgg import VGG, Padding, Pooling, layers_in, minimum_size_px, with_all_filters
from harness.features.weights import LoadedWeights, load_state

NORMALISED_WITH: tuple[Pooling, Padding] = ("max", "zeros")
"""Pooling and padding under which the mean activations are 1: those of the network's training."""

CALIBRATION_PHOTOGRAPHS = (
    "astronaut",
    "chelsea",
    "coffee",
    "rocket",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
)
"""The colour photographs inside scikit-image's wheel."""

CALIBRATION_SIZE_PX = 256
"""Longer side of a calibration photograph."""

FLOOR = 1e-3
"""Means below this share of their layer's median are raised to it: dividing by less would blow noise up."""

FIRING = 1e-3
"""A filter fires when its mean is above this share of its layer's largest; the median is taken over those.

In a compressed network more than half of a layer may never fire (65 of conv4_3's 128 in Wang et al. 2020's): the median
over all of its filters would be 0, and no floor at all.
"""

PROBE_SIZE_PX = 64
"""Side of the crop on which the rescaled network is compared with the original."""


@torch.no_grad()
def mean_activations(
    state: Mapping[str, Tensor], photographs: Iterable[Tensor], pooling: Pooling, padding: Padding
) -> dict[str, Tensor]:
    """Mean activation of every filter over all photographs and positions, after the ReLU.

    Args:
        state: a network as ``VGG`` takes it.
        photographs: (1, 3, H, W) or (B, 3, H, W) sRGB in [0, 1]; sizes may differ: every position counts the same.
        pooling: the network's pooling.
        padding: the network's padding.

    Returns:
        Layer to (N,) float64, for all layers held.

    Raises:
        WeightsError: there is no photograph, or an activation is not finite.
    """
    network = VGG(with_all_filters(state), pooling=pooling, padding=padding)
    sums = {layer: torch.zeros(network.num_filters(layer), dtype=torch.float64) for layer in network.layers}
    counts = dict.fromkeys(network.layers, 0)
    for photograph in photographs:
        with torch.inference_mode():  # by the direct kernels, whose rounding is least
            maps = network(photograph, network.layers)
        for layer, features in maps.items():
            sums[layer] += features.sum((0, 2, 3), dtype=torch.float64)
            counts[layer] += features.shape[0] * features.shape[2] * features.shape[3]
    for layer in network.layers:
        if not counts[layer]:
            raise WeightsError("Mean activations need at least one photograph.")
        if not bool(sums[layer].isfinite().all()):
            raise WeightsError(
                f"{layer} is not finite on the calibration photographs, so the network cannot be normalised. "
                "The weights are damaged, or their input: (torchvision, caffe) is not the one they were trained with."
            )
    return {layer: sums[layer] / counts[layer] for layer in network.layers}


def raised_means(layer: str, means: Tensor) -> Tensor:
    """The (N,) means a layer is divided by: those below ``FLOOR`` of the firing filters' median raised to that.

    Raises:
        WeightsError: no filter of the layer fires.
    """
    if not bool((means > 0).any()):
        raise WeightsError(
            f"No filter of {layer} fires on the calibration photographs, so the network cannot be normalised. "
            "The weights are not a trained VGG, or their input: (torchvision, caffe) is not the one they were "
            "trained with; turn normalisation off to use them as they are."
        )
    median = means[means > FIRING * means.max()].median()
    return means.clamp(min=FLOOR * float(median))


@torch.no_grad()
def rescale(state: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network with every filter divided by its mean activation (raised: see ``raised_means``).

    Args:
        state: a network as ``VGG`` takes it.
        means: layer to (N,), for every layer of the state.

    Returns:
        A new state, float32; ``input`` is the old one.

    Raises:
        WeightsError: a layer whose filters never fire.
    """
    scaled = {name: state[name].clone() for name in ("input.weight", "input.bias")}
    before = torch.ones(3, dtype=torch.float64)
    for layer in layers_in(state):
        own = raised_means(layer, means[layer].double())
        weight = state[f"{layer}.weight"].double() * before[None, :, None, None] / own[:, None, None, None]
        scaled[f"{layer}.weight"] = weight.float()
        scaled[f"{layer}.bias"] = (state[f"{layer}.bias"].double() / own).float()
        before = own
    return scaled


def compared_filters(state: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The filters that the normalised network's maps have, for layers where these are not all: ``convB_I.compared``.

    A filter whose mean had to be raised never fires on photographs. Its scale is arbitrary, so that noise could weigh
    a thousandfold in it (with Wang et al.'s encoder the pictures turn to noise, seen): it is left out of the maps, and
    still feeds the next layer.

    # Deviates from Gatys et al. 2016, section 2: there every filter is compared.
    """
    kept = {}
    for layer in layers_in(state):
        own = means[layer].double()
        fires = own >= raised_means(layer, own)
        if (before := state.get(f"{layer}.compared")) is not None:
            fires &= torch.zeros_like(fires).index_fill(0, before.long(), True)
        if not bool(fires.all()):
            kept[f"{layer}.compared"] = fires.nonzero()[:, 0]
    return kept


@torch.inference_mode()
def verify_unchanged(
    state: Mapping[str, Tensor],
    scaled: Mapping[str, Tensor],
    means: Mapping[str, Tensor],
    probe: Tensor,
    pooling: Pooling,
    padding: Padding,
    tolerance: float = 1e-3,
) -> None:
    """Check on a (1, 3, H, W) probe image that F of ``state`` is mean · F of ``scaled`` in every layer.

    Compared filter by filter in the rescaled units, relative to the filter's largest activation or to its mean, 1; by
    the direct kernels, since what a filter that hardly ever fires gives is a small difference of large numbers.

    Raises:
        WeightsError: the two differ by more than ``tolerance`` anywhere.
    """
    original, rescaled = (VGG(with_all_filters(s), pooling=pooling, padding=padding) for s in (state, scaled))
    layers = original.layers
    after = rescaled(probe, layers)
    for layer, before in original(probe, layers).items():
        expected = before / raised_means(layer, means[layer].double()).float()[:, None, None]
        size = expected.amax((0, 2, 3)).clamp(min=1)
        error = float(((after[layer] - expected).abs().amax((0, 2, 3)) / size).max())
        if not error <= tolerance:
            raise WeightsError(
                f"Normalising changed what {layer} computes (relative difference {error:.1e}, allowed "
                f"{tolerance:.0e}): these weights' scales differ too much for float32. Turn normalisation off to use "
                "them as they are."
            )


def normalised_state(loaded: LoadedWeights, photographs: Iterable[Tensor] | None = None) -> dict[str, Tensor]:
    """A network's weights with every filter's mean activation 1 under ``NORMALISED_WITH``, whatever it is used with.

    A network whose means over many photographs come with the package (``published_means``) takes those. All others are
    measured on the bundled photographs; these means are cached by the hashes of network and photographs. They are
    measured on the CPU with one thread, so that they, and every run after them, do not depend on device or threads
    (3 s once for the full VGG-19).

    Args:
        loaded: weights from ``load_state``.
        photographs: (1, 3, H, W) sRGB in [0, 1]; the bundled photographs at 256 px when left out.

    Raises:
        WeightsError: the network cannot be normalised.
    """
    if photographs is None and loaded.normalised == "/".join(NORMALISED_WITH):
        return dict(loaded.state)
    if any(name.endswith(".readout") for name in loaded.state):
        # A read-out carries the metric: R F is meant to be compared as it is. Scaling F to mean activation 1 would have
        # to be undone in R, and would change nothing.
        return dict(loaded.state)
    means = published_means(loaded.network_hash) if photographs is None else None
    with _one_thread():
        photographs = list(calibration_photographs() if photographs is None else photographs)
        if means is None:
            means = _measured_means(loaded, photographs)
        scaled = rescale(loaded.state, means)
        side = max(PROBE_SIZE_PX, minimum_size_px(loaded.layers[-1]))
        verify_unchanged(loaded.state, scaled, means, photographs[0][:1, :, :side, :side], *NORMALISED_WITH)
    return scaled | compared_filters(loaded.state, means)


@lru_cache(maxsize=1)
def embedded_network() -> VGG:
    """The network on which the comparable numbers are measured, whatever was optimised; on the CPU, in float32."""
    return VGG(normalised_state(load_state("embedded")))


def _measured_means(loaded: LoadedWeights, photographs: list[Tensor]) -> dict[str, Tensor]:
    """Mean activations over these photographs, from the cache where they have been measured before."""
    file = means_file(f"{loaded.network_hash} {'/'.join(NORMALISED_WITH)}", photographs)
    means = read_means(file, loaded.layers)
    if means is None:
        means = mean_activations(loaded.state, photographs, *NORMALISED_WITH)
        write_means(file, means)
    return means


def calibration_photographs() -> list[Tensor]:
    """The bundled photographs as (1, 3, H, W) sRGB in [0, 1], longer side 256 px."""
    from harness.images.files import read_image
    from harness.images.library import image_file, list_images
    from harness.images.resize import fit_longer_side, resize, to_tensor

    files = {image.name: image_file(image) for image in list_images()}
    photographs = []
    for name in CALIBRATION_PHOTOGRAPHS:
        image = to_tensor(read_image(files[name]))
        height, width = fit_longer_side(image.shape[1], image.shape[2], CALIBRATION_SIZE_PX)
        photographs.append(resize(image, height, width)[None])
    return photographs


@contextmanager
def _one_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
