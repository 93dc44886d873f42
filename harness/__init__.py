"""harness: the experiment-tracking research harness for neural style transfer.

    import harness

    results = harness.run("relative_weight", "transfer.size=128")
    results.run(alpha=0.01).image()

    harness.run({"transfer": {"content": "photo.jpg", "style": "ink"}, "axes": {"alpha": [1e-3, 1e-2]}}, name="mine")

    results = harness.load("runs/relative_weight")

Importing it imports nothing heavy: numpy comes with the first ``load``, torch with the first ``run``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from optuna import Study
    from torch import nn

    from harness.config.given import Spec
    from harness.driver.explain import Explanation
    from harness.driver.telling import Telling
    from harness.features.networks import NodeNetwork
    from harness.results import Results

from harness.errors import UsageError
from harness.registries import measure, method, network, style_statistic, term

__all__ = [
    "draw", "explain", "export", "load", "measure", "method", "network", "node_network", "remove", "run",
    "style_statistic", "sweep", "term",
]  # fmt: skip

__version__ = "0.1.0"


def run(
    spec: Spec,
    *overrides: str,
    name: str | None = None,
    out: Path | str = "runs",
    profile: str | None = None,
    devices: str = "auto",
    engine: str = "local",
    storage: str | None = None,
    wandb: str | None = None,
    retry_failed: bool = False,
    fresh: bool = False,
    checkpoint_every_s: float = 30.0,
    progress: bool | Telling = True,
) -> Results:
    """Carry out an experiment, as ``harness run`` does: only what is missing is computed, then all is drawn and judged.

        results = harness.run("experiments/relative_weight.yaml", "transfer.size=128", "axes.alpha=[1e-3,1e-1]")
        results = harness.run({"base": "single", "transfer": {"content": "photo.jpg"}}, name="portrait")

    Ctrl-C, or a notebook's stop button, ends it with everything checkpointed; the same call goes on from there.

    Args:
        spec: the experiment: its file, the name of one that comes with the harness (a file of that name in the working
            directory comes first), a mapping as its YAML would be, or an ``Experiment`` of ``harness.config``, whose
            docstring says where its parts are.
        overrides: ``key=value``, each as behind ``harness run``.
        name: what the runs' folder, the study and the W&B group are called; by default the file's name. A mapping may
            say it itself, by a key ``name``.
        out: folder of all runs; the file's lie in a folder named after it, or as ``name`` says.
        profile: of the file; several, ``vgg16,seeds``, are laid over it in this order.
        devices: ``auto``, ``cpu``, ``cpu:N`` (N workers), ``cuda``, ``cuda:0,1`` …
        engine: ``local``, ``ray``, or a Ray cluster's ``ray://HOST:PORT``.
        storage: where the Optuna study is kept: a ``sqlite:///…`` or ``postgresql://…`` address; by default a journal
            in the file's folder.
        wandb: ``online``, ``offline`` or ``off``; by default online with an API key, else offline.
        retry_failed: compute failed runs again.
        fresh: forget this file's runs and compute them again.
        checkpoint_every_s: seconds between checkpoints.
        progress: show progress bars and sentences; or who is told instead.

    Returns:
        Every run, also those that failed: ``results.runs[0].status``.

    Raises:
        HarnessError: with a sentence: a fault in the file or an image, no such device, no room on the disk.
        KeyboardInterrupt: it was interrupted; everything up to now is kept.
    """
    from harness.driver.request import Request, load_asked

    request = Request(
        spec, overrides, Path(out), profile, devices, engine, storage, wandb, retry_failed, fresh,
        checkpoint_every_s, name,
    )  # fmt: skip
    loaded = load_asked(request)
    from harness.driver.experiment import plan_experiment, run_experiment

    telling = _telling(progress)
    return run_experiment(request, loaded, plan_experiment(request, loaded, telling), telling).results


def sweep(
    spec: Spec,
    *overrides: str,
    name: str | None = None,
    out: Path | str = "runs",
    profile: str | None = None,
    devices: str = "auto",
    engine: str = "local",
    storage: str | None = None,
    wandb: str | None = None,
    retry_failed: bool = False,
    fresh: bool = False,
    checkpoint_every_s: float = 30.0,
    progress: bool | Telling = True,
) -> Results:
    """Search with Optuna, as ``harness sweep`` does; a second call goes on.

        results = harness.sweep("sweeps/pareto.yaml", "budget.trials=8")

    Args, returns and errors are those of ``run``, for a sweep: a file, a name, a mapping, or a ``Sweep`` of
    ``harness.config``.
    """
    from harness.driver.request import Request, load_asked_sweep

    request = Request(
        spec, overrides, Path(out), profile, devices, engine, storage, wandb, retry_failed, fresh,
        checkpoint_every_s, name,
    )  # fmt: skip
    loaded = load_asked_sweep(request)
    from harness.driver.sweep import plan_sweep, run_sweep

    telling = _telling(progress)
    return run_sweep(request, plan_sweep(request, loaded, telling), telling).conclusion.results


def explain(spec: Spec, *overrides: str, profile: str | None = None) -> Explanation:
    """The objective of an experiment's first cell, as ``harness explain`` prints it, and in numbers.

        told = harness.explain("relative_weight", "transfer.size=512")
        print(told)
        [(term.layer, term.equation, term.printed) for term in told.terms]
        told.converted["neural_style"].ratio

    Args:
        spec: as of ``run``; a mapping needs no name.
        overrides: ``key=value``, each as behind ``harness explain``.
        profile: of the file; several, ``vgg16,seeds``, are laid over it in this order.

    Raises:
        HarnessError: as of ``run``.
    """
    from harness.driver.request import Request, load_asked

    is_named = isinstance(spec, str | PathLike) or (isinstance(spec, Mapping) and "name" in spec)
    name = None if is_named else "mapping"
    loaded = load_asked(Request(spec, overrides, profile=profile, name=name))
    from harness.driver.explain import explain_loaded

    return explain_loaded(loaded)


def load(path: Path | str) -> Results:
    """What an experiment or a sweep has come to: its runs, pictures, losses and numbers, for notebooks.

        results = harness.load("runs/relative_weight")
        for run in results.runs:
            print(run.name, run.metrics.get("ssim"), run.history()[-1]["total"])
        pandas.DataFrame(results.table())

    They are those of what was asked for last. ``results.earlier`` has what was asked for before in the same folder,
    ``results.with_earlier()`` all runs of it together.

    Args:
        path: the experiment's or sweep's folder (``runs/NAME``), one run's (``runs/NAME/ID``), or an earlier grid's
            (``runs/NAME/earlier/…``).

    Raises:
        UsageError: it is not such a folder.
        StorageError: a manifest in it cannot be read.
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"Give results (harness.load, select) or folders of them; got {type(path).__name__}.")
    from harness.results import load as load_results

    return load_results(path)


def draw(what: Results | Path | str, *overrides: str) -> list[Path]:
    """Draw an experiment's figure and curves, or a sweep's front, into its folder, and write its page ``explore.html``.

        harness.draw("runs/relative_weight", "figure.width=column", "figure.font=times")

    Args:
        what: an experiment's or a sweep's results, or its folder as of ``load``.
        overrides: of an experiment's figure, each as behind ``harness figure``; for this once.

    Returns:
        The files: PNG, PDF and, where a width is given, ``figure.tex``; and the page.

    Raises:
        UsageError: it is neither, or some of its runs were left out, by ``select`` or as one run's folder.
        ConfigError: the figure has no such fields.
        StorageError: they cannot be written.
    """
    from harness.figures.results import draw_results, with_figure

    return draw_results(with_figure(_one(what), overrides))


def export(what: Results | Path | str | Sequence[Results | Path | str], folder: Path | str) -> Path:
    """Copy pictures, what they were made from, and the commands into a new folder, as ``harness export`` does.

        harness.export(harness.load("runs/relative_weight").select(alpha=0.01), "for_anna")
        harness.export("runs/relative_weight", "for_anna.zip")        # its page, with all the pictures, in one file

    Of an experiment's folder that is what was asked for last; ``earlier`` and ``with_earlier`` have the rest.

    Args:
        what: results, whole or what ``select`` leaves of them, or folders as of ``load``; one or several.
        folder: is made; or, where it ends in ``.zip``, a file.

    Returns:
        The folder, or the file.

    Raises:
        UsageError: it is there already, or no run has a picture.
        StorageError: something cannot be read or written.
    """
    if Path(folder).suffix == ".zip":
        from harness.figures.explorer import export_explorer

        return export_explorer(_results(what), folder)
    from harness.results.exporting import export_runs

    return export_runs(_results(what), folder)


def remove(what: Results | Path | str | Sequence[Results | Path | str], keep_studies: bool = False) -> None:
    """Remove experiments or sweeps with their studies, earlier grids, or what ``select`` leaves.

    A run to which another experiment links is not lost: its folder moves there, in a link's place. Nobody is asked;
    ``harness remove`` does.

    Args:
        what: as of ``export``.
        keep_studies: leave studies in a database alone.

    Raises:
        UsageError: in an experiment's folder lies a file of yours.
        StorageError: something of it is in use, or cannot be removed.
    """
    from harness.driver import removing

    removing.remove(removing.plan_removal(_results(what), keep_studies))


def _results(what: Results | Path | str | Sequence[Results | Path | str]) -> list[Results]:
    if isinstance(what, Sequence) and not isinstance(what, str):
        return [_one(each) for each in what]
    return [_one(what)]


def _one(what: Results | Path | str) -> Results:
    from harness.results import Results

    return what if isinstance(what, Results) else load(what)


def _study_of(results: Results) -> Study:
    """What ``Results.optuna_study`` gives: results know nothing of studies, which are made of them."""
    from harness.studies.storage import read_study

    return read_study(results)


def node_network(
    model: nn.Module, layers: Mapping[str, str], input: Literal["torchvision", "caffe"] | None = "torchvision"
) -> NodeNetwork:
    """A network of any of torchvision's models, by the names of its nodes, for ``@harness.network``.

        @harness.network("resnet18")
        def resnet18():
            model = torchvision.models.resnet18(weights="IMAGENET1K_V1")
            return harness.node_network(model, {"first": "relu", "early": "layer1", "late": "layer3"})

    Args and errors are those of ``harness.features.networks.node_network``.
    """
    from harness.features.networks import node_network as make

    return make(model, layers, input)


def _telling(progress: bool | Telling) -> Telling:
    """Who is told: a display, nobody (what the user should know is logged), or whoever was given."""
    from harness.driver.telling import Telling

    if not isinstance(progress, bool):
        return progress
    if not progress:
        return Telling()
    from harness.cli.telling import ConsoleTelling

    return ConsoleTelling()
