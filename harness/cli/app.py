"""``harness``: the commands and what they share. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness import __version__
from harness.errors import ConfigError, HarnessError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""The experiment-tracking research harness for neural style transfer.

Ablations of Gatys, Ecker & Bethge, *Image Style Transfer Using Convolutional Neural Networks* (CVPR 2016).
""",
    epilog="""**Begin with**

    harness run experiments/relative_weight.yaml      the paper's figure 4, on this machine

    harness run experiments/single.yaml transfer.content=photo.jpg transfer.style=painting.jpg

    harness explain experiments/relative_weight.yaml  its objective in the paper's terms
""",
)

File = Annotated[Path, typer.Argument(metavar="FILE.yaml", help="An experiment.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value]...", help="Override any field: transfer.size=384 'axes.alpha=[1e-3,1e-2]'"),
]
Profile = Annotated[str | None, typer.Option(help="One of the file's profiles, such as paper.")]


class Wandb(StrEnum):
    """Where W&B runs go."""

    online = "online"
    offline = "offline"
    off = "off"


@contextmanager
def reporting() -> Iterator[None]:
    """Turn every error into its sentence on stderr and its exit code.

    0 done, 1 something ran and failed, 2 wrong usage or configuration, 130 interrupted (and resumable).
    """
    try:
        yield
    except ConfigError as error:
        many = f"{len(error.faults)} faults" if len(error.faults) > 1 else "A fault"
        _fail(f"{many} in the configuration; nothing was run.\n{error}", error.exit_code)
    except HarnessError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("Interrupted. Everything up to now is kept; the same command (without --fresh) goes on from there.", 130)
    except MemoryError:
        _fail("There is not enough memory for this; ask for a smaller transfer.size or fewer cells at a time.", 1)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        what = f"{error.filename}: " if error.filename else ""
        _fail(
            f"{what}{error.strerror or error}. Nothing finished is lost; mend it and run the same command again.",
            1,
        )


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="""**Examples**

    harness run experiments/relative_weight.yaml

    harness run experiments/single.yaml transfer.content=photo.jpg transfer.style=painting.jpg transfer.size=384

    harness run experiments/relative_weight.yaml --dry-run

    harness run experiments/relative_weight.yaml --profile paper --devices cuda:0

The same command again computes only what is missing, and goes on where it was interrupted.
"""
)
def run(
    file: File,
    overrides: Overrides = None,
    out: Annotated[
        Path, typer.Option(help="Folder of all runs; the experiment's lie in a folder named after it.")
    ] = Path("runs"),
    profile: Profile = None,
    devices: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    wandb: Annotated[
        Wandb | None,
        typer.Option(help="Where W&B runs go; by default online with an API key, else offline.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it costs.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute failed runs again.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget this experiment's runs and compute them again.")
    ] = False,
    checkpoint_every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="Seconds between checkpoints.")
    ] = 30.0,
) -> None:
    """Carry out an experiment: its runs and its figure. Again: only what is missing."""
    with reporting():
        from harness.cli.run import Request, run_experiment

        request = Request(
            file, tuple(overrides or ()), out, profile, devices, wandb.value if wandb else None,
            dry_run, retry_failed, fresh, checkpoint_every,
        )  # fmt: skip
        num_unfinished = run_experiment(request)
    if num_unfinished:
        raise typer.Exit(1)


@app.command(
    epilog="""**Example**

    harness explain experiments/relative_weight.yaml transfer.convention=neural_style
"""
)
def explain(file: File, overrides: Overrides = None, profile: Profile = None) -> None:
    """The objective of an experiment's first cell, in the terms of the paper's printed equations."""
    with reporting():
        from harness.cli.explain import explain_experiment

        explain_experiment(file, tuple(overrides or ()), profile)


class What(StrEnum):
    """What to download."""

    images = "images"
    weights = "weights"
    all = "all"


@app.command(
    epilog="""**Examples**

    harness fetch            everything: about 1.2 GB

    harness fetch images     the paper's photograph and paintings: about 3 MB
"""
)
def fetch(what: Annotated[What, typer.Argument(help="images, weights or all.")] = What.all) -> None:
    """Download what the paper profile needs: the paper's images, and VGG-19's weights. Each is checked by its hash."""
    with reporting():
        from harness.cli.fetch import fetch_downloads

        fetch_downloads(images=what is not What.weights, weights=what is not What.images)


@app.command(
    epilog="""**Examples**

    harness distill --teacher vgg19_16x.safetensors --images photos --images paintings --work distillation

    harness distill --teacher vgg19_16x.safetensors --images photos --evaluate

The same command again goes on from the last checkpoint.
"""
)
def distill(
    teacher: Annotated[
        Path, typer.Option(help="The teacher's weights (.safetensors or .pth), with their own input layer.")
    ],
    images: Annotated[list[Path], typer.Option(help="A folder of images; may be given several times.")],
    work: Annotated[Path, typer.Option(help="Folder of the checkpoint and of the trained network.")] = Path(
        "distillation"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Optimisation steps in all.")] = 18_000,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Only measure the embedded network on the held-out images.")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="With --evaluate: measure this network instead.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train the embedded network again, or measure it."""
    with reporting():
        from harness.cli.distill import Training, run_distillation

        run_distillation(Training(teacher, tuple(images), work, steps, evaluate, weights, device))


def main() -> None:
    """The ``harness`` command."""
    app()
