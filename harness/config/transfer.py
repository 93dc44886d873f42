"""One fully resolved configuration of one picture, its defaults, and what each default comes from.

``Transfer`` is frozen and refuses unknown keys.
Paths are kept as they are given and are relative to the working directory. Whether an image exists, or a layer lies
within the chosen weights, is not decided here: this layer opens no files.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from harness.config.layers import LAYERS, nearest_layer
from harness.config.methods import is_used
from harness.config.styles import Segmentation, Style
from harness.config.transfer_parts import (
    Convention,
    LayerWeights,
    Lbfgs,
    Method,
    Optimiser,
    Photorealism,
    Precision,
    Pyramid,
    Quilting,
    Start,
    StyleStatistic,
    Terms,
    Weights,
    WeightsNetwork,
)
from harness.config.values import (
    CROSS_FIELD,
    ORIGINAL_PX,
    Count,
    Image,
    PictureSize,
    Rate,
    Scale,
    Seed,
    Strict,
    Truth,
    Weight,
    number,
)


class Transfer(Strict):
    """One fully resolved configuration of one picture; every default stands here, with its source.

    # Deviates from Gatys et al. 2016: there is one size. From noise, large forms come sooner at a small one. How strong
    # that noise is, the paper does not say: ``noise_sigma`` is a weak one's.

    Attributes:
        method: how the picture is made. ``gatys``: equation 7 is minimised; ``quilting``: pieces of the painting are
            copied (Efros & Freeman 2001), and the losses are the errors of its blocks.
        content: the photograph.
        style: the painting, or several. ``{strokes: 0.75, mosaic: 0.25}`` gives each style term its painting's weight;
            in full ``{mosaic: {weight: 1, scale: 0.5, mask: …, own_mask: …}}``, guided Gram matrices (Gatys et al.
            2017).
        segmentation: which regions of photograph and painting belong together. Label images; regions of equal
            colour, at most 32, are matched with each other (Luan et al. 2017).
        style_scale: how large the painting is beside the photograph. At 1 it has the photograph's area, at 2 its
            strokes are twice as long. The paper resizes the painting to the photograph's size.
        colours: whose colours the picture has. ``style``: the painting's; ``luminance``: only luminance is transferred,
            and the photograph's colours are kept (Gatys, Bethge, Hertzmann & Shechtman 2016, "Preserving Color in
            Neural Artistic Style Transfer", section 3.2); ``recoloured``: the painting is given the photograph's mean
            and covariance of colours first (section 3.1).
        transparency: what becomes of a photograph's transparent part. ``keep``: the picture is transparent there, and
            the painting is matched in the rest alone; ``white``: it is painted as if it were white.
        size: longer side of the picture, px. ``original``: the photograph's own, at most 8192. The paper's pictures
            have 512 × 512 px.
        steps: loss evaluations at ``size``. The default is that of the authors' PyTorch notebook; smaller sizes of a
            pyramid have their own.
        pyramid: smaller sizes before ``size``, each from the result of the one before. It is enlarged, and the
            optimiser starts anew. ``auto``: where the start is noise, a quarter and a half of ``size``, with as many
            steps each, if their shorter side has at least 72 px; else none. ``[]``: none. Coarse to fine as in Gatys et
            al. 2017, section 6.
        start: where the optimisation begins. The paper begins with noise, but for figures 6 and 7.
        seed: of the noise, and of the blocks that quilting draws.
        noise_sigma: standard deviation of the noise around 0.5, in [0, 1]. The paper does not say; projects differ by a
            factor of 1000. More than a little white noise stays in the picture for ever: pooling averages away the
            finest frequencies, which the loss hardly sees.
        noise_spectrum: the noise's spectrum. ``white`` (the paper, section 2.2), or ``pink``: amplitude 1/f, as
            photographs have it (Field 1987); of strong pink noise less remains.
        content_layers: the content's layers and their weights v_l. The paper has conv4_2 (section 3); 0 switches a
            layer off.
        style_layers: the style's layers and their weights w_l. The paper has five with 1/5 each (section 3); 0 switches
            a layer off.
        alpha: weight α of the content. In the units of ``convention``. α/β = 1e-3: the paper, figures 3 (Turner), 5 and
            6; 1e-3 is the painting's texture, 1e-1 the photograph, painted.
        beta: weight β of the style. In the units of ``convention``.
        style_statistic: what of the style layers' maps is compared. ``gram``: Gram matrices (the paper, equations 3 and
            4); or a plugin's.
        total_variation: weight of the mean squared difference of neighbours. Mahendran & Vedaldi 2015; the paper has
            none.
        photorealism: keeps a photograph a photograph. λ times the matting Laplacian, pixels in [0, 1] (Luan et al.
            2017).
        terms: further terms of the loss, a plugin's, and the weight λ of each.
        smoothing: smooths the finished picture along the photograph's edges. Of any method; ``total``, ``content`` and
            ``style`` are those before it. Li et al. 2018 take 0.9999 (λ = 1/α − 1 = 1e-4).
        convention: the project in whose units α and β are meant. In ``released`` the printed ratios give the printed
            pictures. ``harness fields conventions`` has their formulas, ``harness explain`` converts.
        weights: the network. ``embedded`` comes with the package; ``vgg16`` is torchvision's, from the package
            registry; ``torchvision`` and ``caffe`` (the paper's) are VGG-19, downloaded; a file or an address may be
            given.
        pooling: how the network's maps are made smaller. The paper takes averages (section 2).
        padding: what lies around a map. Zeros are VGG's own.
        normalised: whether the network's mean activations are 1. As in the paper, section 2.
        optimiser: what minimises the loss. The paper's L-BFGS, or Adam.
        precision: of the arithmetic. ``float32``; ``float64``; ``bf16``: the network's maps and convolutions have
            bfloat16's 8 bits of mantissa, while picture, Gram matrices, losses and optimiser are float32's; ``tf32``:
            float32, whose convolutions take 11 bits of each factor, on a GPU that has TF32 alone. Neither has been
            measured on a GPU yet; ``tests/benchmarks/precisions.py`` has their effect on the losses.
        quilting: blocks of ``method: quilting``.
    """

    method: Method = "gatys"
    content: Image
    style: Style
    segmentation: Segmentation | None = None
    style_scale: Scale = 1.0
    colours: Literal["style", "luminance", "recoloured"] = "style"
    transparency: Literal["keep", "white"] = "keep"
    size: PictureSize = 512
    steps: Count = 500
    pyramid: Pyramid = "auto"
    start: Start = "noise"
    seed: Seed = 0
    noise_sigma: Rate = 0.02
    noise_spectrum: Literal["white", "pink"] = "white"
    content_layers: LayerWeights = {"conv4_2": 1.0}
    style_layers: LayerWeights = {
        "conv1_1": 0.2, "conv2_1": 0.2, "conv3_1": 0.2, "conv4_1": 0.2, "conv5_1": 0.2
    }  # fmt: skip
    alpha: Weight = 1e-3
    beta: Weight = 1.0
    style_statistic: StyleStatistic = "gram"
    total_variation: Weight = 0.0
    photorealism: Photorealism = Photorealism()
    terms: Terms = {}
    smoothing: Annotated[float, number("number", ge=0, le=0.9999)] = 0.0
    convention: Convention = "released"
    weights: Weights = "embedded"
    pooling: Literal["average", "max"] = "average"
    padding: Literal["zeros", "reflect"] = "zeros"
    normalised: Truth = True
    optimiser: Optimiser = Lbfgs()
    precision: Precision = "float32"
    quilting: Quilting = Quilting()

    def every_term(self) -> dict[str, float]:
        """λ of every term beside content and style, those with fields of their own first."""
        return {"total_variation": self.total_variation, "photorealism": self.photorealism.weight, **self.terms}

    def plain(self) -> dict[str, Any]:
        """As plain data without what is None: what transfer.yaml, cells.json and W&B have of it."""
        return self.model_dump(mode="json", exclude_none=True)

    @model_validator(mode="after")
    def _sides_agree(self) -> Transfer:
        """What no field can see alone: each side has a weight and, if it counts, layers to weigh.

        Fields that the method does not use may say what they like.
        """
        faults: list[tuple[tuple[str, ...], str]] = []
        if self.alpha == 0 and self.beta == 0:
            faults.append((("alpha", "beta"), "alpha and beta are both 0: nothing is optimised; make one of them > 0"))
        for side, letter, weight, layers in (
            ("content_layers", "alpha", self.alpha, self.content_layers),
            ("style_layers", "beta", self.beta, self.style_layers),
        ):
            if weight > 0 and not any(layers.values()):
                state = "has only weights 0" if layers else "is empty"
                faults.append(((side, letter), f"{side} {state} while {letter} is {weight!r}: "
                               f"give a layer a weight > 0, or set {letter} to 0"))  # fmt: skip
        faults += self._style_faults() + self._level_faults() + self._layer_faults()
        faults = [fault for fault in faults if all(is_used(self.method, field) for field in fault[0])]
        if faults:
            raise PydanticCustomError(CROSS_FIELD, "fields contradict each other", {"faults": faults})
        return self

    def _style_faults(self) -> list[tuple[tuple[str, ...], str]]:
        """Several paintings, their masks, and what cannot stand beside them."""
        faults: list[tuple[tuple[str, ...], str]] = []
        parts = () if isinstance(self.style, str) else tuple(self.style.values())
        for field, is_masked in (
            ("style", any(part.mask or part.own_mask for part in parts)),
            ("segmentation", self.segmentation is not None),
        ):
            if is_masked and self.style_statistic != "gram":
                sentence = (
                    f"masks and regions are of Gram matrices, {self.style_statistic} knows none; drop one of them"
                )
                faults.append((("style_statistic", field), sentence))
            if is_masked and isinstance(self.weights, WeightsNetwork):
                sentence = "masks and regions are brought to the maps of a VGG; take such weights, or drop them"
                faults.append((("weights", field), sentence))
        if isinstance(self.style, str):
            return faults
        if self.beta > 0 and not any(part.weight for part in self.style.values()):
            faults.append((("style", "beta"), "every painting has weight 0; give one a weight > 0"))
        if self.segmentation is not None:
            sentence = "a segmentation pairs the regions of one painting; name one, or give each painting its own mask"
            faults.append((("segmentation", "style"), sentence))
        if self.method == "quilting":
            sentence = "quilting takes its blocks from one whole painting; give its name alone, and style_scale"
            faults.append((("style", "method"), sentence))
        return faults

    def _layer_faults(self) -> list[tuple[tuple[str, ...], str]]:
        """Layers that only a plugin's network may have; of one, which it has is known once it is made."""
        if isinstance(self.weights, WeightsNetwork):
            return []
        faults: list[tuple[tuple[str, ...], str]] = []
        sides = {"content_layers": self.content_layers, "style_layers": self.style_layers}
        for side, layer in ((side, layer) for side, layers in sides.items() for layer in layers):
            if layer not in LAYERS:
                close = nearest_layer(layer)
                meant = f"did you mean {close}?" if close else f"allowed: {', '.join(LAYERS)}"
                sentence = f"there is no VGG-19 layer {layer!r}; {meant} A plugin's are for weights: {{network: …}}"
                faults.append(((f"{side}.{layer}", "weights"), sentence))
        return faults

    def _level_faults(self) -> list[tuple[tuple[str, ...], str]]:
        """Sizes that grow, stages that fit."""
        faults: list[tuple[tuple[str, ...], str]] = []
        levels = () if self.pyramid == "auto" else self.pyramid
        sizes = [level.size for level in levels] + [self.size] * (self.size != ORIGINAL_PX)
        if any(later <= earlier for earlier, later in zip(sizes, sizes[1:], strict=False)):
            sentence = f"the sizes {', '.join(map(str, sizes))} (the last one is size) must grow from one to the next"
            faults.append((("pyramid", "size"), sentence))
        first_stage = self.photorealism.first_stage
        if first_stage >= self.steps:
            sentence = f"first_stage is {first_stage} of {self.steps} steps; leave some for the second stage"
            faults.append((("photorealism", "steps"), sentence))
        if self.colours == "luminance" and self.photorealism.weight > 0:
            sentence = (
                "photorealism compares colours with the photograph's, which luminance keeps anyway; drop one of them"
            )
            faults.append((("colours", "photorealism"), sentence))
        return faults
