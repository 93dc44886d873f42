"""What all commands share: the app, and how errors are reported."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from harness import __version__
from harness.errors import ConfigError, HarnessError
from harness.odd_names import escaped_text

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

    harness sweep sweeps/pareto.yaml                  a search for the best trade-offs

    harness explain experiments/relative_weight.yaml  the objective in the paper's terms
""",
)


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
    except UnicodeEncodeError as error:
        told = f"{error.object!r} cannot be the name of a file in this locale, whose encoding is {error.encoding}"
        _fail(f"{told}; set PYTHONUTF8=1, or LC_ALL=C.UTF-8, and run the same command again.", 1)
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
    print(escaped_text(message), file=sys.stderr)
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
