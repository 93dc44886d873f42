"""How many rows a worker gets at once, by the memory it is said to have; and what of it masks and regions take."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.config import load_experiment
from harness.driver import capacity, estimate
from harness.driver.capacity import (
    MEMORY_SHARE,
    MOST_ROWS,
    MaxRows,
    num_regions_of,
    pass_bytes,
    row_bytes,
    weights_bytes,
)
from harness.driver.jobs import Job, make_jobs
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


def has_free(monkeypatch: pytest.MonkeyPatch, *, gpu: float, main: float) -> None:
    monkeypatch.setattr(capacity, "free_bytes", lambda device: gpu)
    monkeypatch.setattr(capacity, "available_bytes", lambda: main)


def test_on_a_gpu_every_row_has_its_own_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of()
    has_free(monkeypatch, gpu=7 * (row_bytes(job) + pass_bytes(job)) / MEMORY_SHARE, main=0)
    assert MaxRows(["cuda:0"])(job, "cuda:0") == 7
    assert MaxRows(["cuda:0#0", "cuda:0#1", "cuda:1"])(job, "cuda:0#1") == 3


@pytest.mark.parametrize(("worker", "words"), [("cuda:0", TILED), ("cpu:0", ()), ("cpu:0", TILED)])
def test_rows_that_go_one_by_one_share_one_pass(
    monkeypatch: pytest.MonkeyPatch, worker: str, words: tuple[str, ...]
) -> None:
    job = job_of(*words)
    enough = pass_bytes(job) + 7 * row_bytes(job) / MEMORY_SHARE
    is_gpu = worker.startswith("cuda")
    enough += 0 if is_gpu else weights_bytes(job)
    has_free(monkeypatch, gpu=enough if is_gpu else 0, main=0 if is_gpu else enough)
    assert MaxRows([worker])(job, worker) == 7


@pytest.mark.parametrize("worker", ["cuda:0", "cpu:0"])
@pytest.mark.parametrize("free", [0.0, 1e9, 1e15, math.inf])
def test_quilted_rows_are_given_out_one_at_a_time(monkeypatch: pytest.MonkeyPatch, worker: str, free: float) -> None:
    has_free(monkeypatch, gpu=free, main=free)
    assert MaxRows([worker])(job_of(*QUILTED), worker) == 1


@pytest.mark.parametrize("words", [(), TILED])
def test_at_least_one_row_and_a_bound_where_the_memory_is_not_known(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    job = job_of(*words)
    for free, num_rows in ((0.0, 1), (math.inf, MOST_ROWS)):
        has_free(monkeypatch, gpu=free, main=free)
        assert [MaxRows([worker])(job, worker) for worker in ("cuda:0", "cpu:0")] == [num_rows] * 2


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
    assert capacity.tile_of(plain) == capacity.tile_of(two) == capacity.tile_of(three)


def test_rows_with_regions_are_bounded_by_their_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, regions = job_of(), job_of(REGIONS)
    most = MaxRows(["cuda:0"])
    has_free(monkeypatch, gpu=7 * (row_bytes(regions) + pass_bytes(regions)) / MEMORY_SHARE, main=0)
    assert most(plain, "cuda:0") > 7 and most(regions, "cuda:0") == 7


def test_memory_of_a_dry_run_is_what_the_workers_have_at_a_time() -> None:
    plain, regions, quilted = job_of(), job_of(REGIONS), job_of(*QUILTED)
    gpu, cpus = [DeviceSpec("cuda:0", 1)], [DeviceSpec("cpu", 1)] * 2
    assert estimate.batch_bytes([plain, regions], gpu) == 2 * row_bytes(plain) + pass_bytes(regions)
    assert estimate.batch_bytes([plain, regions, plain], cpus) == 2 * (row_bytes(plain) + pass_bytes(regions))
    assert estimate.batch_bytes([quilted] * 3, gpu) == row_bytes(quilted)
