"""What of a painting's maps a picture is to share, by name: the Gram matrix, and whatever a user registers.

    @harness.style_statistic("mean_variance")
    class MeanAndVariance:
        additive = True

        def statistics(self, maps):  # (N, h, w)
            return torch.stack([maps.sum((1, 2)), maps.square().sum((1, 2))])

        def distance(self, own, target):
            (mean, square), (wanted, wanted_square) = own, target
            deviation, wanted_deviation = square - mean**2, wanted_square - wanted**2
            return (mean - wanted).square().mean() + (deviation - wanted_deviation).square().mean()

``statistics`` takes one row's map of one layer, (N, h, w), and gives a tensor of any shape; ``distance`` takes two such
tensors, the picture's and the painting's, and gives a scalar, which w_l weighs in place of equation 4's E_l. The same
map must give the same tensor: random projections come from a generator with a seed of its own.

With ``additive = True`` a statistic is a sum over positions: the harness divides it by their number M, so that maps of
different sizes compare, and a large picture goes through the network in tiles, whose sums add up. One that is not
additive is taken of whole maps, as it is.

With ``batched = True`` rows come together, for speed on a GPU: (b, N, h, w) to (b, …), and (b, …) with a target (1, …)
to (b,); each row's result must then depend on its own map alone. Shapes: b rows, N filters, h × w positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.features.vgg import ReadOut
from harness.objective.equations import gram, style_layer_loss
from harness.registries import blame, blamed, style_statistic

HALVES_TOLERANCE = 1e-3
"""By which part of its largest value a sum over positions may differ from its halves' sum."""


@style_statistic("gram")
class Gram:
    """Equations 3 and 4: Gram matrices, and the mean of their squared differences."""

    additive = batched = True

    def statistics(self, maps: Tensor) -> Tensor:
        """(b, N, h, w) to (b, N, N)."""
        return gram(maps)

    def distance(self, own: Tensor, target: Tensor, read_out: ReadOut | None = None) -> Tensor:
        """(b, N, N), each per position and of all filters, and (1, N, N) to (b,)."""
        return style_layer_loss(own, target, read_out)


def is_additive(name: str) -> bool:
    """Whether a statistic is a sum over positions, so that it can go in tiles."""
    return bool(getattr(style_statistic[name], "additive", False))


class StyleStatistic:
    """A statistic of the registry as the objective uses it, its faults reported with the plugin's own line.

    Args:
        name: its name.

    Raises:
        UsageError: there is none of that name.
        PluginError: it cannot be made.
    """

    def __init__(self, name: str) -> None:
        held = style_statistic.registered(name)
        self.name, self._plugin = name, held.plugin
        self._told = f"in the style statistic {name!r}"
        with blamed(held.plugin, self._told):
            self._what: Any = held.what() if isinstance(held.what, type) else held.what
        self.is_additive = is_additive(name)
        self._is_batched = bool(getattr(self._what, "batched", False))
        self._is_gram = type(self._what) is Gram

    @property
    def is_plugin(self) -> bool:
        """Whether it is a user's."""
        return self._plugin is not None

    def measure(self, features: Tensor, num_positions: int, read_out: ReadOut | None = None) -> Tensor:
        """The statistics of (b, N, h, w) maps, or a tile's share of them: (b, …).

        Args:
            features: whole maps, or of an additive statistic the positions of a tile.
            num_positions: M of the whole map.
            read_out: what is compared of the maps; None: they are. A Gram matrix is that of all filters in any case:
                ``distance`` knows its read-out, which is far less work.

        Raises:
            PluginError: it fails, or gives no tensor of floating-point numbers, one for each row.
        """
        if read_out is not None and not self._is_gram:
            features = read_out.of_map(features)
        found = self._call("statistics", features)
        if self._plugin and not (
            isinstance(found, Tensor) and found.is_floating_point() and found.shape[:1] == features.shape[:1]
        ):
            given = tuple(features.shape if self._is_batched else features.shape[1:])
            each = f", the first size {len(features)}," if self._is_batched else ""
            raise self._wrong(
                "statistics", f"gave {described(found)} for maps {given}; allowed: a floating-point tensor{each}"
            )
        statistics: Tensor = found / num_positions if self.is_additive else found
        return statistics

    def distance(self, own: Tensor, target: Tensor, read_out: ReadOut | None = None) -> Tensor:
        """(b,): how far (b, …) statistics are from a painting's, (1, …), both by ``measure`` with the same read-out.

        Raises:
            PluginError: it fails, or gives anything but a scalar for each row.
        """
        if self._is_gram:
            by_filters: Tensor = self._what.distance(own, target, read_out)
            return by_filters
        found = self._call("distance", own, target)
        if self._plugin and not (isinstance(found, Tensor) and found.shape == own.shape[:1]):
            allowed = f"a tensor ({len(own)},)" if self._is_batched else "a scalar tensor"
            given = found[0] if isinstance(found, Tensor) and not self._is_batched else found
            raise self._wrong("distance", f"gave {described(given)}; allowed: {allowed}")
        if self._plugin and own.requires_grad and not found.requires_grad:
            raise self._wrong("distance", "has no gradient; allowed: what torch differentiates by its arguments")
        distances: Tensor = found
        return distances

    def check(self, features: Tensor, found: Tensor, num_positions: int, read_out: ReadOut | None = None) -> None:
        """Check a plugin's statistics of a painting's (1, N, h, w) maps, or a tile's, before they are a target.

        Raises:
            PluginError: they are not finite; or additive, and not the sum of two halves' statistics.
        """
        if self._plugin is None:
            return
        if not bool(found.isfinite().all()):
            raise self._wrong("statistics", f"gave {described(found[0])} for a painting's maps; allowed: finite values")
        half = features.shape[3] // 2
        if not self.is_additive or not half:
            return
        halves = features[..., :half], features[..., half:]
        sides = [self.measure(side, num_positions, read_out) for side in halves]
        is_sum = sides[0].shape == sides[1].shape == found.shape
        if is_sum:
            difference = float((sides[0] + sides[1] - found).abs().max())
            is_sum = difference <= HALVES_TOLERANCE * float(found.abs().max())
        if not is_sum:
            raise self._wrong(
                "statistics",
                "is said to be additive, but for the two halves of a map it does not give two parts of the sum; take "
                "a sum over positions (the harness divides by their number), or drop additive",
            )

    def check_distance(self, found: Tensor) -> None:
        """Raise a ``PluginError`` where the distance between finite statistics is not finite."""
        if self._plugin and not bool(found.isfinite().all()):
            raise self._wrong("distance", f"gave {found.tolist()} for finite maps; allowed: finite values")

    def _call(self, method: str, rows: Tensor, *target: Tensor) -> Any:
        """What a method gives for all rows at once, or for one after another."""
        function = getattr(self._what, method)
        with blamed(self._plugin, self._told):
            if self._is_batched:
                return function(rows, *target)
            found = [function(row, *(one[0] for one in target)) for row in rows]
            return torch.stack(found) if all(isinstance(each, Tensor) for each in found) else found[0]

    def _wrong(self, method: str, sentence: str) -> Exception:
        return blame(
            self._plugin, getattr(self._what, method), f"{method} of the style statistic {self.name!r} {sentence}"
        )


def described(value: Any) -> str:
    """What was returned, for a sentence: a tensor by its shape, kind, and whether it is finite."""
    if not isinstance(value, Tensor):
        return "nothing" if value is None else f"an object of type {type(value).__name__}"
    kind = "" if value.is_floating_point() else f" of {str(value.dtype).removeprefix('torch.')}"
    finite = "" if bool(value.isfinite().all()) else " with values that are not finite"
    return f"a tensor {tuple(value.shape)}{kind}{finite}" if value.dim() else f"a scalar{kind}{finite}"
