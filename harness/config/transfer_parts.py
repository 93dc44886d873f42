"""What the fields of a transfer may be: names, weights of layers, parts with fields of their own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from harness.config.layers import LayerName, in_network_order
from harness.config.registered import registered_in
from harness.config.values import Count, FilePath, Rate, Size, Strict, Weight, by_name, expand_name, number
from harness.registries import method, network, style_statistic, term

Convention = Literal[
    "released", "printed", "neural_style", "notebook", "neural_image_synthesis", "deep_textures", "gordicaleksa"
]
Precision = Literal["float32", "float64", "bf16", "tf32"]
WeightsName = Literal["embedded", "vgg16", "torchvision", "caffe"]
StartName = Literal["content", "style", "noise"]
Bounds = Literal["none", "unit", "source"]
LayerWeights = Annotated[
    dict[LayerName, Weight],
    AfterValidator(in_network_order),
    Field(description="a mapping of layers to weights, such as {conv4_2: 1}"),
]
Terms = Annotated[
    dict[Annotated[str, registered_in(term)], Weight],
    AfterValidator(lambda terms: {name: terms[name] for name in sorted(terms)}),  # whatever order they were typed in
    Field(description="a mapping of terms to weights, such as {my_term: 0.5}"),
]
Method = Annotated[str, Field(strict=True, description="the name of a method"), registered_in(method)]
StyleStatistic = Annotated[
    str, Field(strict=True, description="the name of a style statistic"), registered_in(style_statistic)
]


class StartFile(Strict):
    """Start the optimisation from an image file.

    Attributes:
        file: the image.
    """

    file: FilePath


class WeightsPath(Strict):
    """Network weights in a file.

    Attributes:
        file: of VGG-19 or VGG-16, ``.pth`` or ``.safetensors``, in any of the usual key styles.
        input: whose colours the network was trained on. May be left out only for a known hash, or a file that says it.
    """

    file: FilePath
    input: Literal["torchvision", "caffe"] | None = None


ADDRESS = r"^https?://[^\s/?@#;&]+(/[^\s?@#;&]*)?([?&][^\s=&@#;]+=[^\s&@#;]{0,15})*$"
"""Without what would be a secret in files and in W&B: a user, a password, a key of 16 letters or more in the query."""

NO_SECRET = "without user, password or key (it would stand in files; fetch it by hand, and give file: …)"


class WeightsUrl(Strict):
    """Network weights to download.

    Attributes:
        url: of the file.
        sha256: of what it holds: all 64 digits or, as torch.hub does, at least the first 8.
        input: whose colours the network was trained on. May be left out only for a known hash, or a file that says it.
    """

    url: Annotated[
        str,
        Field(strict=True, pattern=ADDRESS, description=f"an http:// or https:// address {NO_SECRET}"),
    ]
    sha256: Annotated[
        str,
        Field(strict=True, pattern=r"^[0-9a-fA-F]{8,64}$", description="8 to 64 hexadecimal digits, in quotes"),
        AfterValidator(str.lower),
    ]
    input: Literal["torchvision", "caffe"] | None = None


class WeightsNetwork(Strict):
    """A plugin's network, by its name; ``pooling``, ``padding`` and ``normalised`` say nothing to it."""

    network: Annotated[str, Field(strict=True, description="the name of a network"), registered_in(network)]


class Lbfgs(Strict):
    """L-BFGS, the paper's optimiser.

    # Deviates from Gatys et al. 2016, section 2, and DeepTextures: ``initial_hessian`` ``fourier`` begins every
    # iteration with a filter that favours low frequencies, and colours in the proportions of photographs, instead of a
    # scaled identity: 300 evaluations from noise leave far less of the noise than with ``scaled_identity``.

    # Deviates from Gatys et al. 2016, section 2, which names neither a line search nor bounds: ``backtracking``, and
    # ``source`` as in the authors' DeepTextures.

    Attributes:
        history: curvature pairs that are kept. 20 is what the authors' DeepTextures gives scipy (``maxcor``); it
            converges as well as 100 at a fifth of the memory.
        line_search: how long a step is. ``backtracking``, since each size of a pyramid begins near its goal, where a
            first step without a search overshoots at times (two seeds of six: 30 evaluations lost); ``none`` takes
            torch.optim.LBFGS's steps; ``strong_wolfe`` is the textbook's.
        learning_rate: length of a step, or a line search's first trial.
        bounds: where pixels stay. ``unit`` is the box [0, 1], ``source`` (DeepTextures' too) each channel's range in
            the style image; without bounds the optimum lies far outside what a picture can show, and clipping it
            spoils the style.
        initial_hessian: what every iteration begins with. ``scaled_identity`` is the textbook's.
    """

    name: Literal["lbfgs"] = "lbfgs"
    history: Annotated[int, number("integer", ge=1, le=200)] = 20
    line_search: Literal["none", "backtracking", "strong_wolfe"] = "backtracking"
    learning_rate: Rate = 1.0
    bounds: Bounds = "source"
    initial_hessian: Literal["fourier", "scaled_identity"] = "fourier"


class Adam(Strict):
    """Adam, the alternative.

    Attributes:
        learning_rate: the step, in units of the pixel range [0, 1].
        bounds: where pixels stay, as of L-BFGS.
    """

    name: Literal["adam"]
    learning_rate: Rate = 0.02
    bounds: Bounds = "none"


class PyramidLevel(Strict):
    """A smaller picture that is optimised before: its result, enlarged, is where the next size starts.

    Attributes:
        size: longer side, px.
        steps: its loss evaluations.
    """

    size: Size
    steps: Count


class Photorealism(Strict):
    """The photorealism regularisation of Luan, Paris, Shechtman & Bala 2017: λ L_m (eqs 2 and 4).

    Attributes:
        weight: λ; theirs is 1e4, of a sum over pixels.
        first_stage: their two stages: that many of the ``steps`` are spent without the regulariser, then the optimiser
            starts anew from the result, with it. Also where λ is 0, so that runs of several λ differ in nothing else.
    """

    weight: Weight = 0.0
    first_stage: Annotated[int, number("integer", ge=0)] = 0


class Quilting(Strict):
    """Image quilting: Efros & Freeman 2001; for ``method: quilting`` only.

    Attributes:
        task: ``transfer`` reproduces the photograph's luminance in blocks of the style image (their section 3);
            ``synthesis`` makes more of the style image's texture, as large as the photograph (section 2).
        block: side of a block, px.
        overlap: of neighbouring blocks, as a part of the block.
        tolerance: blocks whose error is within this part above the best one's are drawn from.
        iterations: of a transfer; the block shrinks by a third each time.
    """

    task: Literal["transfer", "synthesis"] = "transfer"
    block: Annotated[int, number("integer", ge=4, le=512)] = 36
    overlap: Annotated[float, number("number", gt=0, le=0.5)] = 1 / 6
    tolerance: Weight = 0.1
    iterations: Annotated[int, number("integer", ge=1, le=10)] = 3


def _value(data: Any, key: str) -> Any:
    """Entry or attribute ``key``: pydantic asks its discriminators about raw data and about models."""
    return data.get(key) if isinstance(data, dict) else getattr(data, key, None)


def _tag_of_start(data: Any) -> str | None:
    if isinstance(data, str):
        return "<name>"
    return "<file>" if isinstance(data, dict | StartFile) else None


def _tag_of_weights(data: Any) -> str | None:
    if isinstance(data, str):
        return "<name>"
    tags = [f"<{key}>" for key in ("file", "url", "network") if _value(data, key) is not None]
    return tags[0] if len(tags) == 1 else None


def _tag_of_pyramid(data: Any) -> str | None:
    if isinstance(data, str):
        return "<name>"
    return "<list>" if isinstance(data, list | tuple) else None


Pyramid = Annotated[
    Annotated[Literal["auto"], Tag("<name>")] | Annotated[tuple[PyramidLevel, ...], Tag("<list>")],
    Discriminator(_tag_of_pyramid),
    Field(description="auto, or a list of smaller sizes before, such as [{size: 256, steps: 200}]"),
]
Start = Annotated[
    Annotated[StartName, Tag("<name>")] | Annotated[StartFile, Tag("<file>")],
    Discriminator(_tag_of_start),
    Field(description="content, style, noise, or {file: …}"),
]
Weights = Annotated[
    Annotated[WeightsName, Tag("<name>")]
    | Annotated[WeightsNetwork, Tag("<network>")]
    | Annotated[WeightsPath, Tag("<file>")]
    | Annotated[WeightsUrl, Tag("<url>")],
    Discriminator(_tag_of_weights),
    Field(
        description="embedded, vgg16, torchvision, caffe, {network: …}, {file: …, input: …} or {url: …, sha256: …, "
        "input: …}"
    ),
]
Optimiser = Annotated[
    Annotated[Lbfgs, Tag("<lbfgs>")] | Annotated[Adam, Tag("<adam>")],
    by_name("lbfgs", "adam", default="lbfgs"),
    BeforeValidator(expand_name),
    Field(description="lbfgs, adam, {name: lbfgs, …} or {name: adam, …}"),
]
