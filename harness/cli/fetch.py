"""``harness fetch``: download what the paper profile needs, with progress, checked by hash."""

from __future__ import annotations

from functools import partial

from harness.cli.console import make_console
from harness.cli.downloads import DownloadProgress
from harness.downloads import cache_folder
from harness.errors import DownloadError
from harness.features.sources import NamedSource, describe, fetch
from harness.images.catalogue import NamedImage
from harness.images.library import fetch_images

NETWORKS: tuple[NamedSource, ...] = ("torchvision", "caffe")


def fetch_downloads(images: bool, weights: bool) -> None:
    """Download the paper's images and VGG-19's weights into the cache.

    Raises:
        DownloadError: naming everything that could not be downloaded; what could is kept.
    """
    console = make_console()
    failed: list[str] = []
    with DownloadProgress(console) as progress:

        def of_image(image: NamedImage, num_bytes: int, total: int | None) -> None:
            progress.advance(image.name, num_bytes, total)

        if images:
            try:
                for path in fetch_images(progress=of_image):
                    console.print(f"have {path}", soft_wrap=True)
            except DownloadError as error:
                failed.append(str(error))
        for source in NETWORKS if weights else ():
            try:
                local = fetch(source, partial(progress.advance, source))
                console.print(f"have {describe(source)}: {local.path}", soft_wrap=True)
            except DownloadError as error:
                failed.append(str(error))
    if failed:
        raise DownloadError("\n".join(failed))
    console.print(f"Everything is in {cache_folder()}.", soft_wrap=True)
    console.print("Next: harness run experiments/relative_weight.yaml --profile paper", soft_wrap=True)
