"""What a transfer minimises, in the paper's terms and in the peers': what ``harness explain`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import starmap
from pathlib import Path

from rich.console import Console, Group, RenderableType

from harness.config.loaded import LoadedExperiment
from harness.config.methods import QUILTING, has_network
from harness.downloads import OnBytes
from harness.driver.explain_terms import further_terms, line, quilting_terms, table_of
from harness.driver.jobs import Job, make_jobs
from harness.features.identify import identify
from harness.features.networks import PluginNetwork
from harness.features.vgg import network_of
from harness.objective.conventions import CONVENTIONS, Convention
from harness.objective.explain import Converted, Term, convert, terms_of
from harness.runs.prepare import load_network, row_objective_of, weights_source

WIDTH = 140
"""Columns of the text; a terminal's own where it is printed on one."""


@dataclass(frozen=True)
class Explanation:
    """The objective of one transfer; ``str()`` of it is what ``harness explain`` prints.

    Attributes:
        title: the file, the picture's size, the cell.
        height: of the picture, px.
        width: of the picture, px.
        terms: each layer's factor before its printed equation; none of a picture without a network.
        convention: the units in which α and β are meant; None of one without a network.
        alpha: α as the transfer says it.
        beta: β as the transfer says it.
        converted: the same objective's α and β in each convention's units, by the convention's name.
        parts: everything that is printed behind the title.
    """

    title: str
    height: int
    width: int
    terms: tuple[Term, ...]
    convention: Convention | None
    alpha: float
    beta: float
    converted: Mapping[str, Converted]
    parts: tuple[RenderableType, ...]

    def __rich__(self) -> RenderableType:
        return Group(line(self.title), *self.parts)

    def __str__(self) -> str:
        text = StringIO()
        Console(file=text, width=WIDTH, highlight=False, color_system=None).print(self)
        return text.getvalue().rstrip("\n")


def explain_loaded(loaded: LoadedExperiment, on_bytes: OnBytes | None = None) -> Explanation:
    """The objective of the experiment's first cell; its other cells differ in what the experiment varies."""
    job = make_jobs(loaded, Path("runs"), on_bytes)[0]
    cell = f", cell {job.cell.name} (1 of {len(loaded.cells)})" if job.cell.label else ""
    called = loaded.called if loaded.given is None else loaded.name  # whose file is not written
    title = f"{called}, {job.width}×{job.height} px{cell}"
    if job.transfer.method == QUILTING:
        return Explanation(title, job.height, job.width, (), None, 0.0, 0.0, {}, tuple(quilting_terms(job)))
    if not has_network(job.transfer.method):
        parts = (line(f"method {job.transfer.method}: a plugin's, one call from the images to the picture"),)
        return Explanation(title, job.height, job.width, (), None, 0.0, 0.0, {}, parts)
    return _explain_objective(title, job)


def _explain_objective(title: str, job: Job) -> Explanation:
    """Equation 7 of a transfer, what stands beside it, and the same in every convention's numbers."""
    objective = row_objective_of(job.transfer)
    layers = (*objective.weighed_content(), *objective.weighed_style())
    network = load_network(job.transfer, layers)
    shapes = {layer: (N, h * w) for layer, (N, h, w) in network.shapes(layers, job.height, job.width).items()}
    convention = CONVENTIONS[objective.convention]
    t = job.transfer
    weights = t.weights if isinstance(t.weights, str) else t.weights.model_dump(exclude_none=True)
    normalised = "mean activation 1" if t.normalised else "not normalised"
    held = identify(weights_source(job.transfer)).layers
    told = f"{weights} ({network_of(held)} to {held[-1]}), {t.pooling} pooling, {normalised}"
    if isinstance(network, PluginNetwork):
        told = f"{network.name} ({', '.join(held)}), a plugin's, its maps as they are"
    terms = tuple(terms_of(objective, shapes))
    converted = {name: convert(objective, shapes, name) for name in CONVENTIONS}
    ratio = _ratio(objective.alpha, objective.beta)
    parts = (
        line(f"network: {told}"),
        line(f"convention {convention.name!r}: {convention.formula}"),
        line(f"  from {convention.source}; meant for: {convention.network}"),
        line(f"  α = {objective.alpha:g}, β = {objective.beta:g}, α/β = {ratio}\n"),
        line("In the printed equations' terms (Gatys et al. 2016, eqs 1, 4, 5, 7) this is  L = Σ factor · term  with"),
        table_of(("factor", "term", "layer", "N", "M", "weight"), map(_row_of_term, terms)),
        *further_terms(job),
        line("\nThe same objective in each convention's numbers, at this size:"),
        table_of(("convention", "α", "β", "α/β", "formula"), starmap(_row_of_convention, converted.items())),
    )
    return Explanation(
        title, job.height, job.width, terms, convention, objective.alpha, objective.beta, converted, parts
    )


def _row_of_term(term: Term) -> Sequence[str]:
    numbers = [str(term.num_filters), str(term.num_positions), f"{term.weight:g}"]
    return [f"{term.printed:.6g}", term.equation, term.layer, *numbers]


def _row_of_convention(name: str, values: Converted) -> Sequence[str]:
    ratio = "per layer" if values.ratio is None else f"{values.ratio:.6g}"
    return [name, _values(values.alpha), _values(values.beta), ratio, CONVENTIONS[name].formula]


def _values(values: dict[str, float]) -> str:
    """One number where the layers agree, else one per layer."""
    if not values:
        return "–"
    if Converted("", values, {}).same:
        return f"{next(iter(values.values())):.6g}"
    return "\n".join(f"{layer}: {value:.4g}" for layer, value in values.items())


def _ratio(alpha: float, beta: float) -> str:
    return f"{alpha / beta:g}" if beta else "∞ (no style term)"
