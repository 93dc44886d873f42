"""``harness explain``: what a transfer minimises, in the paper's terms and in the peers'."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.cli.console import make_console
from harness.cli.downloads import DownloadProgress
from harness.cli.explain_terms import further_terms, quilting_terms
from harness.config import load_experiment
from harness.config.methods import QUILTING, has_network
from harness.driver.jobs import Job, make_jobs
from harness.features.identify import identify
from harness.features.networks import PluginNetwork
from harness.features.vgg import network_of
from harness.images.library import fault_of_image
from harness.objective.conventions import CONVENTIONS
from harness.objective.explain import Converted, convert, terms_of
from harness.objective.row_objective import GRAM
from harness.runs.prepare import load_network, row_objective_of, weights_source


def explain_experiment(file: Path, overrides: tuple[str, ...], profile: str | None) -> None:
    """Print the objective of the experiment's first cell; its other cells differ in what the experiment varies."""
    console = make_console()
    loaded = load_experiment(file, overrides, profile, fault_of_image)
    with DownloadProgress(console) as downloads:
        job = make_jobs(loaded, Path("runs"), partial(downloads.advance, "weights"))[0]
    cell = f", cell {job.cell.name} (1 of {len(loaded.cells)})" if job.cell.label else ""
    console.print(f"{loaded.source}, {job.width}×{job.height} px{cell}", markup=False)
    if job.row.transfer.method == QUILTING:
        for part in quilting_terms(job):
            console.print(part)
        return
    if not has_network(job.row.transfer.method):
        console.print(f"method {job.row.transfer.method}: a plugin's, one call from the images to the picture")
        return
    _explain_objective(console, job)


def _explain_objective(console: Console, job: Job) -> None:
    """Equation 7 of a transfer, what stands beside it, and the same in every convention's numbers."""
    objective = row_objective_of(job.row.transfer)
    layers = (*objective.weighed_content(), *objective.weighed_style())
    network = load_network(job.row.transfer, layers)
    shapes = {layer: (N, h * w) for layer, (N, h, w) in network.shapes(layers, job.height, job.width).items()}
    convention = CONVENTIONS[objective.convention]
    t = job.row.transfer
    weights = t.weights if isinstance(t.weights, str) else t.weights.model_dump(exclude_none=True)
    normalised = "mean activation 1" if t.normalised else "not normalised"
    held = identify(weights_source(job.row.transfer)).layers
    kind = f"{network_of(held)} to {held[-1]}"
    told = f"{weights} ({kind}), {t.pooling} pooling, {normalised}"
    if isinstance(network, PluginNetwork):
        told = f"{network.name} ({', '.join(held)}), its maps as they are"
    console.print(f"network: {told}")
    console.print(f"convention {convention.name!r}: {convention.formula}", markup=False)
    console.print(f"  from {convention.source}; meant for: {convention.network}", markup=False)
    console.print(
        f"  α = {objective.alpha:g}, β = {objective.beta:g}, α/β = {_ratio(objective.alpha, objective.beta)}\n"
    )
    console.print(
        "In the printed equations' terms (Gatys et al. 2016, eqs 1, 4, 5, 7) this is  L = Σ factor · term  with"
    )
    statistic = objective.statistic
    style = "E_l           (eq. 4)" if statistic == GRAM else f"distance of {statistic}"
    table = Table(box=None, pad_edge=False)
    for header in ("factor", "term", "layer", "N", "M", "weight"):
        table.add_column(header, justify="left" if header in ("term", "layer") else "right")
    for term in terms_of(objective, shapes):
        equation = "½ Σ (F − P)²  (eq. 1)" if term.side == "content" else style
        numbers = [str(term.num_filters), str(term.num_positions), f"{term.weight:g}"]
        table.add_row(f"{term.printed:.6g}", equation, term.layer, *numbers)
    console.print(table)
    for part in further_terms(job):
        console.print(part)
    console.print("\nThe same objective in each convention's numbers, at this size:")
    table = Table(box=None, pad_edge=False)
    for header in ("convention", "α", "β", "α/β", "formula"):
        table.add_column(header, justify="right" if header in ("α", "β", "α/β") else "left")
    for name in CONVENTIONS:
        converted = convert(objective, shapes, name)
        ratio = "per layer" if converted.ratio is None else f"{converted.ratio:.6g}"
        table.add_row(name, _values(converted.alpha), _values(converted.beta), ratio, CONVENTIONS[name].formula)
    console.print(table)


def _values(values: dict[str, float]) -> str:
    """One number where the layers agree, else one per layer."""
    if not values:
        return "–"
    if Converted("", values, {}).same:
        return f"{next(iter(values.values())):.6g}"
    return "\n".join(f"{layer}: {value:.4g}" for layer, value in values.items())


def _ratio(alpha: float, beta: float) -> str:
    return f"{alpha / beta:g}" if beta else "∞ (no style term)"
