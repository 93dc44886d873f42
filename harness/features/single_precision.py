"""What single precision means on a GPU: float32's 24 bits of mantissa, also within products and convolutions."""

from __future__ import annotations

import torch

from harness.errors import DeviceError

TF32_CAPABILITY = (8, 0)
"""Ampere; what went before multiplies float32 as float32 whatever is allowed."""


def multiply_as(precision: str, device: str) -> None:
    """Have this process multiply as a transfer's ``precision`` says: with ``tf32`` convolutions alone may round.

    Matrix products (Gram matrices, read-outs, the optimiser's pairs) are float32's in any case.

    Args:
        precision: the transfer's.
        device: ``cpu`` or ``cuda:N``.

    Raises:
        DeviceError: TF32 is asked for where there is none: the picture would be float32's under another id.
    """
    if precision == "tf32" and (device == "cpu" or torch.cuda.get_device_capability(device) < TF32_CAPABILITY):
        raise DeviceError(
            f"transfer.precision: tf32 was asked for, but {device} has no TF32: NVIDIA's GPUs have it from compute "
            "capability 8.0 on (A100 and later). Take float32 or bf16, or such a GPU by --devices."
        )
    forbid_tf32()
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def forbid_tf32() -> None:
    """Have this process multiply float32 as float32.

    TF32, which torch takes for convolutions by itself, has 11 bits: it would break the promise that a row's gradient is
    that of its solo run to 1e-5, and what a distillation measures would be another number than on the CPU.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
