"""How many rows a worker gets at once, by the memory it is said to have; and what of it masks and regions take."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.config import load_experiment
from harness.driver import capacity, estimate
from harness.driver.capacity import MEMORY_SHARE, MOST_ROWS, MaxRows, tiles_told, weights_bytes
from harness.driver.jobs import Job, make_jobs
from harness.driver.needs import bytes_together, needs_of, num_regions_of, pass_bytes, tile_of
from harness.engines.devices import DeviceSpec

TEXT = """\
transfer:
  content: rocket
  style: strokes
  size: 64
  content_layers: {conv2_1: 1}
  style_layers: {conv1_1: 1}
"""
QUILTED = ("transfer.method=quilting", "transfer.quilting.block=18")
TILED = ("transfer.size=2048", "transfer.style_layers={conv5_1: 1}")
REGIONS = "transfer.segmentation={content: rocket_regions, style: strokes_regions}"


@pytest.fixture(autouse=True)
def _file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(TEXT)


def job_of(*words: str) -> Job:
    [job] = make_jobs(load_experiment("a.yaml", words), Path("runs"))
    return job


FREE_ON_GPU = 0.0


def max_rows(*workers: str) -> MaxRows:
    """With workers that say what ``has_free`` has set."""
    return MaxRows(workers, lambda worker: FREE_ON_GPU)


def has_free(monkeypatch: pytest.MonkeyPatch, *, gpu: float, main: float) -> None:
    monkeypatch.setattr(f"{__name__}.FREE_ON_GPU", gpu)
    monkeypatch.setattr(capacity, "available_bytes", lambda: main)


def free_for(jobs: list[Job], is_gpu: bool) -> float:
    """Just as much memory as lets these jobs share a batch."""
    needed = bytes_together([needs_of(job) for job in jobs], is_batched=is_gpu)
    return weights_bytes(jobs[0], is_gpu) + needed / MEMORY_SHARE


def test_on_a_gpu_every_row_has_its_own_pass_and_targets_are_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of()
    needs, (alone, seven) = needs_of(job), (bytes_together([needs_of(job)] * num, True) for num in (1, 7))
    assert seven - alone == 6 * (needs.held + pass_bytes(job))
    has_free(monkeypatch, gpu=free_for([job] * 7, is_gpu=True), main=0)
    assert max_rows("cuda:0")([job] * 20, "cuda:0") == 7
    assert max_rows("cuda:0")([job] * 5, "cuda:0") == 5
    assert max_rows("cuda:0#0", "cuda:0#1", "cuda:1")([job] * 20, "cuda:0#1") == 3


@pytest.mark.parametrize("words", [(), TILED])
def test_rows_that_go_one_by_one_share_one_pass(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    job = job_of(*words)
    needs = needs_of(job)
    assert needs.is_tiled is bool(words)
    on_the_way = max(pass_bytes(job), needs.stepping)
    assert bytes_together([needs] * 7, is_batched=False) == 6 * needs.held + needs.own + on_the_way
    has_free(monkeypatch, gpu=0, main=free_for([job] * 7, is_gpu=False))
    assert max_rows("cpu:0")([job] * 20, "cpu:0") == 7


def test_rows_in_tiles_share_one_pass_on_a_gpu_too_but_take_their_steps_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, free = job_of(*TILED), 12e9
    has_free(monkeypatch, gpu=free, main=0)
    bound_bytes = max_rows("cuda:0").pass_bound_bytes("cuda:0")
    needs = needs_of(job, bound_bytes)
    assert needs.is_tiled and needs.evaluating <= bound_bytes == free / 4
    on_the_way = max(needs.evaluating, 7 * needs.stepping)
    assert bytes_together([needs] * 7, is_batched=True) == 6 * needs.held + needs.own + on_the_way
    num = max_rows("cuda:0")([job] * 20, "cuda:0")
    together = [bytes_together([needs] * (num + more), is_batched=True) for more in (0, 1)]
    assert together[0] <= MEMORY_SHARE * (free - weights_bytes(job, is_gpu=True)) < together[1]


def test_rows_go_in_tiles_where_a_gpus_own_memory_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    job, words = job_of(*TILED), ["cuda:0", "cuda:0#2", "cpu:0"]
    whole, tiled = needs_of(job, bound_bytes=80e9), needs_of(job)
    assert not whole.is_tiled and whole.evaluating > tiled.evaluating and tiled.is_tiled
    has_free(monkeypatch, gpu=math.inf, main=1e15)
    assert [max_rows(*words).pass_bound_bytes(worker) for worker in words] == [None] * 3
    has_free(monkeypatch, gpu=80e9, main=1e15)
    assert [max_rows(*words).pass_bound_bytes(worker) for worker in words] == [10e9, 10e9, None]
    room = MEMORY_SHARE * (80e9 - weights_bytes(job, is_gpu=True))
    num = max_rows("cuda:0")([job] * 200, "cuda:0")
    together = [bytes_together([whole] * (num + more), is_batched=True) for more in (0, 1)]
    assert 1 < num < 200 and together[0] <= room < together[1]


def test_what_is_made_from_the_same_images_is_there_once() -> None:
    plain, stronger, other, scaled = (
        needs_of(job_of(*words))
        for words in ((), ("transfer.alpha=1",), ("transfer.style=mosaic",), ("transfer.style_scale=0.5",))
    )
    alone = bytes_together([plain], False)
    assert bytes_together([plain, stronger], False) == alone + plain.held
    assert bytes_together([plain, other], False) > alone + plain.held
    assert bytes_together([plain, scaled], False) > alone + plain.held


def test_the_largest_row_of_a_batch_counts_and_not_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, regions = job_of(), job_of(REGIONS)
    has_free(monkeypatch, gpu=free_for([plain] * 7, is_gpu=True), main=0)
    most = max_rows("cuda:0")
    assert most([plain] * 20, "cuda:0") == 7 > most([plain] * 6 + [regions] * 14, "cuda:0") == 6
    assert most([plain] * 3 + [regions] * 17, "cuda:0") == most([regions] + [plain] * 19, "cuda:0") < 6


@pytest.mark.parametrize("worker", ["cuda:0", "cpu:0"])
@pytest.mark.parametrize("free", [0.0, 1e9, 1e15, math.inf])
def test_quilted_rows_are_given_out_one_at_a_time(monkeypatch: pytest.MonkeyPatch, worker: str, free: float) -> None:
    has_free(monkeypatch, gpu=free, main=free)
    assert max_rows(worker)([job_of(*QUILTED)] * 3, worker) == 1


def test_a_card_is_asked_before_any_of_its_workers_holds_something_and_shared_out_from_that() -> None:
    """As the driver does: the second worker is given rows when the first has taken its part."""
    job, free = job_of(), {"cuda:0": 8e9, "cuda:1": 6e9}
    asked = []

    def free_of(worker: str) -> float:
        asked.append(worker)
        return free[worker.split("#")[0]]

    most = MaxRows(["cuda:0", "cuda:0#2", "cuda:1"], free_of)
    assert [most.pass_bound_bytes(worker) for worker in ("cuda:0#2", "cuda:1")] == [1e9, 1.5e9]
    first = most([job] * 200, "cuda:0#2")
    free["cuda:0"] = 4e9
    assert most([job] * 200, "cuda:0") == first and most.pass_bound_bytes("cuda:0") == 1e9
    assert asked == ["cuda:0#2", "cuda:1"]


def test_a_worker_that_could_not_tell_what_is_free_is_asked_again() -> None:
    said = [math.inf, math.inf, 8e9]
    most = MaxRows(["cuda:0"], lambda worker: said.pop(0))
    assert [most.pass_bound_bytes("cuda:0") for _ in range(4)] == [None, None, 2e9, 2e9]


def test_several_workers_of_the_cpu_share_what_was_free_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    job, free = job_of(), [4e9, 0.0]
    monkeypatch.setattr(capacity, "available_bytes", lambda: free.pop(0))
    most = MaxRows(["cpu:0", "cpu:1"], lambda worker: 0.0)
    assert most([job] * 256, "cpu:0") == most([job] * 256, "cpu:1") > 1


@pytest.mark.parametrize("words", [(), TILED])
def test_at_least_one_row_and_a_bound_where_the_memory_is_not_known(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    job = job_of(*words)
    for free, num_rows in ((0.0, 1), (math.inf, MOST_ROWS)):
        has_free(monkeypatch, gpu=free, main=free)
        assert [max_rows(worker)([job] * 300, worker) for worker in ("cuda:0", "cpu:0")] == [num_rows] * 2


def test_regions_are_distinct_masks_and_everywhere() -> None:
    assert num_regions_of(job_of()) == 1
    assert num_regions_of(job_of("transfer.style={strokes: 1, mosaic: 2}")) == 1
    assert num_regions_of(job_of("transfer.style={strokes: {mask: rocket_sky}, mosaic: {mask: rocket_sky}}")) == 1
    assert num_regions_of(job_of("transfer.style={strokes: {mask: rocket_sky}, mosaic: 1}")) == 2
    assert num_regions_of(job_of(REGIONS)) == 3
    assert num_regions_of(job_of(*QUILTED)) == 1


@pytest.mark.parametrize("size", [(), TILED])
def test_each_region_takes_memory_of_a_pass_and_changes_no_tile(size: tuple[str, ...]) -> None:
    plain, two, three = (
        job_of(*size, *words)
        for words in ((), ("transfer.style={strokes: {mask: rocket_sky}, mosaic: 1}",), (REGIONS,))
    )
    assert plain.batch_key == two.batch_key == three.batch_key
    assert pass_bytes(three) - pass_bytes(two) == pass_bytes(two) - pass_bytes(plain) > 0
    assert tile_of(plain) == tile_of(two) == tile_of(three)


def test_rows_with_regions_are_bounded_by_their_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, regions = job_of(), job_of(REGIONS)
    most = max_rows("cuda:0")
    has_free(monkeypatch, gpu=free_for([regions] * 7, is_gpu=True), main=0)
    assert most([plain] * 20, "cuda:0") > 7 and most([regions] * 20, "cuda:0") == 7


def test_a_dry_run_reckons_with_a_workers_share_of_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers on one card have half of it each, as while it runs."""
    job, free = job_of(*TILED), 10e9
    monkeypatch.setattr(capacity, "free_bytes", lambda device: free)
    has_free(monkeypatch, gpu=free, main=0)
    alone, shared = ([DeviceSpec("cuda:0", 1)] * num for num in (1, 2))
    for devices, workers in ((alone, ("cuda:0",)), (shared, ("cuda:0", "cuda:0#2")), ([*alone, *shared], ())):
        bound_bytes = capacity.pass_bound_bytes(devices)
        assert bound_bytes == free / len(devices) / 4
        assert not workers or bound_bytes == max_rows(*workers).pass_bound_bytes(workers[-1])
        assert estimate.batch_bytes([job], devices) == bytes_together([needs_of(job, bound_bytes)], is_batched=True)
    assert capacity.pass_bound_bytes([DeviceSpec("cuda:1", 1), *shared]) == free / 4
    assert capacity.pass_bound_bytes([DeviceSpec("cpu", 1)] * 2) is None
    told = [tiles_told(job, capacity.pass_bound_bytes(devices)) for devices in (alone, shared)]
    assert told[0] != told[1] and all("it goes in tiles" in sentence for sentence in told)
    asked: list[list[DeviceSpec]] = []
    monkeypatch.setattr(estimate, "pass_bound_bytes", lambda devices: asked.append(list(devices)))
    cpus = [DeviceSpec("cpu", 1)] * 2
    estimate.evaluation_seconds(job_of(), cpus, (16, 16))
    assert asked == [cpus]


def test_memory_of_a_dry_run_is_what_the_workers_have_at_a_time() -> None:
    plain, regions, quilted = job_of(), job_of(REGIONS), job_of(*QUILTED)
    gpu, cpus = [DeviceSpec("cuda:0", 1)], [DeviceSpec("cpu", 1)] * 2
    needs = [needs_of(plain), needs_of(regions)]
    assert estimate.batch_bytes([plain, regions], gpu) == bytes_together(needs, is_batched=True)
    assert estimate.batch_bytes([plain, regions], cpus[:1]) == bytes_together(needs, is_batched=False)
    alone = [row.own + row.evaluating for row in needs]
    assert estimate.batch_bytes([plain, regions, plain], cpus) == sum(alone)
    assert estimate.batch_bytes([quilted] * 3, gpu) == needs_of(quilted).held


def test_a_mask_that_several_paintings_have_is_held_once_at_all_sizes_of_maps() -> None:
    job = job_of("transfer.style={strokes: {mask: rocket_sky}, mosaic: {mask: rocket_sky}}")
    masks = [
        num_bytes for key, num_bytes in needs_of(job).shared.items() if isinstance(key, tuple) and key[0] == "mask"
    ]
    assert masks == [round(4 / 3 * job.height * job.width * 4)]
    assert not [key for key in needs_of(job_of()).shared if isinstance(key, tuple) and key[0] == "mask"]
