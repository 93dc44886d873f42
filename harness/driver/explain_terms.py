"""What ``harness explain`` says beside equation 7's two terms: paintings, regularisers, levels, colours; quilting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.config.levels import sizes_of
from harness.config.styles import image_slots, paintings_of
from harness.driver.jobs import Job
from harness.driver.sizes import block_levels
from harness.images.files import read_image
from harness.images.masks import read_regions
from harness.images.resize import fit_area, fit_longer_side

WORDS = ("painting", "over", "of", "region", "term", "layer", "convention", "formula")
"""Headers of columns that hold words."""

COLOURS = {
    "luminance": "Colours: the luminance alone is transferred, to a painting of the photograph's mean and standard "
    "deviation; I and Q stay the photograph's (Gatys et al. 2016, Preserving Color, luminance only).",
    "recoloured": "Colours: the painting is given the photograph's mean and covariance first (Gatys et al. 2016, "
    "Preserving Color, histogram matching).",
}


def further_terms(job: Job) -> Iterator[RenderableType]:
    """Everything of a transfer by optimisation that equation 7 does not say; nothing for the paper's own case."""
    t = job.transfer
    paintings, names = paintings_of(t), dict(image_slots(t))
    if len(paintings) > 1 or paintings[0].slot != "style":
        yield line("\nE_l stands for Σ ω E_l over the paintings, each with its own Gram matrices:")
        yield table_of(
            ("ω", "painting", "px", "over", "of"),
            [
                (
                    f"{painting.weight:g}", painting.image, _size(_style_size(job, painting.slot, painting.scale)),
                    names[painting.mask] if painting.mask else "everywhere",
                    names[painting.own_mask] if painting.own_mask else "all of it",
                )
                for painting in paintings
            ],
        )  # fmt: skip
    if "segmentation.content" in job.row.files:
        segmentations = [job.row.files[f"segmentation.{side}"] for side in ("content", "style")]
        size = (job.height, job.width)
        regions = read_regions(segmentations[0], segmentations[1], size, _style_size(job, "style", t.style_scale))
        yield line("\nE_l stands for Σ ω E_l over the regions (Luan et al. 2017, section 3.2), ω their share:")
        rows = [(f"{r.share:.3g}", r.name, "its own" if r.own_mask is not None else "all of it") for r in regions]
        yield table_of(("ω", "region", "of the painting"), rows)
    if "segmentation.content" in job.row.files or any(painting.mask or painting.own_mask for painting in paintings):
        yield line(
            "Over a mask t, Σ_k t_k² F_k F_kᵀ / Σ_k t_k² stands in place of F Fᵀ / M (Gatys et al. 2017, section 4)."
        )
    if t.total_variation:
        yield line(
            f"\n+ λ_TV TV  with λ_TV = {t.total_variation:g}, "
            "TV = Σ (differences of neighbours)² / (3 H W)  (Mahendran & Vedaldi 2015, section 3)"
        )
    yield from (line(text) for text in _photorealism(job))
    for name, weight in t.terms.items():
        yield line(f"\n+ λ {name}  with λ = {weight:g}, a plugin's term")
    if t.pyramid:
        yield line("\nSizes, each from the result of the one before, enlarged, with an optimiser that starts anew:")
        yield table_of(("px", "evaluations"), _levels(job))
    if t.colours in COLOURS:
        yield line(f"\n{COLOURS[t.colours]}")
    yield from smoothing(job)


def _photorealism(job: Job) -> Iterator[str]:
    numbers, steps = job.transfer.photorealism, job.transfer.steps
    weight, first_stage, area = numbers.weight, numbers.first_stage, job.height * job.width
    if weight:
        yield (
            f"\n+ λ L_m / (H W)  with λ = {weight:g}, L_m = Σ_c V_cᵀ M V_c of the photograph's matting Laplacian "
            f"(Luan et al. 2017, eqs 2 and 4); λ / (H W) = {weight / area:.4g}"
        )
    if first_stage:
        yield (
            f"\nTwo stages: {first_stage} evaluations without λ, then the optimiser starts anew for "
            f"{steps - first_stage} {'with it' if weight else 'more'}."
        )


def _levels(job: Job) -> list[tuple[str, ...]]:
    height, width = read_image(job.row.files["content"]).shape[:2]
    levels = sizes_of(job.transfer)
    return [(_size(fit_longer_side(height, width, level.size)), str(level.steps)) for level in levels]


def smoothing(job: Job) -> Iterator[RenderableType]:
    """What is done to the finished picture."""
    if alpha := job.transfer.smoothing:
        yield line(
            f"\nThe finished picture Y is smoothed: R = (1 − α)(I − αS)⁻¹ Y with α = {alpha:g} (Li et al. 2018, "
            "section 3.2)."
        )


def quilting_terms(job: Job) -> Iterator[RenderableType]:
    """The equations and the schedule of a quilted picture."""
    t, numbers = job.transfer, job.transfer.quilting
    source = _size(_style_size(job, "style", t.style_scale))
    yield line(f"method quilting, texture {numbers.task} (Efros & Freeman 2001): blocks of the {source} px painting.")
    if numbers.task == "synthesis":
        yield line("Error of a block: Σ (block − what is there)² over its overlaps  (section 2)")
    else:
        yield line(
            "Error of a block: α Σ (block − what is there)² + (1 − α) Σ (its luminance − the photograph's)²  (section "
            "3), α_i = 0.8 (i − 1)/(N − 1) + 0.1;\nfrom the second iteration on, what is there is also the whole block "
            "of the iteration before."
        )
    yield line(
        f"Drawn from those within {1 + numbers.tolerance:g} times the smallest error (seed {t.seed}), pasted "
        "along the minimum error boundary cut.\n"
    )
    levels = enumerate(block_levels(numbers, job.height, job.width), 1)
    yield table_of(
        ("iteration", "block px", "overlap px", "α", "blocks", "evaluations"),
        [
            (str(i), str(one.block_px), str(one.overlap_px), f"{one.alpha:g}",
             f"{one.num_columns}×{one.num_rows}", str(one.num_rows))
            for i, one in levels
        ],
    )  # fmt: skip
    yield line(
        "\nα, β, layers, steps and the network say nothing here; an evaluation is a row of blocks, "
        f"{job.num_evaluations} in all."
    )
    if t.colours in COLOURS:
        yield line(f"\n{COLOURS[t.colours]}")
    yield from smoothing(job)


def _style_size(job: Job, slot: str, scale: float) -> tuple[int, int]:
    height, width = read_image(job.row.files[slot]).shape[:2]
    return fit_area(height, width, job.height * job.width, scale)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]}×{shape[0]}"


def table_of(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose numbers stand at the right, and whose words at the left."""
    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, justify="left" if header in WORDS else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def line(text: str) -> Text:
    """A sentence, folded at the terminal's width; nothing in it is taken for markup."""
    return Text(text, overflow="fold")
