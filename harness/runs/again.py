"""A finished run's numbers, measured again from its picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from harness.features.registry import cached_vgg16
from harness.images.files import read_image
from harness.images.resize import photograph_of, to_tensor
from harness.measures.comparable import Comparable
from harness.measures.names import ON_VGG16
from harness.runs.measured import is_of_now, is_outdated, measured_on
from harness.runs.prepare import Row, target_of
from harness.runs.store import Manifest, RunFolder


def can_be_brought_up_to_date(manifest: Manifest, objectives: Collection[str] = ()) -> bool:
    """Whether a finished run lacks a number that can be measured here, or has those of another network or plugin."""
    return is_outdated(manifest, (*(ON_VGG16 if cached_vgg16() else ()), *objectives))


def measure_again(row: Row, folder: RunFolder, objectives: Collection[str] = ()) -> None:
    """Measure the picture of a finished run as it was measured first, and write the numbers into its manifest.

    The picture was rounded to 8 bits before it was measured, so that its file has all that is needed. What was measured
    on the way, with another network or plugin, is forgotten.

    Args:
        row: the run.
        folder: its folder, which is held.
        objectives: as for ``Comparable``.
    """
    manifest = folder.manifest()
    assert manifest is not None
    target = target_of(row, photograph_of(row.files["content"], row.transfer.size))
    numbers = Comparable([target], objectives).measure(0, to_tensor(read_image(folder.image_path)))
    measured = replace(
        manifest,
        metrics={**manifest.metrics, **numbers.metrics},
        unmeasured={name: why for name, why in manifest.unmeasured.items() if name not in numbers.metrics}
        | dict(numbers.unmeasured),
        rungs=manifest.rungs if is_of_now(manifest, objectives) else {},
        measured_on={**manifest.measured_on, **measured_on(objectives)},
    )
    folder.write_manifest(measured)
