"""Where weights come from: the package itself, the package registry, torchvision, the Caffe model, a file, or a URL.

Nothing here imports torch, so that a run's id can be computed from the hashes without it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from harness.downloads import OnBytes, cache_folder, download, file_sha256, with_home
from harness.errors import DownloadError, WeightsError
from harness.features.flax_vgg16 import REGISTRY_VGG16
from harness.features.registry import fetch_vgg16
from harness.files import nearest_file

NetworkInput = Literal["torchvision", "caffe"]
NamedSource = Literal["embedded", "vgg16", "torchvision", "caffe"]

NAMES: tuple[NamedSource, ...] = get_args(NamedSource)

SUFFIXES = (".pth", ".pt", ".safetensors")
"""Of weights files."""

EMBEDDED = Path(__file__).with_name("embedded.safetensors")

TORCHVISION_SHA256 = "dcbb9e9d"
"""First hex digits of the SHA-256 of ``VGG19_Weights.IMAGENET1K_V1``, as they stand in its file name."""

TORCHVISION_VGG16_SHA256 = "397923af"
"""The same of ``VGG16_Weights.IMAGENET1K_V1``."""

CAFFE_SHA256 = "d01eb7cb"
"""First hex digits of the SHA-256 of the original Caffe weights as J. Johnson converted them."""

CAFFE_URL = f"https://web.eecs.umich.edu/~justincj/models/vgg19-{CAFFE_SHA256}.pth"

VGG16_SHA256 = REGISTRY_VGG16.tensors_sha256
"""What the registry's VGG-16 is known by: the SHA-256 of its tensors, since its file is written here."""

KNOWN_INPUTS: dict[str, NetworkInput] = {
    TORCHVISION_SHA256: "torchvision",
    TORCHVISION_VGG16_SHA256: "torchvision",
    CAFFE_SHA256: "caffe",
}
"""Which input the files with these hashes take, so that ``input`` may be left out for them."""


@dataclass(frozen=True)
class WeightsFile:
    """Weights in a ``.pth``, ``.pt`` or ``.safetensors`` file; ``input`` is what the network takes, where not known."""

    path: Path
    input: NetworkInput | None = None


@dataclass(frozen=True)
class WeightsURL:
    """Weights to download; ``sha256`` is the file's hash or at least its first 8 hex digits."""

    url: str
    sha256: str
    input: NetworkInput | None = None


@dataclass(frozen=True)
class NamedNetwork:
    """A plugin's network: ``harness.features.networks``."""

    name: str


WeightsSource = NamedSource | WeightsFile | WeightsURL
NetworkSource = WeightsSource | NamedNetwork


@dataclass(frozen=True)
class LocalWeights:
    """A weights file on this machine and the SHA-256 of its bytes (64 hex digits), for ``vgg16`` of its tensors."""

    path: Path
    sha256: str


def describe(source: NetworkSource) -> str:
    """What a source is called in a sentence."""
    if isinstance(source, NamedNetwork):
        return f"the network {source.name!r}"
    if isinstance(source, WeightsFile):
        return f"the weights file {source.path}"
    if isinstance(source, WeightsURL):
        return f"the weights from {source.url}"
    named = {
        "embedded": "the embedded network",
        "vgg16": "torchvision's VGG-16",
        "torchvision": "torchvision's VGG-19",
        "caffe": "the Caffe VGG-19",
    }
    return named[source]


def network_input_of(source: WeightsSource, sha256: str) -> NetworkInput | None:
    """What goes in front of a source's network: as its user says, else as the hash of its file tells.

    None: the file brings its own input convolution, or is refused.
    """
    if isinstance(source, WeightsFile | WeightsURL) and source.input is not None:
        return source.input
    return next((kind for known, kind in KNOWN_INPUTS.items() if sha256.startswith(known)), None)


def fetch(source: WeightsSource, on_bytes: OnBytes | None = None) -> LocalWeights:
    """Find a source's file, downloading it into the cache where it is not there yet.

    A cached download is hashed again at every use: a damaged one is downloaded again.

    Args:
        source: where the weights come from.
        on_bytes: called with the bytes so far and in all, see ``harness.downloads.download``.

    Raises:
        WeightsError: the file is missing, a folder, empty or unreadable; a URL or hash that cannot be one.
        DownloadError: the download failed or has another hash; no file was left behind.
    """
    if isinstance(source, WeightsFile):
        return _existing(with_home(source.path, _capital(describe(source)), WeightsError), source)
    if isinstance(source, WeightsURL):
        expected = _checked_hash(source)
        suffix = Path(urlsplit(source.url).path).suffix
        return _cached(source, source.url, expected, f"{expected}{suffix}", on_bytes)
    if source == "vgg16":
        return LocalWeights(fetch_vgg16(on_bytes), VGG16_SHA256)
    if source == "torchvision":
        return _cached(source, None, TORCHVISION_SHA256, f"vgg19-{TORCHVISION_SHA256}.pth", on_bytes)
    if source == "caffe":
        return _cached(source, CAFFE_URL, CAFFE_SHA256, f"vgg19-{CAFFE_SHA256}.pth", on_bytes)
    if source == "embedded":
        if not EMBEDDED.is_file():
            raise WeightsError(
                f"The embedded network is missing from this installation ({EMBEDDED}). Install harness again, "
                f"or name other weights: {', '.join(NAMES[1:])}, {{file: …}} or {{url: …, sha256: …}}."
            )
        return LocalWeights(EMBEDDED, file_sha256(EMBEDDED))
    raise WeightsError(
        f"There are no weights named {source!r}. Weights are {', '.join(NAMES)}, "
        "{file: …, input: torchvision | caffe} or {url: …, sha256: …, input: …}."
    )


def _existing(path: Path, source: WeightsFile) -> LocalWeights:
    """A file the user named, or the sentence that says what is wrong with it."""
    what = describe(source)
    try:
        num_bytes = path.stat().st_size
        if path.is_dir():
            raise WeightsError(f"{_capital(what)} is a folder. Name the .pth, .pt or .safetensors file inside it.")
        if not path.is_file():
            raise WeightsError(f"{_capital(what)} is not a regular file. Name a .pth, .pt or .safetensors file.")
        if num_bytes == 0:
            raise WeightsError(f"{_capital(what)} is empty. Download or copy it again.")
        return LocalWeights(path, file_sha256(path))
    except FileNotFoundError as error:
        beside = nearest_file(path, SUFFIXES)
        meant = f"Did you mean {beside}? " if beside else ""
        raise WeightsError(
            f"{_capital(what)} does not exist. {meant}Check the path (relative paths count from {Path.cwd()}), "
            f"or use weights: {', '.join(NAMES[:-1])} or {NAMES[-1]}."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{_capital(what)} cannot be read: {reason}. Check the path and its permissions.") from error


def fault_of_weights_file(path: str) -> str | None:
    """The sentence about a weights file that cannot be found or read; None for one that is there."""
    try:
        fetch(WeightsFile(Path(path)))
    except WeightsError as error:
        return str(error)
    return None


def _checked_hash(source: WeightsURL) -> str:
    """The hash of a URL source in lower case, after a look at both its fields."""
    if urlsplit(source.url).scheme not in ("http", "https"):
        raise WeightsError(
            f"weights.url is {source.url!r}: it must begin with http:// or https://. "
            "For a file, use weights: {file: …}."
        )
    if not re.fullmatch(r"[0-9a-fA-F]{8,64}", source.sha256):
        raise WeightsError(
            f"weights.sha256 is {source.sha256!r}: it must be the file's SHA-256, 64 hex digits or at least the "
            "first 8 (sha256sum FILE prints it)."
        )
    return source.sha256.lower()


def _torch_hub_folder() -> Path | None:
    """Where ``torch.hub`` keeps what torchvision has downloaded (the look-up its documentation gives), if anywhere."""
    if not any(os.environ.get(name) for name in ("TORCH_HOME", "XDG_CACHE_HOME")):
        try:
            Path.home()
        except RuntimeError:
            return None
    path = Path(os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch")
    what = f"torch's cache {path} (by TORCH_HOME or XDG_CACHE_HOME)"
    return with_home(path, what, WeightsError) / "hub" / "checkpoints"


def _cached(source: WeightsSource, url: str | None, expected: str, name: str, on_bytes: OnBytes | None) -> LocalWeights:
    """A download from the cache (ours or torch's), or fetched now; its hash begins with ``expected``."""
    destination = cache_folder() / "weights" / name
    hub = _torch_hub_folder()
    for path in (destination, *([hub / name] if hub else [])):
        if path.is_file() and (found := file_sha256(path)).startswith(expected):
            return LocalWeights(path, found)
    if url is None:
        from torchvision.models import VGG19_Weights  # 2 s to import, so only where it is needed

        url = str(VGG19_Weights.IMAGENET1K_V1.url)
    try:
        download(url, expected, destination, on_bytes)
    except DownloadError as error:
        raise DownloadError(
            f"{_capital(describe(source))} could not be downloaded. {error} Run `harness fetch weights` where there is "
            "a network, or download the file yourself and name it with weights: {file: …}; "
            "weights: embedded needs no network."
        ) from error
    return LocalWeights(destination, file_sha256(destination))


def _capital(sentence: str) -> str:
    """The same with its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]
