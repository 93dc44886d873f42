"""Read an experiment or a sweep: file, then profiles, then overrides, with every fault in one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.config.cells import Cell, override_words
from harness.config.commands import RUNS, FileCommand
from harness.config.experiment import Experiment
from harness.config.given import Spec, read_spec
from harness.config.image_files import expand_axes
from harness.config.kept import KEPT
from harness.config.loaded import LoadedExperiment, LoadedSweep
from harness.config.overrides import EXPERIMENT_SECTIONS, SWEEP_ONLY, SWEEP_SECTIONS, mapping, varied_fields
from harness.config.resolving import FaultOfFile, laid_over, names_of_profiles, resolve_all
from harness.config.source import Source
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer
from harness.config.varied import with_varied
from harness.errors import ConfigError, Fault


def load_experiment(
    spec: Spec,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    fault_of_image: FaultOfFile = lambda name_or_path: None,
    name: str | None = None,
    out: Path = RUNS,
    storage: str | None = None,
    fault_of_weights: FaultOfFile = lambda path: None,
) -> LoadedExperiment:
    """Read and check an experiment, or a sweep of which every searched field is pinned by overrides.

    Paths of images and weights are kept as they are given, relative to the working directory. The profiles that were
    not asked for are checked as well.

    Args:
        spec: a YAML file, or what may stand for one.
        overrides: ``key=value`` words, applied from left to right after the profile.
        profile: of the file; several, ``vgg16,seeds``, are laid over it in this order.
        fault_of_image: what is wrong with an image, if anything; asked only where there are other faults, so that
            one report has them all (a sound experiment's images are read and hashed later).
        name: of the runs' folder; by default the file's, or what a mapping says.
        out: the folder of that folder.
        storage: of the study, fit to be printed: a sentence that names another command says it too.
        fault_of_weights: as ``fault_of_image``, of weights files.

    Raises:
        ConfigError: with every fault found, by line, those of overrides last.
    """
    source = replace(read_spec(spec, name, out), sections=EXPERIMENT_SECTIONS)
    if source.is_sweep:
        asked = FileCommand("sweep", source.called, tuple(overrides), profile, out, storage, _own_name(source))
        source = _pinned(replace(source, sections=SWEEP_SECTIONS + EXPERIMENT_SECTIONS), asked)
    given, source = source, _with_images(source)
    experiment, located, plugins = resolve_all(source, Experiment, profile, overrides, fault_of_image, fault_of_weights)
    base, fields = _file_transfer(source), varied_fields(source.data)

    def relative(cells: Sequence[Cell]) -> tuple[Cell, ...]:
        return tuple(replace(cell, overrides=override_words(cell.transfer, base, fields)) for cell in cells)

    return LoadedExperiment(
        experiment=experiment,
        **_origin(given),
        cells=relative(experiment.cells()),
        repeats=relative(experiment.repeats()),
        again=relative(experiment.again()),
        located=located,
        data=data_of(experiment),
        plugins=plugins,
    )


def load_sweep(
    spec: Spec,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    fault_of_image: FaultOfFile = lambda name_or_path: None,
    name: str | None = None,
    out: Path = RUNS,
    storage: str | None = None,
    fault_of_weights: FaultOfFile = lambda path: None,
) -> LoadedSweep:
    """Read and check a sweep; an override of a field of the transfer takes it out of ``space``.

    What it takes is what ``load_experiment`` takes.

    Raises:
        ConfigError: with every fault found, by line, those of overrides last.
    """
    source = replace(read_spec(spec, name, out), sections=SWEEP_SECTIONS)
    asked = FileCommand("run", source.called, tuple(overrides), profile, out, storage, _own_name(source))
    if not source.is_sweep and "transfer" in source.data:
        sentence = f"this is an experiment (it has no space to search); start it with: {asked}"
        raise ConfigError([*source.faults, Fault(source.located.document, "", sentence)])
    _refuse_pinned(source, asked)
    sweep, located, plugins = resolve_all(source, Sweep, profile, overrides, fault_of_image, fault_of_weights)
    return LoadedSweep(
        sweep=sweep,
        **_origin(source),
        located=located,
        data=data_of(sweep),
        file_transfer=_file_transfer(source),
        file_space=tuple(mapping(source.data.get("space"))),
        plugins=plugins,
    )


def data_of(definition: Experiment | Sweep) -> dict[str, Any]:
    """What ``experiment.yaml`` says."""
    return definition.model_dump(mode="json", exclude={"profiles"})


def _pinned(source: Source, asked: FileCommand) -> Source:
    """A sweep's source that overrides have made a single transfer.

    Args:
        source: the sweep's.
        asked: the command that carries out the search.

    Raises:
        ConfigError: something is left to search.
    """
    data, _, overrides = laid_over(source, _known(source, asked.profile), asked.overrides)
    left = data.get("space")
    if mapping(source.data.get("space")) and left == {}:
        return source
    keys = ", ".join(key for key in SWEEP_ONLY if key in source.data)
    sentence = f"this is a sweep file (it has {keys}); start it with: {asked}"
    if mapping(left):
        sentence += f"; or pin what it searches: {' '.join(f'transfer.{field}=…' for field in mapping(left))}"
    first = next(key for key in SWEEP_ONLY if key in source.data)
    raise ConfigError([Fault(source.located.where((first,)), "", sentence), *source.faults, *overrides.faults])


def _refuse_pinned(source: Source, asked: FileCommand) -> None:
    """Refuse overrides that leave a sweep nothing to search; ``asked`` carries out the one transfer they leave."""
    data, located, _ = laid_over(source, _known(source, asked.profile), asked.overrides)
    if asked.overrides and mapping(source.data.get("space")) and data.get("space", {}) == {}:
        sentence = f"the overrides leave nothing to search; carry out this transfer with: {asked}"
        raise ConfigError([Fault(located.where(("space",)), "", sentence)])


def _origin(source: Source) -> dict[str, Any]:
    """Where what was loaded comes from."""
    given = source.data if source.is_given else None
    called = source.called if source.home is None else str(source.home / KEPT)  # where it lies once it is carried out
    name = source.name or source.path.stem
    return {"name": name, "source": source.path, "called": called, "given": given, "home": source.home}


def _own_name(source: Source) -> str | None:
    """The name that a command must say."""
    return source.name if source.name and source.home is None else None


def _with_images(source: Source) -> Source:
    """A source in whose axes folders and patterns of images are files."""
    data = dict(source.data)
    faults = expand_axes(data, source.located)
    return replace(source, data=data, faults=(*source.faults, *faults))


def _known(source: Source, profile: str | None) -> str | None:
    """The profiles if all of them are some; else none (it is reported elsewhere)."""
    profiles = mapping(source.data.get("profiles"))
    return profile if all(isinstance(profiles.get(name), dict) for name in names_of_profiles(profile)) else None


def _file_transfer(source: Source) -> Transfer | None:
    """What the file alone says; None where that is no valid transfer, or another grid's may take its place."""
    if source.owner is not None:
        return None
    try:
        return Transfer.model_validate(with_varied(source.data).get("transfer"))
    except ValidationError:
        return None
