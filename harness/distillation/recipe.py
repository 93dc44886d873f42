"""All that a distillation's result depends on, but for the images and the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from harness.distillation.first_layer import LAYER as FIRST_LAYER
from harness.distillation.teacher import Teacher
from harness.distillation.training import Schedule
from harness.errors import UsageError
from harness.features.vgg import block_of

WIDTHS = (16, 32, 64, 128, 128)
"""Filters of a layer that the next one takes, by block: a quarter of VGG's."""

WIDER = "conv2_1=64 conv4_1=256 conv4_2=256 conv5_1=256"
"""Filters of single layers that have more: those behind the block's are read out alone, and feed nothing.

Half or more of what is wrong with a picture that was optimised on a quarter of the teacher's directions lies, in these
layers, in the others, in which it was free. They have few positions or few filters, so that this costs little.
"""

BATCH = 4


@dataclass(frozen=True)
class Recipe:
    """How the embedded network is made.

    Attributes:
        steps: optimisation steps in all, in equal parts for each phase.
        num_crops: crops of photographs and paintings.
        num_pictures: pictures optimised on the student, in equal parts before each round.
        begun_with: hash of the network that it goes on from; empty: it begins with the teacher's filters, and crops.
        rounds: phases that train on such pictures too, each on its own and on those of the rounds before. 0, to a
            network that it goes on from: nothing is trained.
        wider: layers with more filters than ``WIDTHS``, as ``WIDER`` has them.
        side_px: of crops and pictures.
        batch: crops per step.
        muon_rate: Muon's relative step: ‖ΔW‖ / ‖W‖ of a convolution, per step.
        adam_rate: Adam's learning rate, for biases and read-outs.
        warmup: steps of linear warm-up of both rates in each phase, which then fall linearly to 0.
        num_measured: crops over which the teacher's moments are measured.
        seed: of crops, pictures and their order.
        version: of the code; raised by hand where the same numbers give another network (crops, pictures, training).
    """

    steps: int = 12_000
    num_crops: int = 2000
    num_pictures: int = 600
    rounds: int = 3
    begun_with: str = ""
    wider: str = WIDER
    side_px: int = 160
    batch: int = BATCH
    muon_rate: float = 0.006
    adam_rate: float = 2e-3
    warmup: int = 100
    num_measured: int = 200
    seed: int = 0
    version: int = 5

    def schedules(self) -> tuple[Schedule, ...]:
        """Of every phase, each with a warm-up of its own: on crops alone where it begins anew, then of each round."""
        rates = (self.batch, self.muon_rate, self.adam_rate, self.warmup)
        parts = equal_parts(self.steps, self.rounds + (not self.begun_with))
        return tuple(Schedule(steps, *rates, self.seed + phase) for phase, steps in enumerate(parts))

    def pictures_of_rounds(self) -> tuple[int, ...]:
        """How many pictures each round adds."""
        return equal_parts(self.num_pictures, self.rounds)

    def seed_of_pictures(self, round_: int) -> int:
        """Other pictures in each round, and other ones than the network that this goes on from has seen."""
        return self.seed + round_ + int(self.begun_with[:6] or "0", 16)

    def fields(self) -> dict[str, int | float | str]:
        """By name."""
        return asdict(self)


def equal_parts(total: int, num: int) -> tuple[int, ...]:
    """``total`` as a sum of ``num`` numbers that differ by at most 1, the larger ones last."""
    return tuple((total + part) // num for part in range(num))


def widths_for(teacher: Teacher, wider: str = WIDER) -> dict[str, int]:
    """Layer to K: never more filters than the teacher compares.

    Args:
        teacher: whose layers.
        wider: layers with more filters than ``WIDTHS``, as ``WIDER`` has them.

    Raises:
        UsageError: ``wider`` is not such a list, or names a layer that the teacher lacks, or the first, of which the
            filters that feed nothing are not trained (``first_layer``).
    """
    widths = {layer: WIDTHS[block_of(layer) - 1] for layer in teacher.layers}
    further = [layer for layer in widths if layer != FIRST_LAYER]
    for word in wider.split():
        layer, _, number = word.partition("=")
        if layer not in further or not number.isdecimal() or int(number) < widths[layer]:
            raise UsageError(
                f"--wider {wider!r}: {word} is not LAYER=FILTERS with one of {', '.join(further)} and no fewer filters "
                f"than it has otherwise ({', '.join(map(str, WIDTHS))} in blocks 1 to 5); for instance {WIDER!r}."
            )
        widths[layer] = int(number)
    return {layer: min(K, teacher.num_compared(layer)) for layer, K in widths.items()}


def wider_of(widths: Mapping[str, int]) -> str:
    """The layers that have more filters than ``WIDTHS``, as ``WIDER`` has them: one spelling for each network."""
    more = {layer: K for layer, K in widths.items() if K > WIDTHS[block_of(layer) - 1]}
    return " ".join(f"{layer}={K}" for layer, K in more.items())


def feeding_for(widths: Mapping[str, int]) -> dict[str, int]:
    """Layer to how many of its K filters the next layer takes."""
    return {layer: min(WIDTHS[block_of(layer) - 1], K) for layer, K in widths.items()}
