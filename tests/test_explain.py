"""``harness explain`` of everything beside equation 7's two terms, and ``--dry-run`` of levels and blocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.config import load_experiment
from harness.driver import capacity, estimate, needs
from harness.driver.jobs import Job, make_jobs
from harness.engines.devices import DeviceSpec

TEXT = """\
transfer:
  content: rocket
  style: strokes
  size: 64
  steps: 9
  pyramid: []
  content_layers: {conv2_1: 1}
  style_layers: {conv1_1: 1}
"""
CPU = DeviceSpec("cpu", 1)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(TEXT)


def printed(*words: str, command: str = "explain") -> str:
    result = CliRunner().invoke(app, [command, "a.yaml", *words])
    assert result.exit_code == 0, result.output
    return "\n".join(" ".join(line.split()) for line in result.output.splitlines())


def job_of(*words: str) -> Job:
    [job] = make_jobs(load_experiment("a.yaml", words), Path("runs"))
    return job


def test_the_papers_own_case_has_nothing_more_to_say() -> None:
    text = printed()
    assert "(eq. 4)" in text
    assert not any(word in text for word in ("ω", "λ", "Sizes", "Two stages", "Colours", "smoothed"))


def test_paintings_have_their_weights_sizes_and_masks() -> None:
    text = printed("transfer.style={strokes: 0.75, mosaic: {mask: rocket_sky, scale: 0.5}}")
    assert "Σ ω E_l over the paintings" in text
    assert "1 mosaic 26×26 rocket_sky all of it" in text and "0.75 strokes 52×52 everywhere all of it" in text
    assert "Σ_k t_k² F_k F_kᵀ / Σ_k t_k²" in text
    assert "t_k²" not in printed("transfer.style={strokes: 0.75, mosaic: 1}")


def test_regions_have_their_shares() -> None:
    text = printed("transfer.segmentation={content: rocket_regions, style: strokes_regions}")
    shares = [float(line.split()[0]) for line in text.splitlines() if line.endswith(" its own")]
    assert len(shares) == 3 and abs(sum(shares) - 1) < 1e-2


def test_regularisers_stages_sizes_colours_and_smoothing() -> None:
    text = printed(
        "transfer.total_variation=0.5", "transfer.photorealism={weight: 43000, first_stage: 4}",
        "transfer.pyramid=[{size: 32, steps: 7}]", "transfer.colours=recoloured", "transfer.smoothing=0.8",
    )  # fmt: skip
    assert "+ λ_TV TV with λ_TV = 0.5" in text
    assert "λ = 43000" in text and f"λ / (H W) = {43000 / (64 * 43):.4g}" in text
    assert "Two stages: 4 evaluations without λ, then the optimiser starts anew for 5 with it." in text
    assert "32×21 7\n64×43 9" in text
    assert "mean and covariance" in text and "α = 0.8 (Li et al. 2018" in text
    assert "for 5 more" in printed("transfer.photorealism.first_stage=4")
    assert "I and Q stay" in printed("transfer.colours=luminance")


def test_quilting_has_its_own_equations_and_schedule() -> None:
    words = ("transfer.method=quilting", "transfer.quilting.block=18", "transfer.weights={file: gone.pth}")
    text = printed(*words)
    assert "texture transfer (Efros & Freeman 2001): blocks of the 52×52 px painting" in text
    assert "1 18 3 0.1 5×3 3\n2 12 2 0.5 7×5 5\n3 8 1 0.9 9×6 6" in text
    assert "14 in all" in text and "convention" not in text
    text = printed(*words, "transfer.quilting.task=synthesis")
    assert "1 18 3 1 5×3 3" in text and "Σ (block − what is there)² over its overlaps" in text


def test_estimate_counts_every_level_at_its_size() -> None:
    job = job_of("transfer.pyramid=[{size: 32, steps: 7}]", "transfer.photorealism={weight: 1, first_stage: 4}")
    measured = []

    def seconds(job: Job, spec: DeviceSpec, size: tuple[int, int]) -> float:
        measured.append(size)
        return float(size[1])

    assert estimate.seconds_left([job, job], [CPU], seconds) == 2 * (7 * 32 + 9 * 64)
    assert measured == [(22, 32), (43, 64)]


def test_an_evaluation_is_measured_also_where_there_are_regularisers_and_masks() -> None:
    job = job_of("transfer.photorealism.weight=1", "transfer.style={strokes: {mask: rocket_sky}, mosaic: 1}")
    assert 0 < estimate.evaluation_seconds(job, [CPU], (43, 64)) < 60


def test_dry_run_tells_levels_and_blocks() -> None:
    text = printed("transfer.pyramid=[{size: 32, steps: 7}]", "--dry-run", command="run")
    assert "16 evaluations (7 at 32 px, 9 at 64 px)" in text
    text = printed("transfer.method=quilting", "transfer.quilting.block=18", "--dry-run", command="run")
    assert "64×43 px, 14 rows of blocks" in text and "time about 0:0" in text


def test_large_pictures_go_in_tiles_and_the_dry_run_says_so() -> None:
    large, small = job_of("transfer.style_layers={conv5_1: 1}", "transfer.size=2048"), job_of()
    assert needs.tile_of(small) is None and capacity.tiles_told(small) == ""
    assert needs.pass_bytes(large) <= 2**30
    assert capacity.tiles_told(large).endswith(f"it goes in tiles of at most {needs.tile_of(large)} px")
    assert needs.tile_of(job_of("transfer.method=quilting", "transfer.quilting.block=18")) is None


def test_memory_of_a_row() -> None:
    plain, regularised = job_of(), job_of("transfer.photorealism.weight=1")
    num_pixels = plain.height * plain.width
    assert needs.needs_of(regularised).own - needs.needs_of(plain).own == 12 * 4 * num_pixels
    quilted = job_of("transfer.method=quilting", "transfer.quilting.block=18", "transfer.style_scale=2")
    assert needs.needs_of(quilted).own == 250 * 5 * num_pixels and needs.pass_bytes(quilted) == 0
