"""One fully resolved configuration of one picture, its defaults, and what each default comes from.

``Transfer`` is frozen and refuses unknown keys. Numbers are strict: ``true`` is not 1.0 and ``"1e-3"`` is not a number.
Paths are kept as they are given and are relative to the working directory. Whether an image exists, or a layer lies
within the chosen weights, is not decided here: this layer opens no files.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from harness.config.layers import LayerName, in_network_order

Convention = Literal[
    "released", "printed", "neural_style", "notebook", "neural_image_synthesis", "deep_textures", "gordicaleksa"
]
WeightsName = Literal["embedded", "torchvision", "caffe"]
StartName = Literal["content", "style", "noise"]
Bounds = Literal["none", "unit", "source"]
CROSS_FIELD = "cross_field"
"""Type of the pydantic error that carries faults between fields, as ``ctx["faults"]``: (fields, sentence) pairs."""


def number(kind: Literal["number", "integer"], **bounds: float) -> Any:
    """A strict, finite number whose description, used in error sentences, is derived from its bounds."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = " and ".join(f"{signs[name]} {limit}" for name, limit in bounds.items())
    description = f"{'an integer' if kind == 'integer' else 'a finite number'} {limits}"
    finite = {} if kind == "integer" else {"allow_inf_nan": False}
    return Field(strict=True, description=description, **finite, **bounds)  # type: ignore[call-overload]


Text = Annotated[str, Field(strict=True, min_length=1, pattern=r"^[^\x00]+$", description="a non-empty text")]
Path = Annotated[str, Field(strict=True, min_length=1, pattern=r"^[^\x00]+$", description="the path of a file")]
Image = Annotated[
    str, Field(strict=True, min_length=1, pattern=r"^[^\x00]+$", description="an image: its path or its name")
]
Truth = Annotated[bool, Field(strict=True, description="true or false")]
Weight = Annotated[float, number("number", ge=0)]
Rate = Annotated[float, number("number", gt=0)]
LayerWeights = Annotated[
    dict[LayerName, Weight],
    AfterValidator(in_network_order),
    Field(description="a mapping of layers to weights, such as {conv4_2: 1}"),
]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


StrictModel = TypeVar("StrictModel", bound=Strict)


class StartFile(Strict):
    """Start the optimisation from an image file."""

    file: Path


class WeightsFile(Strict):
    """Network weights in a file; ``input`` may be left out only for a known hash or a file that says it itself."""

    file: Path
    input: Literal["torchvision", "caffe"] | None = None


class WeightsUrl(Strict):
    """Network weights to download, checked by their SHA-256 or, as torch.hub does, by at least its first 8 digits."""

    url: Annotated[str, Field(strict=True, pattern=r"^https?://\S+$", description="an http:// or https:// address")]
    sha256: Annotated[
        str,
        Field(strict=True, pattern=r"^[0-9a-fA-F]{8,64}$", description="8 to 64 hexadecimal digits, in quotes"),
        AfterValidator(str.lower),
    ]
    input: Literal["torchvision", "caffe"] | None = None


class Lbfgs(Strict):
    """L-BFGS, the paper's optimiser.

    ``history`` 20 is what the authors' DeepTextures gives scipy (``maxcor``); it converges as well as 100 at a fifth
    of the memory. ``bounds``: ``unit`` is the box [0, 1], ``source`` (DeepTextures' too) each channel's range in the
    style image; without bounds the optimum lies far outside what a picture can show, and clipping it spoils the style.

    # Deviates from Gatys et al. 2016, section 2, and DeepTextures: ``initial_hessian`` ``fourier`` begins every
    # iteration with a filter that favours low frequencies, as photographs have them, instead of a scaled identity:
    # 300 evaluations from noise leave far less of the noise than with ``scaled_identity``.
    """

    name: Literal["lbfgs"] = "lbfgs"
    history: Annotated[int, number("integer", ge=1, le=200)] = 20
    line_search: Literal["none", "backtracking", "strong_wolfe"] = "none"
    learning_rate: Rate = 1.0
    bounds: Bounds = "source"
    initial_hessian: Literal["fourier", "scaled_identity"] = "fourier"


class Adam(Strict):
    """Adam, the alternative; 0.02 is the step in units of the pixel range [0, 1]."""

    name: Literal["adam"]
    learning_rate: Rate = 0.02
    bounds: Bounds = "none"


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
    has_file, has_url = (_value(data, key) is not None for key in ("file", "url"))
    if has_file == has_url:
        return None
    return "<file>" if has_file else "<url>"


def _tag_of_optimiser(data: Any) -> str | None:
    if not isinstance(data, dict | Lbfgs | Adam):
        return None
    named = data.get("name", "lbfgs") if isinstance(data, dict) else data.name
    return {"lbfgs": "<lbfgs>", "adam": "<adam>"}.get(named) if isinstance(named, str) else None


def _expand_optimiser(data: Any) -> Any:
    """``lbfgs`` is short for ``{name: lbfgs}``."""
    return {"name": data} if isinstance(data, str) else data


Start = Annotated[
    Annotated[StartName, Tag("<name>")] | Annotated[StartFile, Tag("<file>")],
    Discriminator(_tag_of_start),
    Field(description="content, style, noise, or {file: …}"),
]
Weights = Annotated[
    Annotated[WeightsName, Tag("<name>")] | Annotated[WeightsFile, Tag("<file>")] | Annotated[WeightsUrl, Tag("<url>")],
    Discriminator(_tag_of_weights),
    Field(description="embedded, torchvision, caffe, {file: …, input: …} or {url: …, sha256: …, input: …}"),
]
Optimiser = Annotated[
    Annotated[Lbfgs, Tag("<lbfgs>")] | Annotated[Adam, Tag("<adam>")],
    Discriminator(_tag_of_optimiser),
    BeforeValidator(_expand_optimiser),
    Field(description="lbfgs, adam, {name: lbfgs, …} or {name: adam, …}"),
]


class Transfer(Strict):
    """One fully resolved configuration of one picture; every default stands here, with its source."""

    method: Literal["gatys"] = "gatys"
    content: Image
    style: Image
    style_scale: Annotated[float, number("number", gt=0, le=16)] = 1.0  # the paper: style resized to the content
    size: Annotated[int, number("integer", ge=16, le=8192)] = 512  # px, the longer side; the paper's 512 × 512
    steps: Annotated[int, number("integer", ge=1)] = 500  # loss evaluations; the authors' PyTorch notebook
    start: Start = "noise"  # the paper, except figures 6 and 7
    seed: Annotated[int, number("integer", ge=0, lt=2**63)] = 0
    noise_sigma: Rate = 0.25  # around 0.5 in [0, 1]; the paper does not say; projects differ by 1000
    content_layers: LayerWeights = {"conv4_2": 1.0}  # the paper, section 3
    style_layers: LayerWeights = {  # the paper, section 3: w_l = 1/5
        "conv1_1": 0.2, "conv2_1": 0.2, "conv3_1": 0.2, "conv4_1": 0.2, "conv5_1": 0.2
    }  # fmt: skip
    alpha: Weight = 1e-3  # α/β = 1e-3: the paper, figures 3 (Turner), 5 and 6
    beta: Weight = 1.0
    convention: Convention = "released"  # units in which the printed ratios give the printed pictures
    weights: Weights = "embedded"
    pooling: Literal["average", "max"] = "average"  # the paper, section 2
    padding: Literal["zeros", "reflect"] = "zeros"  # VGG's own
    normalised: Truth = True  # the paper, section 2: mean activation 1
    optimiser: Optimiser = Lbfgs()
    precision: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _sides_agree(self) -> Transfer:
        """What no field can see alone: each side has a weight and, if it counts, layers to weigh."""
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
        if faults:
            raise PydanticCustomError(CROSS_FIELD, "fields contradict each other", {"faults": faults})
        return self
