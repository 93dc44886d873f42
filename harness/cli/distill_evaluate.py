"""``harness distill --evaluate``: how good pictures optimised on a network are, by its teacher's objective."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from harness.cli.bars import downloading, stages
from harness.cli.console import make_console
from harness.cli.distill import quality_table, source_of, use_device
from harness.config.identity import NUMERICS
from harness.distillation.card import with_pictures
from harness.distillation.distil import Told
from harness.distillation.image_sets import find_images, held_out_of, read_photograph
from harness.distillation.on_policy import Comparison, compare_pictures, geometric_mean, objective_of
from harness.distillation.quality import LayerQuality, measure_quality
from harness.distillation.teacher import DEEPEST, PADDING, POOLING, Teacher, load_teacher
from harness.errors import UsageError
from harness.features.fingerprint import network_hash
from harness.features.normalise import normalised_state
from harness.features.sources import WeightsFile
from harness.features.vgg import VGG
from harness.features.weights import load_state, require_layers
from harness.files import write_whole
from harness.images.files import image_hash, read_image
from harness.images.library import find_image
from harness.images.resize import fit_area, fit_longer_side, resize, to_tensor
from harness.objective.gradient import evaluate

PAIRS = ("astronaut:strokes", "coffee:mosaic", "chelsea:ink", "rocket:waves")
ALPHAS = (0.01, 0.1)
LEVELS = ((1 / 2, 100), (1, 80))
"""Parts of the full size, and evaluations there."""


@dataclass(frozen=True)
class Evaluating:
    """The command line of ``harness distill --evaluate``."""

    weights: Path | None
    images: tuple[Path, ...]
    work: Path
    teacher: str
    pairs: tuple[str, ...]
    alphas: tuple[float, ...]
    size_px: int
    device: str


@dataclass(frozen=True)
class Pair:
    """Two images of a comparison."""

    name: str
    content: Path
    style: Path

    def images(self, size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both as a run has them: the content's longer side is the size, the style has its area."""
        content, style = (to_tensor(read_image(path)) for path in (self.content, self.style))
        content = resize(content, *fit_longer_side(content.shape[1], content.shape[2], size_px))
        area_px = content.shape[1] * content.shape[2]
        return content.to(device), resize(style, *fit_area(style.shape[1], style.shape[2], area_px, 1.0)).to(device)


def evaluate_network(request: Evaluating) -> None:
    """Print how good a network's pictures are and, with images, what it leaves unexplained of the held-out ones.

    Raises:
        UsageError: a pair or ratio that cannot be, or no image is held out.
        ImageError: an image that cannot be found or read.
        WeightsError: the network or its teacher cannot be used.
    """
    console = make_console()
    device = use_device(request.device)
    pairs = [parse_pair(given) for given in request.pairs or PAIRS]
    alphas = request.alphas or ALPHAS
    for alpha in alphas:
        if not alpha > 0:
            raise UsageError(f"--alpha {alpha:g} is not possible: it must be above 0.")
    held_out = held_out_of(find_images(request.images)) if request.images else ()
    student = load_student(request.weights).to(device)
    with downloading(console) as advance:
        teacher = load_teacher(source_of(request.teacher), partial(advance, request.teacher))
    network = teacher.network(device)
    with stages(console) as told:
        quality = _quality(student, network, held_out, device, told)
        comparisons = _compare(request, student, teacher, network, pairs, alphas, told)
    if quality:
        console.print(quality_table(quality))
    console.print(comparison_table(comparisons))
    card = request.weights.with_suffix(".md") if request.weights else None
    if card is not None and card.is_file():
        num_evaluations = sum(num for _, num in LEVELS)
        text = with_pictures(card.read_text(encoding="utf-8"), comparisons, request.size_px, num_evaluations)
        write_whole(card, text.encode())
        console.print(f"Wrote this to {card}.", soft_wrap=True)
    students, teachers = seconds_per_evaluation(student, network, *pairs[0].images(request.size_px, device))
    console.print(
        f"One evaluation takes {1e3 * students:.0f} ms on the network and {1e3 * teachers:.0f} ms on its teacher: "
        f"{students / teachers:.3f} of it.",
        soft_wrap=True,
    )


def parse_pair(given: str) -> Pair:
    """``CONTENT:STYLE``, names or paths.

    Raises:
        UsageError: not two words with a colon between.
        ImageError: an image that is not there.
    """
    content, colon, style = given.partition(":")
    if not content or not style or ":" in style:
        raise UsageError(f"--pair {given} is not CONTENT:STYLE, two images by name or path, such as {PAIRS[0]}.")
    return Pair(f"{Path(content).stem}:{Path(style).stem}", find_image(content), find_image(style))


def load_student(weights: Path | None) -> VGG:
    """A network as a run has it; the embedded one when left out.

    Raises:
        WeightsError: it cannot be used, or ends before conv5_1.
    """
    loaded = load_state("embedded" if weights is None else WeightsFile(weights))
    require_layers(loaded.layers, [DEEPEST], loaded.description)
    return VGG(normalised_state(loaded), DEEPEST, POOLING, PADDING)


def _quality(
    student: VGG, network: VGG, held_out: Sequence[Path], device: torch.device, told: Told
) -> Mapping[str, LayerQuality]:
    if not held_out:
        return {}

    def image(num: int, path: Path) -> Tensor:
        told("held-out images", num, len(held_out), "")
        return read_photograph(path)[None].to(device).float() / 255

    return measure_quality(student, network, (image(num, path) for num, path in enumerate(held_out, 1)))


def _compare(
    request: Evaluating,
    student: VGG,
    teacher: Teacher,
    network: VGG,
    pairs: Sequence[Pair],
    alphas: Sequence[float],
    told: Told,
) -> list[Comparison]:
    """Every pair at every ratio; the totals of the teacher's own pictures are kept in the work folder."""
    device = network.bias("input").device
    kept = request.work / "own_totals.json"
    own = _read_totals(kept)
    teachers = f"{NUMERICS} {network_hash(teacher.state)}"
    found: list[Comparison] = []
    for pair in pairs:
        content, style = pair.images(request.size_px, device)
        for alpha in alphas:
            told("comparing pictures", len(found), len(pairs) * len(alphas), f"{pair.name}, α = {alpha:g}")
            hashes = [image_hash(pair.content), image_hash(pair.style)]
            words = " ".join([teachers, *hashes, repr(alpha), repr(request.size_px), repr(LEVELS), device.type])
            key = hashlib.sha256(words.encode()).hexdigest()
            of = compare_pictures(student, network, pair.name, content, style, alpha, LEVELS, own.get(key))
            own[key] = of.own
            request.work.mkdir(parents=True, exist_ok=True)
            write_whole(kept, json.dumps(own, indent=1).encode())
            found.append(of)
    told("comparing pictures", len(found), len(found), "")
    return found


def _read_totals(path: Path) -> dict[str, float]:
    """Totals by what they depend on; none where the file is missing or damaged."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def seconds_per_evaluation(student: VGG, teacher: VGG, content: Tensor, style: Tensor) -> tuple[float, float]:
    """Of the objective with its gradient on each of two networks, in turns: the median of seven."""
    rows = [(network, objective_of(network, content, style, 1.0)) for network in (student, teacher)]
    seconds: tuple[list[float], list[float]] = [], []
    for num in range(1 + 7):  # the first one is not counted
        for (network, objective), taken in zip(rows, seconds, strict=True):
            started = time.perf_counter()
            float(evaluate(objective, network, content[None], [0]).losses.total)  # waits for the device
            if num:
                taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """The number that a network is judged by, and what it is made of."""
    table = Table(box=None, pad_edge=False)
    for header in ("pair", "α", "teacher's own total", "the network's", "ratio"):
        table.add_column(header, justify="left" if header == "pair" else "right")
    for of in comparisons:
        table.add_row(of.pair, f"{of.alpha:g}", f"{of.own:.4g}", f"{of.students:.4g}", f"{of.ratio:.3f}")
    table.add_row("geometric mean", "", "", "", f"{geometric_mean(comparisons):.3f}")
    return table
