"""The commands about what was computed: status, compare, figure, claims, dashboard, export, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.base import Wandb, app, reporting

Folders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH]", help="Folders of experiments or sweeps, or of all of them.", show_default="runs"),
]

Latex = Annotated[
    Path | None, typer.Option("--latex", metavar="FILE", help="Write a table for LaTeX (booktabs) there too.")
]


@app.command(
    epilog="""**Examples**

    harness status                               every experiment and sweep below runs

    harness status runs/relative_weight          its grid: done, running, failed (and why), missing

    harness status runs/relative_weight --watch  again every 2 s until all has ended, or Ctrl-C
"""
)
def status(
    paths: Folders = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every 2 s until all runs have ended.")] = False,
) -> None:
    """How far experiments and sweeps have come: the grid with its holes, what failed and why."""
    code = 0
    with reporting():
        from harness.cli.status import show_status, watch_status

        folders = paths or [Path("runs")]
        if watch:
            code = watch_status(folders)
        else:
            show_status(folders)
    if code:
        raise typer.Exit(code)


@app.command(
    epilog="""**Examples**

    harness compare runs/relative_weight

    harness compare runs/initialisation runs/layer_weights --sort ssim --csv table.csv

    harness compare runs/initialisation --over-seeds --latest --columns ssim,lpips,total --latex table.tex

    harness compare runs/a/98f30cfb3a16 runs/b/5de0a1b2c3d4   two runs

    harness compare runs/single/earlier/1f0c93aa              what was asked for earlier, alone

What differs between the runs stands before the numbers. Numbers compare at one size only: each size has its own table.
For LaTeX, without --columns, the comparable numbers that a page has room for are written, in this order: those to the
references, ssim, lpips, your own measures, heldout_style, style_swd, the distances, total_variation.
"""
)
def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders of experiments, sweeps or runs.")],
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table there too.")] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="NAME", help="By this number or field; -NAME: the largest first.")
    ] = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Also the repeats, which have no panel.")] = False,
    over_seeds: Annotated[
        bool,
        typer.Option("--over-seeds", help="One line for runs that differ in their seed alone: mean ± sd (n − 1)."),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Only these numbers, such as ssim,reference_style,loss/total; also in files."
        ),
    ] = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Only the grid asked for last, without those asked for earlier.")
    ] = False,
    latex: Latex = None,
) -> None:
    """A table of finished runs over the comparable numbers, with what differs between them."""
    with reporting():
        from harness.cli.compare import Choice, compare_runs

        compare_runs(paths, Choice(sort, all_runs, over_seeds, columns, latest), csv, latex)


@app.command(
    epilog="""**Examples**

    harness figure runs/relative_weight

    harness figure runs/relative_weight figure.width=column       as it is printed in a column of 3.25 in

    harness figure runs/styles figure.width=text figure.font=times 'figure.zoom=[0.5,0.3,0.2,0.2]'

Every field of figure: `harness fields figure`. In print type is 8 pt, and figure.tex has the figure with a caption.
"""
)
def figure(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH... [figure.FIELD=VALUE]...", help="Folders of experiments or sweeps; how to draw them."
        ),
    ],
    opens: Annotated[bool, typer.Option("--open", help="Open the figure in the desktop's viewer.")] = False,
) -> None:
    """Draw the figures, write the page and judge the claims again, from the run folders alone."""
    with reporting():
        from harness.cli.figure import draw_again

        draw_again(words, opens)


@app.command(
    epilog="""**Examples**

    harness claims runs/relative_weight

    harness claims runs/relative_weight runs/initialisation --markdown

    harness claims runs/relative_weight --latex claims.tex

    harness claims embedded/relative_weight vgg16/relative_weight --beside
"""
)
def claims(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders of experiments.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="One Markdown table, as in the README.")] = False,
    latex: Latex = None,
    are_beside: Annotated[
        bool,
        typer.Option(
            "--beside", help="The same claims of several folders in one row, a column for each; not for LaTeX."
        ),
    ] = False,
) -> None:
    """The paper's claims as the runs bear them out: measured, bound, verdict."""
    with reporting():
        from harness.cli.claims import show_claims

        show_claims(paths, markdown, latex, are_beside)


@app.command(
    epilog="""**Examples**

    harness dashboard runs/relative_weight

    harness dashboard runs/pareto --port 9000 --no-browser

From another machine: `ssh -L 8080:127.0.0.1:8080 HOST`, then open the same address here.
"""
)
def dashboard(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An experiment's or sweep's folder.")],
    storage: Annotated[
        str | None, typer.Option(help="Where the study is kept, if not where it was when it ran.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first port to try, on 127.0.0.1.")] = 8080,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    wandb: Annotated[
        Wandb | None,
        typer.Option(help="The W&B view: built when online, explained when offline.", show_default=False),
    ] = None,
) -> None:
    """The page of an experiment's pictures, Optuna Dashboard on its study, and how to open the W&B view."""
    with reporting():
        from harness.cli.dashboard import Showing, show_dashboard

        show_dashboard(Showing(path, storage, port, not no_browser, wandb.value if wandb else None))


@app.command(
    epilog="""**Examples**

    harness export runs/relative_weight for_anna               pictures, figures, claims

    harness export runs/single/98f30cfb3a16 one_picture

    harness export runs/single runs/single/earlier/* all       what was asked for earlier, too

    harness export runs/relative_weight for_anna.zip           the page explore.html with all it shows, in one file

Each picture's file NAME.yaml repeats it: `cd for_anna && harness run NAME.yaml` is a run of the same id.
"""
)
def export(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders of experiments, sweeps or runs.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR|FILE.zip", help="A folder, or a ZIP file, that is not there yet.")
    ],
) -> None:
    """For a colleague: pictures, the images they were made from, hashes, the commands; or the page as a ZIP file."""
    with reporting():
        from harness.cli.export import export_folders

        export_folders(paths, folder)


@app.command(
    epilog="""**Examples**

    harness remove runs/relative_weight                        everything of the experiment

    harness remove runs/relative_weight/earlier/1f0c93aa       an earlier grid, with the runs that no other has

    harness remove runs/relative_weight/98f30cfb3a16 --yes     one run; the next harness run computes it again
"""
)
def remove(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders of experiments, sweeps or runs.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_studies: Annotated[
        bool, typer.Option("--keep-studies", help="Leave studies in a database (--storage) alone.")
    ] = False,
) -> None:
    """Remove runs, or whole experiments and sweeps and their studies; what others link to moves there. It asks."""
    with reporting():
        from harness.cli.remove import remove_folders

        remove_folders(paths, yes, keep_studies)
