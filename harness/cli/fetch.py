"""``harness fetch``: download what the paper profile needs, with progress, checked by hash."""

from __future__ import annotations

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from harness.cli.console import make_console
from harness.downloads import cache_folder
from harness.errors import DownloadError
from harness.features.sources import describe, fetch
from harness.images.catalogue import NamedImage
from harness.images.library import fetch_images


def fetch_downloads(images: bool, weights: bool) -> None:
    """Download the paper's images and VGG-19's weights into the cache.

    Raises:
        DownloadError: naming everything that could not be downloaded; what could is kept.
    """
    console = make_console()
    failed: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        if images:

            def of_image(image: NamedImage, done: int, total: int | None) -> None:
                advance(image.name, done, total)

            try:
                for path in fetch_images(progress=of_image):
                    progress.console.print(f"have {path}", soft_wrap=True)
            except DownloadError as error:
                failed.append(str(error))
        for source in ("torchvision", "caffe") if weights else ():
            try:
                local = fetch(source, lambda done, total, source=source: advance(source, done, total))  # type: ignore[misc]
                progress.console.print(f"have {describe(source)}: {local.path}", soft_wrap=True)
            except DownloadError as error:
                failed.append(str(error))
    if failed:
        raise DownloadError("\n".join(failed))
    console.print(
        f"Everything is in {cache_folder()}. Next: harness run experiments/relative_weight.yaml --profile paper"
    )
