"""Who is told how the work goes on: a display, or nobody."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

from harness.driver.jobs import Job
from harness.engines.contract import Advanced
from harness.runs.store import Manifest

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


class Telling:
    """Is told how an experiment or a sweep goes on; this one logs."""

    def downloading(self, name: str, num_bytes: int, total: int | None) -> None:
        """So many bytes of a file are there; ``total`` is None where the server does not say."""

    def says(self, sentence: str) -> None:
        """What was found, decided or left."""
        logger.info(sentence)

    def working(self, title: str, num_runs: int) -> AbstractContextManager[Observer]:
        """So many runs are about to be computed; whoever is entered is told of them."""
        return nullcontext(Observer())
