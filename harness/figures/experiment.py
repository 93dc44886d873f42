"""An experiment's figure and loss curves, drawn from its run folders; nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.config.claims import matches
from harness.config.commands import harness_command
from harness.config.experiment import Experiment
from harness.config.figure import Figure, Side
from harness.config.styles import image_slots, paintings_of
from harness.errors import ImageError, UsageError
from harness.figures.captions import TEX, said_once, write_tex
from harness.figures.experiment_curves import draw_loss_curves
from harness.figures.files import both
from harness.figures.labels import escape, format_value, image_name, weight_captions
from harness.figures.layout import Paper, Tile, Tiles
from harness.figures.panels import draw_grid
from harness.figures.regions import as_shown
from harness.figures.run_labels import images_of, key_of, labels_of, unsaid
from harness.results import Results, Run
from harness.results.pictures import Pixels
from harness.runs.store import Status

Grid = Sequence[Sequence[Run | None]]

AS_IT_IS = Figure()
"""Nothing cropped, nothing enlarged."""

_SHORT = {Status.RUNNING: "in progress, or interrupted", Status.PRUNED: "pruned"}
"""What stands in a missing picture's place where a status's own sentence is too long for it."""


def draw_experiment(results: Results) -> list[Path]:
    """Draw ``figure`` (the pictures) and ``curves`` (the losses), each as PNG and PDF, and ``figure.tex`` for print.

    The figure's columns and rows are the experiment's; runs that are not done are drawn as missing, with the reason.
    Images that all pictures share stand at the left; those that vary along the rows beside their row, along the
    columns above their column, along both above each picture.

    Args:
        results: of an experiment; only runs of the grid are drawn.

    Returns:
        The files written.

    Raises:
        ValueError: a sweep's results.
        UsageError: no run is shown, or more pictures than can be drawn, or printed with type that can be read.
        StorageError: a file cannot be written.
    """
    experiment = results.definition
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{results.name} is a sweep; harness.figures.results.draw_results draws either.")
    figure = experiment.figure
    results = replace(results, all_runs=tuple(run for run in results.all_runs if matches(figure.cells, run.label)))
    if not results.runs:
        raise UsageError(
            f"figure.cells selects none of the runs of {results.name}; see {harness_command('status', results.folder)}."
        )
    paper = Paper(figure.width_in, figure.size_pt) if figure.width_in else None
    is_wrapped = bool(figure.wrap) and figure.rows is None
    grid = (_wrapped if is_wrapped else _by_rows_and_columns)(results, experiment)
    png, pdf = both(results.folder, "figure")
    draw_grid(
        grid.tiles, grid.column_labels, grid.row_labels, grid.sources, grid.title, png, pdf,
        paper=paper, font=figure.font,
    )  # fmt: skip
    written = [png, pdf]
    if paper:
        written.append(write_tex(results, experiment))
    else:
        (results.folder / TEX).unlink(missing_ok=True)  # of a figure that is no more
    return written + draw_loss_curves(results, experiment, paper)


@dataclass(frozen=True)
class _Drawn:
    """What is drawn: the arguments of ``draw_grid``."""

    tiles: Tiles
    sources: list[Tile | None]
    column_labels: Sequence[str] = ()
    row_labels: Sequence[str] = ()
    title: str = ""


def tile(run: Run, caption: str, above: tuple[Pixels, ...] = ()) -> Tile:
    """A run's picture, or why there is none."""
    if run.status is not Status.DONE:
        reason = f"failed: {run.reason}" if run.status is Status.FAILED and run.reason else run.reason
        return Tile(None, caption, escape(reason or _SHORT.get(run.status, run.status.value)), above)
    try:
        return Tile(run.colours(), caption, "", above)
    except ImageError:
        return Tile(None, caption, "done, but its image.png is missing", above)


def source_tile(run: Run, key: str, caption: str) -> Tile:
    """One of the images that a run was made from."""
    try:
        return Tile(run.source(key), caption)
    except ImageError:
        return Tile(None, caption, "its file is missing")


def shared_sources(runs: Sequence[Run], show: Sequence[Side]) -> dict[Side, list[Tile]]:
    """What all runs have in common, or cannot show by themselves: photograph, paintings, masks.

    Where a run has several paintings, all of the grid's stand there, each once; so do masks and regions.
    """
    found: dict[Side, list[Tile]] = {}
    for side in show:
        if side == "masks":
            found[side] = _distinct_tiles(runs, _mask_images)
        elif side == "style" and any(len(paintings_of(run.transfer)) > 1 for run in runs):
            is_same = len({_image(run, side) for run in runs}) == 1
            found[side] = _distinct_tiles(runs, _weighed_images if is_same else _painting_images)
        elif len({_image(run, side) for run in runs}) == 1:
            found[side] = [source_tile(runs[0], side, side)]
    return found


def _distinct_tiles(runs: Sequence[Run], images: Callable[[Run], Iterable[tuple[str, str, str]]]) -> list[Tile]:
    """Every image of some runs once, by the first run that has it."""
    found: dict[str, Tile] = {}
    for run in runs:
        for what, key, caption in images(run):
            if what not in found:
                found[what] = source_tile(run, key, caption)
    return list(found.values())


def _painting_images(run: Run) -> Iterator[tuple[str, str, str]]:
    """What tells a run's paintings apart, their keys among its sources, and captions."""
    for painting in paintings_of(run.transfer):
        yield painting.image, painting.slot, image_name(painting.image)


def _weighed_images(run: Run) -> Iterator[tuple[str, str, str]]:
    """The same with the weights in the captions, unless all are 1: where all runs have them, no label says them."""
    paintings = paintings_of(run.transfer)
    is_weighed = any(painting.weight != 1 for painting in paintings)
    for painting, (what, key, caption) in zip(paintings, _painting_images(run), strict=True):
        yield what, key, f"{caption} {format_value(painting.weight)}" if is_weighed else caption


def _mask_images(run: Run) -> Iterator[tuple[str, str, str]]:
    """The same of its masks and label images."""
    names = dict(image_slots(run.transfer))
    for painting in paintings_of(run.transfer):
        for key, caption in ((painting.mask, "where {} goes"), (painting.own_mask, "what is taken of {}")):
            if key:
                yield f"{painting.image} {key[-8:]} {names[key]}", key, caption.format(image_name(painting.image))
    for side in ("content", "style"):
        if (key := f"segmentation.{side}") in names:
            yield f"{key} {names[key]}", key, f"regions of the {side}"


def _wrapped(results: Results, experiment: Experiment) -> _Drawn:
    """Panels in the experiment's order, so many to a line, each with its own label."""
    runs, figure = results.runs, experiment.figure
    shared = shared_sources(runs, figure.show)
    own, seen = [side for side in figure.show if side not in shared], set[str]() if figure.is_shared else None
    texts = labels_of(results, experiment, unsaid(experiment.varies(), runs), runs)
    captions = weight_captions([run.transfer for run in runs])
    title = captions[0] if figure.is_shared and len(captions) > 1 and len(set(captions)) == 1 else ""
    tiles: list[Tile | None] = [
        as_shown(
            tile(run, "\n".join(filter(None, (text, "" if title else caption))), _above(run, own, figure, seen)), figure
        )
        for run, text, caption in zip(runs, texts, captions, strict=True)
    ]
    wrap = figure.wrap or len(tiles)
    tiles += [None] * (-len(tiles) % wrap if len(tiles) > wrap else 0)
    return _Drawn([tiles[k : k + wrap] for k in range(0, len(tiles), wrap)], _flat(shared, figure), title=title)


def _by_rows_and_columns(results: Results, experiment: Experiment) -> _Drawn:
    """What is drawn in the experiment's layout."""
    runs, figure, show = results.runs, experiment.figure, experiment.figure.show
    column, rows = experiment.layout()
    columns = () if column is None else (column,)
    heads, sides = {key_of(run, columns): run for run in runs}, {key_of(run, rows): run for run in runs}
    if isinstance(figure.rows, tuple):
        sides = _in_order(sides, rows)
    by_place = {(key_of(run, rows), key_of(run, columns)): run for run in runs}
    grid = [[by_place.get((side, head)) for head in heads] for side in sides]
    shared = shared_sources(runs, show)
    along_rows = [side for side in show if side not in shared and _is_constant_in_each(grid, side)]
    others = [side for side in show if side not in shared and side not in along_rows]
    along_columns = [side for side in others if _is_constant_in_each(list(zip(*grid, strict=True)), side)]
    everywhere = [side for side in others if side not in along_columns]

    ratios = dict(zip((run.id for run in runs), weight_captions([run.transfer for run in runs]), strict=True))
    captions = [[ratios[run.id] if run else None for run in line] for line in grid]
    title, of_columns, of_rows = said_once(captions) if figure.is_shared else ("", [], [])
    is_said = bool(title or of_columns or of_rows)
    seen = set[str]() if figure.is_shared else None
    strips = [along_columns + everywhere] + [everywhere] * (len(grid) - 1)
    tiles = [
        [
            Tile(None, "", "not in the grid")
            if run is None
            else as_shown(tile(run, "" if is_said else caption or "", _above(run, sides_above, figure, seen)), figure)
            for run, caption in zip(line, texts, strict=True)
        ]
        for sides_above, line, texts in zip(strips, grid, captions, strict=True)
    ]
    sources = _flat(shared, figure)
    if along_rows:
        sources += [None] * (-len(sources) % len(grid))
    for side in along_rows:
        beside = [next(run for run in line if run) for line in grid]
        sources += _beside_rows(beside, side, figure)
    column_labels = labels_of(results, experiment, unsaid(columns, runs), list(heads.values()))
    row_labels = labels_of(results, experiment, unsaid(rows, runs), list(sides.values()))
    if of_columns:
        column_labels = ["\n".join(filter(None, pair)) for pair in zip(column_labels, of_columns, strict=True)]
    if of_rows:
        row_labels = [", ".join(filter(None, pair)) for pair in zip(row_labels, of_rows, strict=True)]
    return _Drawn(
        tiles, sources, column_labels if any(column_labels) else [], row_labels if any(row_labels) else [], title
    )


def _beside_rows(runs: Sequence[Run], side: Side, figure: Figure) -> list[Tile | None]:
    """The photograph or painting of each row, by one of its runs; where what is shared stands once, by name."""
    if not figure.is_shared or side == "masks":
        return [_as_source(run, side, figure, side) for run in runs]
    first = {_image(run, side): run for run in reversed(runs)}
    return [
        _as_source(run, side, figure, name) if run is first[_image(run, side)] else None
        for run, name in zip(runs, images_of(side, runs), strict=True)
    ]


def _in_order(sides: Mapping[str, Run], rows: Sequence[str]) -> dict[str, Run]:
    """The rows in the order of their parts, the last one fastest, each part's values as they come."""
    runs = list(sides.values())
    values = [list(dict.fromkeys(key_of(run, (part,)) for run in runs)) for part in rows]

    def place(side: str) -> list[int]:
        return [known.index(key_of(sides[side], (part,))) for part, known in zip(rows, values, strict=True)]

    return {side: sides[side] for side in sorted(sides, key=place)}


def _flat(shared: Mapping[Side, Sequence[Tile]], figure: Figure) -> list[Tile | None]:
    return [as_shown(tile, figure) if side == "content" else tile for side, tiles in shared.items() for tile in tiles]


def _as_source(run: Run, side: Side, figure: Figure, caption: str = "") -> Tile:
    """A run's photograph as its picture is shown, or its painting as it is."""
    found = source_tile(run, side, caption)
    return as_shown(found, figure) if side == "content" else found


def _image(run: Run, side: Side) -> str:
    """What tells a run's photograph or painting from another: not its file, which holds it at the run's size."""
    return repr(run.transfer.content if side == "content" else run.transfer.style)


def _is_constant_in_each(lines: Grid, side: Side) -> bool:
    return all(len({_image(run, side) for run in line if run}) == 1 for line in lines)


def _above(
    run: Run,
    sides: Sequence[Side],
    figure: Figure = AS_IT_IS,
    seen: set[str] | None = None,
) -> tuple[Pixels, ...]:
    """The sources that a picture has for itself, each once; one whose file is missing is left out.

    Args:
        run: whose picture it is.
        sides: which sources.
        figure: how they are shown.
        seen: those that stood above a picture before, which are left out, too; these are added.
    """
    different = {_image(run, side) if side in ("content", "style") else side: side for side in reversed(sides)}
    own = [side for image, side in reversed(different.items()) if image not in (seen or ())]
    if seen is not None:
        seen.update(different)
    found = (_as_source(run, side, figure).image for side in own)
    return tuple(image for image in found if image is not None)
