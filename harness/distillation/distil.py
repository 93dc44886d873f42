"""Distillation from beginning to end, in a work folder: the same call goes on where the last one was cut off.

recipe.json           what the folder is for
moments.safetensors   the teacher's moments over the first crops
crops/, pictures1/ …   target stores
phase1.pt, phase2.pt … checkpoints
embedded.safetensors  the network
embedded.md           its card
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from harness.distillation.card import PICTURES, make_card
from harness.distillation.crops import make_crop
from harness.distillation.first_layer import own_filters, with_first_layer
from harness.distillation.image_sets import Images, ImageSets, read_images, read_photograph
from harness.distillation.on_policy import KEPT_AFTER, make_pictures
from harness.distillation.quality import LayerQuality, measure_quality
from harness.distillation.recipe import Recipe, feeding_for, widths_for
from harness.distillation.selection import LayerStart, held_start, selected_start, widened_start
from harness.distillation.store import TargetStore
from harness.distillation.student import Student
from harness.distillation.targets import Directions, Moments, measure_moments, principal_directions
from harness.distillation.teacher import PADDING, POOLING, Teacher
from harness.distillation.training import best_readouts, train
from harness.errors import UsageError
from harness.features.fingerprint import network_hash
from harness.features.sources import WeightsFile
from harness.features.vgg import VGG
from harness.features.weights import LoadedWeights, load_state
from harness.files import write_whole

NAME = "embedded"

Told = Callable[[str, int, int, str], None]
"""Called with a stage, how much of it is done, of how much, and a remark."""


class Distillation:
    """One distillation in one folder.

    Args:
        work: the folder.
        recipe: how.
        teacher: from whom.
        sets: on which images.
        device: where to compute.
        told: called as it goes on.
        begin: the distilled network that the recipe's ``begun_with`` stands for.
        before: how that one was made, for the card.

    Raises:
        UsageError: the folder holds the work of another recipe, the recipe has fewer crops than a step, or the network
            to begin with has no read-outs or is wider.
    """

    def __init__(
        self,
        work: Path,
        recipe: Recipe,
        teacher: Teacher,
        sets: ImageSets,
        device: torch.device,
        told: Told,
        begin: LoadedWeights | None = None,
        before: str = "",
    ) -> None:
        if begin is None and not recipe.rounds:
            raise UsageError("--rounds 0 trains nothing: give a network to write anew, --begin NETWORK.")
        if recipe.rounds and recipe.batch > min(recipe.num_crops, *recipe.pictures_of_rounds()):
            raise UsageError(
                f"A step takes {recipe.batch} crops; ask for at least so many crops and for "
                f"{recipe.rounds} times so many pictures."
            )
        self.work, self.recipe, self.teacher, self.sets = work, recipe, teacher, sets
        self.device, self._told, self._before = device, told, before
        self.widths, self._begin = widths_for(teacher, recipe.wider), begin
        if begin is not None:
            self._begin = begin = replace(begin, state=own_filters(begin.state))
            check_readouts(begin, self.widths)
        claim_folder(
            work,
            {**recipe.fields(), "widths": dict(self.widths), "teacher": network_hash(teacher.state),
             "images": sets.sha256()},
        )  # fmt: skip

    def run(self) -> dict[str, LayerQuality]:
        """Everything that is missing, up to the network's file and its card; what it leaves on held-out images."""
        if self._begin is not None and not self.recipe.rounds:
            return self._write(self._begin.state)
        whole = self.teacher.whole_network(self.device)
        moments = self._moments(whole)
        directions = principal_directions(moments, self.widths, self.teacher.compared)
        stores = [self._store("crops", self.recipe.num_crops)]
        self._fill("crops", stores[0], self._crop, whole, directions)
        if self._begin is None:
            start = selected_start(whole, moments, directions, feeding_for(self.widths))
            student = self._student(start, whole)
            self._train(0, student, stores, directions)
        else:
            student = self._continued(self._begin.state, stores[0], whole, moments, directions)
        for round_, num in enumerate(self.recipe.pictures_of_rounds(), 1):
            state = self._with_first_layer(student.state(directions))
            network = VGG(state, None, POOLING, PADDING).to(self.device)
            stores.append(self._store(f"pictures{round_}", num))
            self._fill(f"pictures {round_}", stores[-1], self._picture_maker(network, round_), whole, directions)
            self._train(round_, student, stores, directions)
        return self._write(student.state(directions))

    def _write(self, state: Mapping[str, Tensor]) -> dict[str, LayerQuality]:
        """The network's file and its card; what it leaves on held-out images."""
        path = self.work / f"{NAME}.safetensors"
        content = network_bytes(self._with_first_layer(state))
        if not path.exists() or path.read_bytes() != content:
            path.with_suffix(".md").unlink(missing_ok=True)  # another network's
            write_whole(path, content)
        written = VGG(load_state(WeightsFile(path)).state, None, POOLING, PADDING).to(self.device)
        quality = measure_quality(written, self.teacher.network(self.device), self._held_out())
        self._write_card(path.with_suffix(".md"), quality)
        return quality

    def _student(self, start: Mapping[str, LayerStart], whole: VGG) -> Student:
        return Student(start, whole.weight("input"), whole.bias("input")).to(self.device)

    def _continued(
        self,
        state: Mapping[str, Tensor],
        crops: TargetStore,
        whole: VGG,
        moments: Mapping[str, Moments],
        directions: Mapping[str, Directions],
    ) -> Student:
        """A distilled network, as wide as asked, its read-outs those that are best over the first crops."""
        num = min(self.recipe.num_measured, self.recipe.num_crops)

        def told(done: int) -> None:
            self._told("fitting read-outs", done, 2 * num, "")

        held = held_start(state, directions)
        feeding = best_readouts(self._student(held, whole), crops, directions, feeding_for(self.widths), num, told)
        student = self._student(widened_start(whole, moments, directions, held, feeding), whole)
        for layer, V in best_readouts(
            student, crops, directions, self.widths, num, lambda done: told(num + done)
        ).items():
            student.readouts[layer].data.copy_(V)
        return student

    def _write_card(self, path: Path, quality: Mapping[str, LayerQuality]) -> None:
        """The card; what it says of this network's pictures stays."""
        _, *pictures = path.read_text(encoding="utf-8").split(PICTURES) if path.exists() else ("",)
        card = make_card(self.recipe, self.teacher, self.sets, quality, self._before)
        write_whole(path, PICTURES.join([card, *pictures]).encode())

    @cached_property
    def _images(self) -> Images:
        """Read only where crops or pictures are missing."""
        return read_images(
            self.sets, self.recipe.side_px, lambda done, total: self._told("reading images", done, total, "")
        )

    @cached_property
    def _mixed(self) -> Sequence[Tensor]:
        return self._images.mixed(self.recipe.seed)

    def _with_first_layer(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        num = min(self.recipe.num_measured, self.recipe.num_crops)
        return with_first_layer(state, self.teacher, (self._crop(index)[None].float() / 255 for index in range(num)))

    def _crop(self, index: int) -> Tensor:
        return make_crop(self._mixed, self.recipe.side_px, self.recipe.seed, index)

    def _picture_maker(self, network: VGG, round_: int) -> Callable[[int], Tensor]:
        @lru_cache(1)
        def optimised(index: int) -> tuple[Tensor, ...]:
            images, seed = self._images, self.recipe.seed_of_pictures(round_)
            return make_pictures(network, images.photographs, images.paintings, self.recipe.side_px, seed, index)

        return lambda index: optimised(index // len(KEPT_AFTER))[index % len(KEPT_AFTER)]

    def _moments(self, whole: VGG) -> dict[str, Moments]:
        """Of all of the teacher's filters over the first crops, kept in a file."""
        path = self.work / "moments.safetensors"
        if not path.exists():
            total = min(self.recipe.num_measured, self.recipe.num_crops)

            def crops() -> Iterator[Tensor]:
                for index in range(total):
                    yield self._crop(index)[None].to(self.device).float() / 255
                    self._told("measuring the teacher", index + 1, total, "")

            measured = measure_moments(whole, crops(), self.widths)
            tensors = {f"{layer}.second": of.second for layer, of in measured.items()}
            tensors |= {f"{layer}.first": of.first for layer, of in measured.items()}
            write_whole(path, safetensors.torch.save(tensors))
        held = safetensors.torch.load(path.read_bytes())
        return {layer: Moments(held[f"{layer}.second"], held[f"{layer}.first"]) for layer in self.widths}

    def _store(self, name: str, num: int) -> TargetStore:
        return TargetStore(self.work / name, num, self.recipe.side_px, self.widths)

    def _fill(
        self,
        name: str,
        store: TargetStore,
        make: Callable[[int], Tensor],
        whole: VGG,
        directions: Mapping[str, Directions],
    ) -> None:
        self._told(name, store.num_done, store.num, "")
        store.fill(make, whole, directions, lambda done: self._told(name, done, store.num, ""))

    def _train(
        self, phase: int, student: Student, stores: Sequence[TargetStore], directions: Mapping[str, Directions]
    ) -> None:
        schedule = self.recipe.schedules()[phase - (self._begin is not None)]

        def on_step(step: int, losses: Mapping[str, float]) -> None:
            self._told(f"phase {phase + 1}", step, schedule.steps, f"loss {sum(losses.values()) / len(losses):.4f}")

        train(student, stores, directions, schedule, self.work / f"phase{phase + 1}.pt", on_step)

    def _held_out(self) -> Iterator[Tensor]:
        total = len(self.sets.held_out)
        for num, path in enumerate(self.sets.held_out, 1):
            yield read_photograph(path)[None].to(self.device).float() / 255
            self._told("held-out images", num, total, "")


def check_readouts(begin: LoadedWeights, widths: Mapping[str, int]) -> None:
    """That a network can be gone on from.

    Raises:
        UsageError: it has no read-outs, or a layer with more filters than K, or with fewer than feed the next one.
    """
    feeding = feeding_for(widths)
    for layer, K in widths.items():
        readout = begin.state.get(f"{layer}.readout")
        num = 0 if readout is None else len(begin.state[f"{layer}.bias"])
        if readout is None or readout.shape != (num, num) or not feeding[layer] <= num <= K:
            held = f"{num} filters" if num else "no read-out"
            needed = str(K) if feeding[layer] == K else f"{feeding[layer]} to {K}"
            raise UsageError(
                f"{begin.description} has {held} at {layer}, and {needed} are needed to go on from it: "
                "--begin takes a network of this command, no layer of which is wider than --wider says. Leave it out "
                "to begin with the teacher's filters."
            )


def claim_folder(work: Path, asked: Mapping[str, Any]) -> None:
    """Make a work folder for a recipe, or find that it is this recipe's.

    Raises:
        UsageError: it is another's; nothing in it was touched.
    """
    path = work / "recipe.json"
    wanted = json.loads(json.dumps(asked))
    if path.exists():
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            held = None
        if not isinstance(held, dict):
            raise UsageError(f"{path} is damaged; choose another folder with --work, or delete this one.")
        other = [name for name in wanted if held.get(name) != wanted[name]]
        if other or held.keys() - wanted.keys():
            raise UsageError(
                f"{work} holds a distillation with another recipe (different: {', '.join(other) or 'its fields'}); "
                "give the same images, teacher and numbers to go on with it, or choose another folder with --work."
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(wanted, indent=1).encode())


def network_bytes(state: Mapping[str, Tensor]) -> bytes:
    """A network's file, float16."""
    return safetensors.torch.save(
        {name: (of.half() if of.is_floating_point() else of).contiguous() for name, of in state.items()}
    )
