"""Further terms of the loss, by name: total variation, photorealism, and whatever a user registers.

    @harness.term("brightness")
    def brightness(images, *, content):
        return (images.mean((1, 2, 3)) - content.mean()).square()

A term takes pictures, (b, 3, H, W) around [0, 1], and the photograph of these rows, (3, H, W), as the network sees it
(under ``colours: luminance`` in grey), and gives (b,) losses; each must depend on its own picture alone. λ of a
transfer's ``terms`` multiplies it. One that needs something of the photograph measured beforehand is a class: made with
the photograph, called with pictures, as ``Photorealism`` is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from harness.objective.equations import total_variation_loss
from harness.objective.style_statistics import described
from harness.photorealism.laplacian import affine_loss, matting_laplacian
from harness.registries import blame, blamed, term


@term("total_variation")
def total_variation(images: Tensor, *, content: Tensor) -> Tensor:
    """Mahendran & Vedaldi 2015; see ``harness.objective.equations``."""
    return total_variation_loss(images)


@term("photorealism")
class Photorealism:
    """Luan, Paris, Shechtman & Bala 2017, eq. 2: Σ_c V_cᵀ M V_c of the photograph's matting Laplacian M.

    # Deviates from Luan et al. 2017, eq. 4: divided by the number of pixels, so that λ means the same at every size.
    """

    def __init__(self, content: Tensor) -> None:
        laplacian = matting_laplacian(content.cpu().double())  # on any device by the same bits
        self._laplacian = laplacian.to(content.device, content.dtype)

    def __call__(self, images: Tensor) -> Tensor:
        """(b, 3, H, W) to (b,)."""
        return affine_loss(images, self._laplacian) / images[0, 0].numel()


def in_order(names: set[str]) -> list[str]:
    """Terms in the order in which they are added to every row's total: the harness's own, then by name."""
    return [name for name in term.own if name in names] + sorted(names.difference(term.own))


class TermOfPhotograph:
    """A term of the registry for the rows of one photograph, its faults reported with the plugin's own line.

    Args:
        name: its name.
        content: (3, H, W), the photograph.

    Raises:
        UsageError: there is none of that name.
        PluginError: it cannot be made.
    """

    def __init__(self, name: str, content: Tensor) -> None:
        held = term.registered(name)
        self.name, self._plugin, self._what = name, held.plugin, held.what
        with blamed(held.plugin, self._told):
            self._measure: Any = (
                held.what(content) if isinstance(held.what, type) else partial(held.what, content=content)
            )

    def __call__(self, images: Tensor) -> Tensor:
        """(b, 3, H, W) to (b,).

        Raises:
            PluginError: it fails, or gives anything but a number for each row.
        """
        with blamed(self._plugin, self._told):
            found = self._measure(images)
        if self._plugin and not (isinstance(found, Tensor) and found.shape == images.shape[:1]):
            raise self._wrong(
                f"gave {described(found)} for images {tuple(images.shape)}; allowed: a tensor ({len(images)},)"
            )
        if self._plugin and images.requires_grad and not found.requires_grad:
            raise self._wrong("has no gradient; allowed: what torch differentiates by the images")
        losses: Tensor = found
        return losses

    def check(self, found: Tensor) -> None:
        """Raise a ``PluginError`` where what it gives for finite pictures is not finite."""
        if self._plugin and not bool(found.isfinite().all()):
            raise self._wrong(f"gave {found.tolist()} for finite images; allowed: finite values")

    @property
    def is_plugin(self) -> bool:
        """Whether it is a user's."""
        return self._plugin is not None

    @property
    def _told(self) -> str:
        return f"in the term {self.name!r}"

    def _wrong(self, sentence: str) -> Exception:
        function = self._what.__call__ if isinstance(self._what, type) else self._what
        return blame(self._plugin, function, f"the term {self.name!r} {sentence}")
