"""What single precision means on a GPU: float32's 24 bits of mantissa, also within products and convolutions."""

from __future__ import annotations

import torch


def forbid_tf32() -> None:
    """Have this process multiply float32 as float32.

    TF32, which torch takes for convolutions by itself, has 11 bits: it would break the promise that a row's gradient is
    that of its solo run to 1e-5, and what a distillation measures would be another number than on the CPU.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
