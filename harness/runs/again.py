"""A finished run's numbers, measured again from its picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from harness.features.registry import cached_vgg16
from harness.images.files import read_image
from harness.images.resize import to_tensor
from harness.metrics.names import ON_VGG16
from harness.runs.measured import is_outdated, measured_on
from harness.runs.prepare import Row, prepare_images
from harness.runs.reference import References
from harness.runs.store import Manifest, RunFolder


def can_be_brought_up_to_date(manifest: Manifest) -> bool:
    """Whether a finished run lacks a number that can be measured here, or has those of another embedded network."""
    return is_outdated(manifest, ON_VGG16 if cached_vgg16() else ())


def measure_again(row: Row, folder: RunFolder, objectives: Collection[str] = ()) -> None:
    """Measure the picture of a finished run as it was measured first, and write the numbers into its manifest.

    The picture was rounded to 8 bits before it was measured, so that its file has all that is needed. What was measured
    on the way, on another network, is forgotten.

    Args:
        row: the run.
        folder: its folder, which is held.
        objectives: as for ``References``.
    """
    manifest = folder.manifest()
    assert manifest is not None
    numbers = References([row], prepare_images([row]), objectives).measure(0, to_tensor(read_image(folder.image_path)))
    rungs = manifest.rungs if manifest.measured_on == measured_on() else {}
    metrics = {**manifest.metrics, **numbers}
    folder.write_manifest(replace(manifest, metrics=metrics, rungs=rungs, measured_on=dict(measured_on())))
