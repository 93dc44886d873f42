"""What stands once for many pictures: in a figure itself, and in the caption of ``figure.tex``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.config.experiment import Experiment
from harness.config.figure import WIDTHS_IN
from harness.config.file_names import FileNames
from harness.config.methods import is_used
from harness.figures.labels import label, labels, weight_caption, weight_captions
from harness.figures.run_labels import images_of
from harness.latex import escape, of_label
from harness.results import Results, Run
from harness.runs.store import write_durably

TEX = "figure.tex"
MAX_LISTED = 8
"""Values that a caption lists; of more, the first and the last."""

SETTINGS = ("content_layers", "style_layers", "size", "weights", "convention", "start", "seed")
"""What a caption says of all pictures, where it is the same: the fields that decide most of what is seen."""

_NO_LABEL = re.compile(r"[^A-Za-z0-9_.:-]+")
"""What no \\label holds in every TeX."""

_PLACE = r"fig(?:ure|s\.|\.)?\s*\d+"


def said_once(captions: Sequence[Sequence[str | None]]) -> tuple[str, list[str], list[str]]:
    """Where captions that pictures have in common stand once: as a title, above the columns, or beside the rows.

    Args:
        captions: of the places of a grid; None where there is no picture.

    Returns:
        The title, the columns' and the rows' captions; at most one of the three is not empty.
    """

    def common(line: Sequence[str | None]) -> str | None:
        different = {caption for caption in line if caption is not None}
        return different.pop() if len(different) == 1 else "" if not different else None

    every = [caption for line in captions for caption in line]
    if len(every) > 1 and (title := common(every)):
        return title, [], []
    columns = [common(line) for line in zip(*captions, strict=True)]
    if len(captions) > 1 and None not in columns:
        return "", [text or "" for text in columns], []
    rows = [common(line) for line in captions]
    if len(captions[0]) > 1 and None not in rows:
        return "", [], [text or "" for text in rows]
    return "", [], []


def write_tex(results: Results, experiment: Experiment) -> Path:
    """Write ``figure.tex`` beside ``figure.pdf``: a figure environment with a caption.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = results.folder / TEX
    write_durably(path, figure_tex(results, experiment))
    return path


def figure_tex(results: Results, experiment: Experiment) -> str:
    """An environment that includes ``figure.pdf`` as wide as it is printed.

    Its caption says the photograph, the painting, what varies, what is the same in all pictures, and the papers'
    figures that the experiment names; the command stands in a comment above.
    """
    width_in = experiment.figure.width_in
    assert width_in is not None
    name = "figure*" if width_in > WIDTHS_IN["column"] + 0.01 else "figure"
    sentences = [*_images(results.runs), *_varying(results, experiment), *_constant(results.runs, experiment)]
    sentences += (
        [f"Compare {_enumerated([escape(place) for place in places])}."] if (places := _places(experiment)) else []
    )
    caption = "\n    ".join(sentences)
    made_by = "".join(f"% made by {line}\n" for line in results.command.splitlines())
    return (
        f"{made_by}"
        f"% {width_in:.4g} in wide, type of {experiment.figure.size_pt:g} pt: not scaled, or its type is too.\n"
        f"% Needs the package graphicx; \\graphicspath says where figure.pdf is.\n"
        f"\\begin{{{name}}}\n  \\centering\n  \\includegraphics[width={width_in:.6g}in]{{figure.pdf}}\n"
        f"  \\caption{{%\n    {caption}}}\n  \\label{{fig:{_NO_LABEL.sub('-', results.name)}}}\n\\end{{{name}}}\n"
    )


def _images(runs: Sequence[Run]) -> Iterator[str]:
    for noun, told in (("Photograph", images_of("content", runs)), ("painting", images_of("style", runs))):
        different = list(dict.fromkeys(told))
        several = "s" if len(different) > 1 else ""
        end = ";" if noun == "Photograph" else "."
        yield f"{noun}{several}: {of_label(_listed(different))}{end}"


def _varying(results: Results, experiment: Experiment) -> Iterator[str]:
    """What differs along the columns, along the rows, or from panel to panel."""
    column, rows = experiment.layout()
    if experiment.figure.wrap and experiment.figure.rows is None:
        directions = {"Panel by panel": experiment.varies()}
    else:
        directions = {"From left to right": (column,) if column else (), "From top to bottom": rows}
    for direction, parts in directions.items():
        different = {tuple(map(repr, (run.label[part] for part in parts))): run for run in results.runs}
        if parts and len(different) > 1:
            yield f"{direction}: {of_label(_listed(_values(list(different.values()), parts, experiment)))}."


def _values(runs: Sequence[Run], parts: Sequence[str], experiment: Experiment) -> list[str]:
    """The values of parts in words; of the weights alone, the ratio once and then its values."""
    if tuple(parts) in (("alpha",), ("beta",)) and all(run.transfer.alpha and run.transfer.beta for run in runs):
        first, *others = weight_captions([run.transfer for run in runs])
        return [first, *(text.split(" = ")[1] for text in others)]
    names = FileNames(run.label for run in runs)
    return labels(parts, [[names.of(part, run.label[part]) for part in parts] for run in runs], experiment.cases)


def _constant(runs: Sequence[Run], experiment: Experiment) -> Iterator[str]:
    """The settings that all pictures share."""
    told = [weight_caption(runs[0].transfer)] if len({weight_caption(run.transfer) for run in runs}) == 1 else []
    method = runs[0].transfer.method
    for field in SETTINGS:
        values = [run.transfer.plain().get(field) for run in runs]
        if is_used(method, field) and all(value == values[0] for value in values):
            told.append(label((field,), (values[0],), {}))
    evaluations = {run.num_evaluations for run in runs}
    told += [f"{evaluations.pop()} evaluations"] if len(evaluations) == 1 else []
    if told:
        yield f"All: {of_label('; '.join(told))}."


def _places(experiment: Experiment) -> list[str]:
    """The figures of papers that the experiment is about: as its notes have them in brackets, or else its claims."""
    if found := re.search(rf"\(([^()]*\b{_PLACE}[^()]*)\)", experiment.tracking.notes):
        return [found[1]]
    parts = [part.strip() for claim in experiment.claims for part in claim.where.split(";")]
    return list(dict.fromkeys(match[0] for part in parts if (match := re.match(rf".*?\b{_PLACE}", part))))


def _enumerated(texts: Sequence[str]) -> str:
    """``fig. 3, fig. 4 and fig. 6``."""
    *others, last = texts
    separator = "; " if any("," in text for text in texts) else ", "
    return f"{separator.join(others)} and {last}" if others else last


def _listed(texts: Sequence[str]) -> str:
    if len(texts) > MAX_LISTED:
        return f"{texts[0]} … {texts[-1]} ({len(texts)} in all)"
    separator = "; " if any("," in text for text in texts) else ", "
    return separator.join(texts)
