"""One run as its folder has it: its picture, its losses, its numbers, what it was made from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.config.claims import COMPARABLE
from harness.config.commands import FileCommand
from harness.config.levels import num_evaluations
from harness.config.methods import has_network
from harness.config.styles import image_slots
from harness.config.transfer import Transfer
from harness.config.transfer_parts import WeightsPath
from harness.config.values import WRITTEN
from harness.config.yaml_source import flow
from harness.errors import ImageError, StorageError, UsageError
from harness.results.linking import is_gone, taken_from, told_gone
from harness.results.pictures import Iterates, Pixels, read_pixels
from harness.runs.provenance import devices_of
from harness.runs.settled import settled, why_unsettled
from harness.runs.store import Manifest, Metrics, RunFolder, Status
from harness.system import is_locked

Part = Literal["grid", "repeat", "again"]

REPEATS = "repeats"
"""Folder, in an experiment's, of runs that were computed a second time."""

NUM_DIGITS = 8
"""Of a SHA-256 so many hex digits are shown."""


@dataclass(frozen=True)
class Run:
    """One run as its folder has it.

    Attributes:
        id: the run id.
        label: what sets it apart, in order: ``{"cases": "A", "alpha": 0.01}``; of a repeat also ``seed``, of a sweep's
            trial ``trial`` and its fields.
        part: ``grid``: has a panel in the figure; ``repeat``: the same cell from another seed, for the claims' spread;
            ``again``: the same transfer computed a second time, to see whether it repeats.
        transfer: resolved, also of a run that has not begun.
        overrides: the words that repeat it behind ``harness run FILE``.
        folder: its files.
        sources: ``content``, ``style`` and whatever else it was made from, at the picture's size or area, as PNG files;
            the keys stand in ``harness.driver.source_images``.
        evaluations: how many the whole run has, where that was kept; see ``num_evaluations``.
        plugins: as its experiment names them.
        earlier: of ``Results.with_earlier`` alone: which grid asked for it, where that is not today's; the name of its
            folder in ``earlier``.
    """

    id: str
    label: Mapping[str, Any]
    part: Part
    transfer: Transfer
    overrides: tuple[str, ...]
    folder: RunFolder
    sources: Mapping[str, Path]
    evaluations: int | None = None
    plugins: tuple[str, ...] = ()
    earlier: str = ""

    def __repr__(self) -> str:
        return f"<Run {self.id} ({self.name}): {self.reason if self.status is Status.GONE else self.status.value}>"

    @property
    def name(self) -> str:
        """The label on one line, such as ``A, alpha=0.01``."""
        return label_name(self.label)

    @property
    def key(self) -> tuple[str, bool]:
        """Equal of two that are one run of an experiment's folder: its id, and whether it is computed a second time."""
        return self.id, self.part == "again"

    @cached_property
    def manifest(self) -> Manifest | None:
        """Its manifest as it was when first asked for; None where the run has not begun.

        Raises:
            StorageError: the file is not a manifest.
        """
        return self.folder.manifest()

    @property
    def status(self) -> Status:
        """What became of it."""
        if self.manifest:
            return self.manifest.status
        return Status.GONE if is_gone(self.folder.path) else Status.WAITING

    @property
    def home(self) -> Path:
        """The folder of the experiment that it is in, be it as a link."""
        folder = Path(os.path.abspath(self.folder.path)).parent
        return folder.parent if folder.name == REPEATS else folder

    @property
    def taken_from(self) -> Path | None:
        """The folder of the experiment that has computed it, where that is another one: its folder is a link there."""
        return taken_from(self.folder.path)

    @property
    def reason(self) -> str:
        """Why it failed or ended early, could not be measured, or is gone; empty otherwise."""
        if self.status is Status.GONE:
            return f"{told_gone(self.folder.path)}; the same command computes it again"
        return " ".join([self.manifest.reason, *self.manifest.unmeasured.values()]).strip() if self.manifest else ""

    @property
    def metrics(self) -> Metrics:
        """The comparable numbers; empty until it is done."""
        return self.manifest.metrics if self.manifest else {}

    @property
    def unsettled(self) -> str:
        """What tells that it is done and yet had not settled; empty where it had, or nothing can be said."""
        return (why_unsettled(self.manifest, self.transfer) if self.manifest else None) or ""

    @property
    def settled(self) -> bool | None:
        """Whether its loss had settled when it was done (``harness.runs.settled``); None where nothing can be said."""
        return settled(self.manifest, self.transfer) if self.manifest else None

    @property
    def devices(self) -> str | None:
        """The ``--devices`` with which the same command computes it to the same bits; None where that is not known."""
        return devices_of(self.manifest.provenance) if self.manifest else None

    def image(self) -> Pixels:
        """The finished picture, (H, W, 3) uint8; of a transparent photograph's (H, W, 4), with its alpha.

        Raises:
            ImageError: there is none.
        """
        return read_pixels(self._picture(), with_alpha=True)

    def colours(self) -> Pixels:
        """The finished picture as it is measured and drawn, (H, W, 3) uint8: over white where it is transparent.

        Raises:
            ImageError: there is none.
        """
        return read_pixels(self._picture())

    def _picture(self) -> Path:
        if not self.folder.image_path.exists():
            raise ImageError(f"Run {self.id} ({self.name}) has no picture: it {self.status.value}.")
        return self.folder.image_path

    @property
    def num_evaluations(self) -> int:
        """Of the whole run when it is done, over all sizes and stages; a quilted picture's are its rows of blocks."""
        if self.evaluations:
            return self.evaluations
        if not has_network(self.transfer.method):  # a run's folder without its experiment's
            return int(self.metrics.get("evaluations") or 1)
        return num_evaluations(self.transfer)

    def source(self, key: str) -> Pixels:
        """What it was made from, (H, W, 3) uint8: ``content``, ``style``, or another key of ``sources``.

        Raises:
            ImageError: the file was deleted, it has no such image, or nothing says where it is.
        """
        if key in self.sources:
            return read_pixels(self.sources[key])
        if not self.sources:
            raise ImageError(f"Run {self.id} does not say where its {key} is; load its experiment's folder instead.")
        raise ImageError(f"Run {self.id} ({self.name}) has no image {key!r}; it has {', '.join(self.sources)}.")

    def measure(self, name: str, to: str | None = None) -> float:
        """A measure of the finished picture: a comparable number, one that claims name, or one of its plugins'.

            run.measure("edge_correlation"), run.measure("gram_distance", to="strokes")

        What compares with the experiment's other runs is a claim's.

        Args:
            name: of the measure.
            to: the painting that is meant, for a measure that asks for one.

        Raises:
            CannotMeasureError: the run is not done, or the measure has no meaning for it.
            UsageError: there is no such measure, or its plugin is gone.
            PluginError: a user's measure fails, with its file and line.
            ImageError: a picture was deleted.
        """
        from harness.results.measuring import Measuring

        is_lacking = name in COMPARABLE and self.metrics.get(name) is None
        measuring = Measuring([self])
        return (measuring.computed if is_lacking else measuring.of_run)(name, self, to)

    def start(self) -> Pixels:
        """The picture at which the first evaluation was measured, clamped to [0, 1]; as ``image`` gives it.

        Raises:
            ImageError: the run has not begun.
        """
        return read_pixels(self.folder.iterate_path(1), with_alpha=True)

    def iterates(self) -> Iterates:
        """The pictures kept on the way, by evaluation: ``run.iterates()[100]`` is like ``image()``."""
        return Iterates(self.folder.iterates())

    def history(self) -> list[dict[str, float]]:
        """The losses, a mapping per evaluation: ``evaluation``, ``seconds``, ``total``, ``content``, ``style``…

        Raises:
            StorageError: history.csv is damaged.
        """
        return self.folder.history()

    @cached_property
    def whole_fields(self) -> Mapping[str, Any]:
        """The transfer as plain data, for tables: ``{"alpha": 0.001, "style_layers": {"conv1_1": 0.2, …}, …}``."""
        return self.transfer.plain()

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """The transfer by dotted names: ``{"alpha": 0.001, "style_layers.conv1_1": 0.2, …}``."""
        return dict(_flatten(self.whole_fields))

    @cached_property
    def contents(self) -> Mapping[str, tuple[str, str]]:
        """Name and first digits of the SHA-256 of what it was computed from: images, network, plugins.

        ``{"sha256 of content": ("fox.jpg", "1f0c33a2"), …}``; empty until it has begun.
        """
        try:
            found = computed_from(self.transfer, self.manifest.provenance) if self.manifest else {}
        except StorageError:  # damaged: whoever reads its numbers says so
            return {}
        return {f"sha256 of {what}": (name, sha256[:NUM_DIGITS]) for what, (name, sha256) in found.items()}

    @property
    def said(self) -> Mapping[str, Any]:
        """All that its label, its transfer and its files say, whole and by dotted names: what can be selected by."""
        hashes = {what: sha256 for what, (_, sha256) in self.contents.items()}
        return {**hashes, **self.fields, **self.whole_fields, **self.label}

    def is_in_use(self) -> bool:
        """Whether a process is working on it right now; if not, and it is unfinished, then it was interrupted."""
        return is_locked(self.folder.path / ".lock")


def run_of(folder: Path, cell: Mapping[str, Any], plugins: tuple[str, ...]) -> Run:
    """A run as cells.json, in ``folder``, has it; its experiment names plugins."""
    return Run(
        cell["id"],
        dict(cell["label"]),
        cell["part"],
        Transfer.model_validate(cell["transfer"], context=WRITTEN),
        tuple(cell["overrides"]),
        RunFolder(folder / cell["folder"]),
        {key: folder / name for key, name in cell["sources"].items()},
        cell["evaluations"],
        plugins,
    )


def computed_from(transfer: Transfer, provenance: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Name and SHA-256 of what a run is computed from: ``{"content": ("fox.jpg", "1f0c…"), "weights": …, "my.py": …}``.

    Of a network that is no file of the user's, the hash is that of its tensors.
    """
    files, weights = provenance.get("files", {}), transfer.weights
    found = {slot: (name, files[slot]["sha256"]) for slot, name in image_slots(transfer) if slot in files}
    if isinstance(weights, WeightsPath) and "weights" in files:
        found["weights"] = weights.file, files["weights"]["sha256"]
    elif "weights" in files:
        found["weights"] = flow(transfer.plain()["weights"]), files["weights"].get("network", "")
    return found | {name: (name, sha256) for name, sha256 in provenance.get("plugins", {}).items()}


def run_alone(path: Path) -> Run:
    """A run as its own folder has it, such as ``runs/relative_weight/98f30cfb3a16``, also where no cells.json has it.

    Raises:
        UsageError: it is not such a folder.
        StorageError: its manifest cannot be read.
    """
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None:
        raise UsageError(f"{path} is not a run's folder (it has no manifest.json).")
    try:
        transfer = folder.transfer()
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path / 'transfer.yaml'} cannot be read ({error}); compute the run again.") from error
    command = manifest.tracking.get("command")
    words = FileCommand.read(command).overrides if command else ()
    return Run(manifest.id, manifest.label, "grid", transfer, words, folder, {})


def label_name(label: Mapping[str, Any]) -> str:
    """A label on one line: ``A, alpha=0.01``; ``single`` where nothing varies."""
    words = [str(value) if part == "cases" else f"{part}={flow(value)}" for part, value in label.items()]
    return ", ".join(words) or "single"


def _flatten(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{before}{key}.")
        elif (key, value) != ("terms", {}):  # none: a field of its own beside those of other runs' terms
            yield f"{before}{key}", value
