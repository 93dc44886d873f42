"""The optimiser of a batch of independent rows: what L-BFGS and Adam have in common.

The only parameter, ``images`` (B, ...), is B separate problems. One ``step(closure)`` is one evaluation of every active
row at its own point ``images[i]``; it takes in the losses and gradients and leaves in ``images[i]`` the next point to
evaluate. **So before ``step`` the parameter holds the points about to be measured, after it points not measured yet**:
to keep an iterate whose loss stands in the history, copy ``images[i]`` before the step (or in the closure), which costs
nothing on other evaluations; or ask for ``keep_last``, which copies all of them at every evaluation (one more
image-sized vector a row). The best iterate is always kept (``best_images``, ``best_losses``).

A row that is not finite goes back to its best iterate with a cleared memory and half the learning rate, at most
``max_restarts`` times; then it has FAILED and stays at its best iterate. Statuses and scalars live on the device;
nothing is read back until ``statuses()`` or ``row_state()`` asks (row by row, the host does decide: that is for CPUs).
Shapes: B slots, A active rows, n values of a row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from harness.optim.bounds import Bound, Bounds
from harness.optim.memory import RowState
from harness.optim.status import STATUSES, RowStatus

RESTART_RATE = 0.5  # a restarted row's learning rate, so that it does not repeat what led to the failure
RUNNING = RowStatus.RUNNING.code


class Outcome(NamedTuple):
    """Rows (A,) that an algorithm could not move: ``lost`` not finite, ``stalled`` without a lower point."""

    lost: Tensor
    stalled: Tensor


class BatchedOptimizer(torch.optim.Optimizer):
    """Base of the optimisers of independent rows (see the module's text for the contract of ``step``).

    Args:
        params: exactly one contiguous floating-point parameter (B, ...).
        learning_rate: above 0; kept as ``param_groups[0]["lr"]``, so that schedulers apply.
        bounds: (low, high), numbers or tensors that broadcast to (B, ...); the parameter is clamped to them.
        max_restarts: how often a row that is not finite may start again from its best iterate, at least 0.
        gradient_tolerance: a row has CONVERGED when max |g| is at most this part of its first value; 0 (the default)
            stops at an exactly zero gradient only.
        keep_last: whether to keep the points just evaluated (``last_evaluated``).
        row_by_row: whether every row is worked on alone (bit-equal to its solo run) rather than masked in a batch;
            left out: on the CPU.

    Attributes:
        images: the parameter.
        active: slots of the rows still optimised, in the order of the closure's losses.
        best_images: (B, ...) best finite iterate so far, the start while there is none.
        best_losses: (B,) float64, +inf while there is none.
    """

    FRESH: ClassVar[Mapping[str, float | int | bool]] = {
        "started": False,
        "num_evaluations": 0,
        "num_restarts": 0,
        "rate_scale": 1.0,
        "first_gradient": float("nan"),
    }

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        learning_rate: float = 1.0,
        bounds: tuple[Bound, Bound] | None = None,
        max_restarts: int = 1,
        gradient_tolerance: float = 0.0,
        keep_last: bool = False,
        row_by_row: bool | None = None,
    ) -> None:
        if not learning_rate > 0.0:
            raise ValueError(f"learning_rate is {learning_rate}; it must be above 0.")
        if max_restarts < 0 or gradient_tolerance < 0.0:
            raise ValueError(f"max_restarts {max_restarts}, gradient_tolerance {gradient_tolerance}: not below 0.")
        super().__init__(params, {"lr": float(learning_rate)})
        parameters = [p for group in self.param_groups for p in group["params"]]
        if len(parameters) != 1:
            raise ValueError(f"{len(parameters)} parameters were given; this optimiser takes one, (B, ...).")
        self.images: Tensor = parameters[0]
        images = self.images
        if images.dim() < 1 or not images.is_floating_point() or not images.is_contiguous():
            raise ValueError(f"the parameter {tuple(images.shape)} must be a contiguous float tensor (B, ...).")
        self.row_by_row = images.device.type == "cpu" if row_by_row is None else row_by_row
        self.max_restarts, self.gradient_tolerance = max_restarts, gradient_tolerance
        self.active: list[int] = list(range(len(images)))
        with torch.no_grad():
            self._box = None if bounds is None else Bounds.of(bounds, images)
            for slot in self.active:
                self._clamp(slot)
            self.best_images = images.detach().clone()
            self._last: Tensor | None = images.detach().clone() if keep_last else None
        self.best_losses = torch.full((len(images),), torch.inf, dtype=torch.float64, device=images.device)
        self._codes = torch.full((len(images),), RUNNING, dtype=torch.int64, device=images.device)
        self._table = self._fresh_table(len(images))
        self._index = torch.tensor(self.active, device=images.device)

    @property
    def last_evaluated(self) -> Tensor:
        """The points (B, ...) whose losses ``step`` returned last.

        Raises:
            ValueError: made without ``keep_last``.
        """
        if self._last is None:
            raise ValueError("the evaluated points are not kept; make the optimiser with keep_last=True.")
        return self._last

    def statuses(self) -> list[RowStatus]:
        """Every slot's status; waits for the device."""
        return [STATUSES[code] for code in self._codes.tolist()]

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """One evaluation of every active row, then each row's own next point.

        Args:
            closure: evaluates ``images[i]`` for i in ``active``, leaves each row's own gradient in ``images.grad[i]``
                and returns the losses (A,).

        Returns:
            The closure's losses, detached.
        """
        with torch.enable_grad():
            losses = closure().detach()
        if losses.shape != (len(self.active),):
            raise ValueError(f"the closure returned {tuple(losses.shape)}; expected ({len(self.active)},) losses.")
        if self.images.grad is None:
            raise ValueError("the closure left no gradient in the parameter.")
        if not self.active:
            return losses
        table, images, grads = self._table, self._flat(self.images), self._flat(self.images.grad)
        if self._last is not None:
            self._last.copy_(self.images)
        loss, code = losses.to(torch.float64), self._codes.index_select(0, self._index)
        running = code == RUNNING
        steepest = self._gradient_maximum(images, grads)
        finite = loss.isfinite() & steepest.isfinite()

        best = self.best_losses.index_select(0, self._index)
        improved = running & finite & (loss < best)
        self._copy_rows(self._flat(self.best_images), images, improved | (table["num_evaluations"] == 0))
        best = torch.where(improved, loss, best)
        self.best_losses.index_copy_(0, self._index, best)
        table["num_evaluations"] = table["num_evaluations"] + 1
        table["first_gradient"] = torch.where(
            table["first_gradient"].isnan() & finite, steepest, table["first_gradient"]
        )

        threshold = self.gradient_tolerance * table["first_gradient"]
        converged = running & finite & (steepest <= threshold)
        lost, stalled = self._advance(running & ~converged, loss, finite, images, grads)

        restart = lost & best.isfinite() & (table["num_restarts"] < self.max_restarts)
        failed = lost & ~restart
        self._copy_rows(images, self._flat(self.best_images), lost | stalled)
        self._forget(lost)
        table["started"] = (table["started"] | running) & ~lost
        table["num_restarts"] = table["num_restarts"] + restart
        table["rate_scale"] = torch.where(restart, RESTART_RATE * table["rate_scale"], table["rate_scale"])
        for rows, status in (
            (converged, RowStatus.CONVERGED),
            (stalled, RowStatus.STALLED),
            (failed, RowStatus.FAILED),
        ):
            code = torch.where(rows, status.code, code)
        self._codes.index_copy_(0, self._index, code)
        return losses

    def drop(self, rows: Iterable[int]) -> None:
        """Take rows out of ``active`` and free their memory; their images, best iterates and statuses stay.

        Args:
            rows: slots.

        Raises:
            ValueError: a slot that is not active.
        """
        leaving = set(rows)
        if unknown := leaving - set(self.active):
            raise ValueError(f"rows {sorted(unknown)} are not active; active are {self.active}.")
        self._select([slot for slot in self.active if slot not in leaving])

    @torch.no_grad()
    def refill(self, slot: int) -> None:
        """Begin anew in a slot, active or not, from what ``images[slot]`` holds."""
        if not 0 <= slot < len(self.images):
            raise ValueError(f"slot {slot} does not exist; there are {len(self.images)}.")
        self._select([other for other in self.active if other != slot])
        self._select(sorted([*self.active, slot]))
        self._clamp(slot)
        self.best_images[slot] = self.images[slot]
        self.best_losses[slot], self._codes[slot] = torch.inf, RUNNING

    def row_state(self, slot: int) -> RowState:
        """All that one row needs to go on, as plain CPU tensors that share no memory; waits for the device."""
        return {name: tensor.cpu().contiguous() for name, tensor in self.row_tensors(slot).items()}

    @torch.no_grad()
    def row_tensors(self, slot: int) -> RowState:
        """The same on the device."""
        state: RowState = {
            "image": self.images[slot].clone(),
            "best_image": self.best_images[slot].clone(),
            "best_loss": self.best_losses[slot].clone(),
            "status": self._codes[slot].clone(),
        }
        if slot in self.active:
            a = self.active.index(slot)
            state |= {name: values[a].clone() for name, values in self._table.items()}
            state |= {f"memory.{name}": v for name, v in self._memory_state(a).items()}
        return {name: tensor.detach() for name, tensor in state.items()}

    @torch.no_grad()
    def load_row_state(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Put a row back to where ``row_state`` saw it, image included; the slot becomes active (or not) as then.

        Raises:
            ValueError: the state of a row of another shape, or of another algorithm.
        """
        name = "image"
        if name not in state or state[name].shape != self.images[slot].shape:
            found = tuple(state[name].shape) if name in state else "none"
            raise ValueError(f"the saved row's image is {found}; this batch has {tuple(self.images[slot].shape)}.")
        was_active = "started" in state
        if was_active and (missing := set(self._table) - set(state)):
            raise ValueError(f"the saved row lacks {sorted(missing)}: it belongs to another optimiser.")
        if was_active and slot not in self.active:
            self.refill(slot)
        elif not was_active and slot in self.active:
            self.drop([slot])
        self.images[slot] = state["image"].to(self.images)
        self.best_images[slot] = state["best_image"].to(self.images)
        self.best_losses[slot], self._codes[slot] = state["best_loss"], state["status"]
        if was_active:
            a = self.active.index(slot)
            for name, values in self._table.items():
                values[a] = state[name]
            prefix = "memory."
            memory = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            self._load_memory_state(a, {k: v.to(self.images.device) for k, v in memory.items()})

    def state_dict(self) -> dict[str, Any]:
        """Torch's form; ``state`` holds each slot's ``row_state``."""
        packed = super().state_dict()
        packed["state"] = {slot: self.row_state(slot) for slot in range(len(self.images))}
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``; images included."""
        rows = state_dict["state"]
        if len(rows) != len(self.images):
            raise ValueError(f"the state has {len(rows)} rows; this batch has {len(self.images)}.")
        super().load_state_dict({**state_dict, "state": {}})
        for slot, state in rows.items():
            self.load_row_state(int(slot), state)

    @abstractmethod
    def _advance(self, eligible: Tensor, loss: Tensor, finite: Tensor, images: Tensor, grads: Tensor) -> Outcome:
        """Take in the evaluation of the eligible rows and write their next points into ``images`` (B, n)."""

    @abstractmethod
    def _forget(self, rows: Tensor) -> None:
        """Clear the algorithm's memory of some rows (A,)."""

    @abstractmethod
    def _select_memory(self, positions: list[int], active: list[int]) -> None:
        """Keep the rows at these positions of the algorithm's memory, −1 for a new one."""

    @abstractmethod
    def _memory_state(self, position: int) -> RowState:
        """The algorithm's memory of one row."""

    @abstractmethod
    def _load_memory_state(self, position: int, state: RowState) -> None:
        """The inverse of ``_memory_state``."""

    def _rate(self) -> Tensor:
        """Each row's learning rate (A,) float64."""
        learning_rate: float = self.param_groups[0]["lr"]
        return learning_rate * self._table["rate_scale"]

    def _flat(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(len(tensor), -1)

    def _clamp(self, slot: int) -> None:
        if self._box is not None:
            self._box.at(slot).clamp_(self.images.detach()[slot].view(-1))

    def _gradient_maximum(self, images: Tensor, grads: Tensor) -> Tensor:
        """Max |g| over the free variables (A,) float64; not finite if any of them is not."""

        def largest(rows: int | Tensor) -> Tensor:
            g = grads[rows]
            if self._box is not None:
                g = self._box.at(rows).free_gradient(images[rows], g)
            return torch.maximum(-g.amin(-1), g.amax(-1))  # 20 times faster than the vector norm for ∞ on the CPU

        if self.row_by_row:
            return torch.stack([largest(slot) for slot in self.active]).double()
        return largest(self._index).double()

    def _copy_rows(self, target: Tensor, source: Tensor, rows: Tensor) -> None:
        """Copy the active rows of a mask (A,) from one (B, n) tensor to another."""
        if self.row_by_row:
            for slot, on in zip(self.active, rows.tolist(), strict=True):
                if on:
                    target[slot].copy_(source[slot])
            return
        slots = torch.zeros(len(target), dtype=torch.bool, device=rows.device).index_copy_(0, self._index, rows)
        torch.where(slots[:, None], source, target, out=target)

    def _select(self, active: Sequence[int]) -> None:
        """Make these slots the active ones; those that were not begin anew."""
        former = {slot: a for a, slot in enumerate(self.active)}
        positions = [former.get(slot, -1) for slot in active]
        fresh = self._fresh_table(1)
        take = torch.tensor([p if p >= 0 else len(self.active) for p in positions], dtype=torch.int64)
        take = take.to(self.images.device)
        self._table = {k: torch.cat([v, fresh[k]]).index_select(0, take) for k, v in self._table.items()}
        self.active = list(active)
        self._index = torch.tensor(self.active, dtype=torch.int64, device=self.images.device)
        self._select_memory(positions, self.active)

    def _fresh_table(self, num_rows: int) -> dict[str, Tensor]:
        dtypes = {float: torch.float64, int: torch.int64, bool: torch.bool}
        device = self.images.device
        return {
            name: torch.full((num_rows,), fresh, dtype=dtypes[type(fresh)], device=device)
            for name, fresh in self.FRESH.items()
        }
