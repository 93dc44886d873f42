"""In whose units α, β and w_l are meant: the same two numbers mean different things in every project.

Every convention here is a rescaling of the printed equations, layer by layer:

    total = α Σ_l v_l c(N_l, M_l) L_content,l  +  β Σ_l w_l s(N_l, M_l) E_l

with L_content of equation 1 and E_l of equation 4, each Gram matrix divided by its own map's area. crowsonkb's
style-transfer-pytorch (a Wasserstein distance of means and covariances) is not such a rescaling and is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Factor = Callable[[int, int], float]


@dataclass(frozen=True)
class Convention:
    """One project's units.

    Attributes:
        name: what a transfer's ``convention`` says.
        source: where the units come from.
        network: the network that they were meant for.
        formula: the objective as that project would write it.
        content_factor: c(N, M): the project's content loss of a layer over equation 1.
        style_factor: s(N, M): the project's style loss of a layer over equation 4.
    """

    name: str
    source: str
    network: str
    formula: str
    content_factor: Factor
    style_factor: Factor


def _mean_content(num_filters: int, num_positions: int) -> float:
    """Mean over filters and positions of (F − P)², over ½ Σ (F − P)²."""
    return 2.0 / (num_filters * num_positions)


def _one(num_filters: int, num_positions: int) -> float:
    """As printed."""
    return 1.0


def _mean_style(num_filters: int, num_positions: int) -> float:
    """Mean over filter pairs of (G/M − A/M)², over E_l = 1/(4N²) Σ (G/M − A/M)²."""
    return 4.0


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "released",
            "the authors' NeuralImageSynthesis, its preset for the normalised network, without its common factor 1e9",
            "normalised VGG-19, average pooling",
            "α·mean (F − P)² + β·Σ w_l mean (G/M − A/M)²",
            _mean_content,
            _mean_style,
        ),
        Convention(
            "printed",
            "Gatys et al. 2016, equations 1, 4, 5 and 7 to the letter",
            "normalised VGG-19, average pooling",
            "α·½ Σ (F − P)² + β·Σ w_l 1/(4N²) Σ (G/M − A/M)²",
            _one,
            _one,
        ),
        Convention(
            "neural_style",
            "jcjohnson/neural-style and neural-style-pt: content_weight 5, style_weight 100, w_l = 1",
            "unnormalised Caffe VGG-19, max pooling",
            "α·mean (F − P)² + β·Σ w_l mean (G/(NM) − A/(NM))²",
            _mean_content,
            lambda num_filters, num_positions: 4.0 / num_filters**2,
        ),
        Convention(
            "notebook",
            "the authors' PyTorch notebook: content weight 1, style weights 1e3/N² on sums of squares' means",
            "unnormalised Caffe VGG-19, max pooling",
            "α·mean (F − P)² + β·Σ w_l (1e3/N²) mean (G/M − A/M)²",
            _mean_content,
            lambda num_filters, num_positions: 4.0e3 / num_filters**2,
        ),
        Convention(
            "neural_image_synthesis",
            "the authors' NeuralImageSynthesis, its preset for the normalised network (α = β = 1, w_l = 1/5)",
            "normalised VGG-19, average pooling",
            "α·1e6·mean (F − P)² + β·Σ w_l 1e9·mean (G/M − A/M)²",
            lambda num_filters, num_positions: 1e6 * _mean_content(num_filters, num_positions),
            lambda num_filters, num_positions: 1e9 * _mean_style(num_filters, num_positions),
        ),
        Convention(
            "deep_textures",
            "the authors' DeepTextures: 1e9 times equation 4; it has no content term, equation 1 stands in",
            "normalised VGG-19, average pooling",
            "α·1e9·½ Σ (F − P)² + β·Σ w_l 1e9/(4N²) Σ (G/M − A/M)²",
            lambda num_filters, num_positions: 1e9,
            lambda num_filters, num_positions: 1e9,
        ),
        Convention(
            "gordicaleksa",
            "gordicaleksa/pytorch-neural-style-transfer: content 1e5, style 3e4, w_l = 1/5 (its TV term left out)",
            "unnormalised torchvision VGG-19, max pooling",
            "α·mean (F − P)² + β·Σ w_l Σ (G/(NM) − A/(NM))²",
            _mean_content,
            _mean_style,
        ),
    )
}
"""Name to convention; ``harness.config.transfer`` lists the same names, and a test holds the two equal."""
