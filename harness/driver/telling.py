"""Who is told how the work goes on: a display, or nobody."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from harness.claims import Verdict
from harness.downloads import OnBytes
from harness.driver.jobs import Job
from harness.engines.contract import Advanced
from harness.results import label_name
from harness.runs.store import Manifest, Status

logger = logging.getLogger("harness")


class Observer:
    """Is told what happens to a study's runs; this one logs what the user should know, and no more."""

    def took(self, job: Job) -> None:
        """A trial was asked for and has to be computed."""

    def advanced(self, event: Advanced) -> None:
        """A row has come further."""

    def ended(self, job: Job, manifest: Manifest) -> None:
        """A run has ended: done, failed or pruned."""

    def noted(self, sentence: str) -> None:
        """Something that the user should know."""
        logger.warning(sentence)

    def looked(self) -> None:
        """Time has passed."""

    def worked(self, sentence: str) -> None:
        """All is computed; how busy the workers were, where there are several."""


class Telling:
    """Is told how an experiment or a sweep goes on; this one logs."""

    def fetching(self) -> AbstractContextManager[OnBytes | None]:
        """Files are found, and weights downloaded where they are missing; what is entered is told how far that is."""
        return nullcontext()

    def says(self, sentence: str) -> None:
        """What was found, decided or left."""
        logger.info(sentence)

    def warns(self, sentence: str) -> None:
        """What the user should know before anything is computed: what was ignored of an image, say."""
        logger.warning(sentence)

    def working(self, title: str, num_runs: int) -> AbstractContextManager[Observer]:
        """So many runs are about to be computed; what is entered is told of them."""
        return nullcontext(Observer())

    def computed(self, jobs: Sequence[Job]) -> None:
        """An experiment's runs have ended; it is not drawn and judged yet."""
        for sentence in failures(jobs):
            logger.warning(sentence)

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        """The experiment's claims were measured."""


def failures(jobs: Sequence[Job]) -> list[str]:
    """A sentence for every run that failed."""
    manifests = [(job, job.folder.manifest()) for job in jobs]
    return [
        f"{job.row.id} ({label_name(job.cell.label)}) failed: {manifest.reason}"
        for job, manifest in manifests
        if manifest is not None and manifest.status is Status.FAILED
    ]
