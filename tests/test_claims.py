"""Claims: which runs decide one, and that nothing is decided where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results_folder import make_results_folder, picture

from harness.claims import State, judge, rows_for_table, write_claims
from harness.claims.records import Verdict, bound_text
from harness.config import claims as stated
from harness.results import Results, load


def claim(**fields: Any) -> dict[str, Any]:
    return {"says": "It does.", "where": "fig. 4", "because": "Set before the first run.", **fields}


def results_of(path: Path, cells: list[dict[str, Any]], *claims: dict[str, Any], **experiment: Any) -> Results:
    return load(make_results_folder(path / "fig", cells, {**experiment, "claims": list(claims)}))


def by_alpha(values: dict[float, Any], measure: str = "ssim", **transfer: Any) -> list[dict[str, Any]]:
    """Cells along α; a number, or a list of numbers from seeds 0, 1 …"""
    cells = []
    for alpha, numbers in values.items():
        for seed, number in enumerate(numbers if isinstance(numbers, list) else [numbers]):
            label = {"alpha": alpha, **({"seed": seed} if seed else {})}
            metrics = {} if number is None else {measure: number}
            part = "repeat" if seed else "grid"
            cells.append({"label": label, "part": part, "metrics": metrics, "transfer": transfer})
    return cells


def verdict_along(path: Path, values: dict[float, Any], axis: list[float] | None = None, **fields: Any) -> Verdict:
    stated_claim = claim(**{"measure": "ssim", "along": "alpha", "expect": "rises", **fields})
    axes = {"alpha": axis or list(values)}
    (verdict,) = judge(results_of(path, by_alpha(values, start="content"), stated_claim, axes=axes))
    return verdict


# Verdicts


def test_steps_follow_the_numbers_not_the_way_the_axis_is_written(tmp_path: Path) -> None:
    verdict = verdict_along(tmp_path, {0.1: 0.9, 0.001: 0.2, 0.01: 0.5})
    assert verdict.state is State.HOLDS
    assert [number.label["alpha"] for number in verdict.worst.of] == [0.001, 0.01, 0.1]


def test_steps_that_are_no_numbers_follow_the_claim_or_the_experiment(tmp_path: Path) -> None:
    layers = [{"conv2_1": 1}, {"conv1_1": 1}]
    cells = [
        {"label": {"content_layers": layer}, "metrics": {"ssim": k}, "transfer": {"start": "content"}}
        for k, layer in enumerate(layers)
    ]
    claims = [claim(measure="ssim", along="content_layers", expect=expect) for expect in ("rises", "falls")]
    claims.append({**claims[1], "of": {"content_layers": layers[::-1]}})  # the claim's own order goes first
    verdicts = judge(results_of(tmp_path, cells, *claims, axes={"content_layers": layers}))
    assert [verdict.state for verdict in verdicts] == [State.HOLDS, State.DOES_NOT_HOLD, State.HOLDS]


def test_seeds_of_a_cell_are_one_measurement_with_mean_and_standard_deviation(tmp_path: Path) -> None:
    """Of 0.1, 0.5 and 0.3: √((0.2² + 0.2²) / (3 − 1)) = 0.2, half of what lies between the smallest and the largest."""
    verdict = verdict_along(tmp_path, {0.1: [0.1, 0.5, 0.3], 1.0: [0.4, 0.4, 0.4]})
    assert verdict.state is State.HOLDS  # by the means; single runs cross
    first, second = verdict.worst.of
    assert (first.mean, first.sd, first.num_seeds) == (pytest.approx(0.3), pytest.approx(0.2), 3)
    assert second.sd == 0
    assert rows_for_table([verdict])[0][2] == "0.300 ± 0.200 → 0.4, n = 3 (by 0.1); the smallest step"


def test_standard_deviation_is_of_a_sample_and_its_n_stands_beside_it(tmp_path: Path) -> None:
    """Of 1 and 2 it is √½, not ½, the half of their distance; one value has none."""
    verdict = verdict_along(tmp_path / "a", {0.1: [1, 2], 1.0: 3})
    first, second = verdict.worst.of
    assert (first.sd, second.sd) == (pytest.approx(0.5**0.5), None)
    assert rows_for_table([verdict])[0][2].startswith("1.50 ± 0.71 → 3, n = 1 … 2 (by 1.5)")
    cells = by_alpha({0.1: [4, 5, 6, 7], 1.0: [1, 2, 3, 4]}, start="content")
    sides = {"of": {"alpha": 0.1}, "than": {"alpha": 1.0}, "by": 1}
    stated_claim = claim(measure="ssim", expect="greater_than", **sides)
    (against,) = judge(results_of(tmp_path / "b", cells, stated_claim, axes={"alpha": [0.1, 1.0]}))
    assert rows_for_table([against])[0][2] == "5.5 ± 1.3 against 2.5 ± 1.3, n = 4 (by 3)"
    alone = verdict_along(tmp_path / "c", {0.1: 1, 1.0: 3})
    assert rows_for_table([alone])[0][2] == "1 → 3 (by 2); the smallest step"


def test_noise_from_fewer_than_three_seeds_is_noted(tmp_path: Path) -> None:
    stated_claim = claim(measure="ssim", along="alpha", expect="rises")
    axes = {"alpha": [0.1, 1.0]}
    few = results_of(tmp_path / "few", by_alpha({0.1: [1, 1, 1], 1.0: [2, 2]}), stated_claim, axes=axes)
    enough = results_of(tmp_path / "enough", by_alpha({0.1: [1, 1, 1], 1.0: [2, 2, 2]}), stated_claim, axes=axes)
    assert any("2 of the 3 seeds" in note for note in judge(few)[0].notes)
    assert not judge(enough)[0].notes
    assert judge(few)[0].state is State.HOLDS  # noted, not refused


@pytest.mark.parametrize("status", ["waiting", "running", "failed"])
def test_a_run_that_is_not_done_leaves_the_claim_undecided_and_says_why(tmp_path: Path, status: str) -> None:
    cells = by_alpha({0.1: 0.1, 1.0: 0.2, 10.0: 0.3})
    cells[1] |= {"status": status, "reason": "a value is not finite" if status == "failed" else ""}
    axes = {"alpha": [0.1, 1.0, 10.0]}
    (verdict,) = judge(results_of(tmp_path, cells, claim(measure="ssim", along="alpha", expect="rises"), axes=axes))
    assert verdict.state is State.NOT_MEASURED
    assert verdict.worst.remark.startswith("alpha=1.0 ")
    assert ("a value is not finite" in verdict.worst.remark) == (status == "failed")
    assert len(verdict.worst.of) == 2  # what there is, is still shown


def test_a_seed_that_failed_is_not_left_out(tmp_path: Path) -> None:
    cells = by_alpha({0.1: [0.1, 0.1, 0.1], 1.0: [0.2, 0.2, 0.2]})
    cells[4]["status"] = "failed"
    axes = {"alpha": [0.1, 1.0]}
    (verdict,) = judge(results_of(tmp_path, cells, claim(measure="ssim", along="alpha", expect="rises"), axes=axes))
    assert verdict.state is State.NOT_MEASURED and "seed=1 failed" in verdict.worst.remark


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"along": "beta"}, "beta does not vary in this grid"),
        ({"along": None, "expect": "greater_than", "of": {"alpha": 5}, "by": 1}, "no run with alpha=5"),
        ({"along": None, "expect": "greater_than", "of": {"alpha": [0.1, 5]}, "by": 1}, "no run with alpha=5"),
        ({"measure": "total_variation"}, "total_variation of alpha=0.1 was not measured"),
        ({"along": None, "expect": "equal", "of": {"alpha": 1}, "than": {"alpha": [0.1, 1]}}, "both select alpha=1.0"),
        ({"measure": "repeat_distance", "along": None, "expect": "equal"}, "computed a second time"),
    ],
)
def test_what_this_grid_cannot_decide_is_not_measured(tmp_path: Path, fields: dict[str, Any], sentence: str) -> None:
    base = {"measure": "ssim", "along": "alpha", "expect": "rises"}
    stated_claim = stated.Claim.model_validate(claim(**{**base, **fields}))
    results = results_of(tmp_path, by_alpha({0.1: 0.1, 1.0: 0.2}), axes={"alpha": [0.1, 1.0]})
    definition = results.definition.model_copy(update={"claims": (stated_claim,)})  # overrides can leave such a grid
    (verdict,) = judge(Results(results.folder, "fig", definition, "", None, results.all_runs))
    assert verdict.state is State.NOT_MEASURED
    assert sentence in verdict.worst.remark


def test_nan_is_not_measured(tmp_path: Path) -> None:
    verdict = verdict_along(tmp_path, {0.1: 0.1, 1.0: None})  # a manifest holds NaN as nothing
    assert verdict.state is State.NOT_MEASURED and "was not measured" in verdict.worst.remark


def test_selectors_compare_values_whatever_their_spelling(tmp_path: Path) -> None:
    layers = [{"conv1_1": 1}, {"conv2_1": 1.0}]
    cells = [{"label": {"content_layers": layer}, "metrics": {"ssim": k}} for k, layer in enumerate(layers)]
    of, than = {"content_layers": {"conv2_1": 1}}, {"content_layers": [{"conv1_1": 1.0}]}
    stated_claim = claim(measure="ssim", expect="greater_than", of=of, than=than, by=0.5)
    (verdict,) = judge(results_of(tmp_path, cells, stated_claim, axes={"content_layers": layers}))
    assert verdict.state is State.HOLDS and verdict.worst.margin == 0.5


def grid_of(values: dict[tuple[str, float], float], **cell: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    cases = {"A": {"start": "content"}, "B": {"start": "style"}}
    cells = [
        {"label": {"cases": case, "alpha": alpha}, "metrics": {"total": value}, **cell}
        for (case, alpha), value in values.items()
    ]
    return cells, {"cases": cases, "axes": {"alpha": [0.1, 1.0]}}


def test_a_claim_holds_only_if_it_holds_in_every_group_and_the_worst_is_shown(tmp_path: Path) -> None:
    cells, experiment = grid_of({("A", 0.1): 1, ("A", 1.0): 3, ("B", 0.1): 2, ("B", 1.0): 1})
    claims = [
        claim(measure="total", along="alpha", expect="rises"),
        claim(measure="total", along="alpha", expect="rises", of={"cases": "A"}),
        claim(measure="total", along="alpha", expect="rises", of={"cases": ["A", "B"]}),  # the mean rises, B does not
        claim(measure="total", expect="greater_than", of={"cases": "B"}, than={"cases": "A"}),
    ]
    both, one, listed, greater_than = judge(results_of(tmp_path, cells, *claims, **experiment))
    assert [verdict.state for verdict in (both, one, listed, greater_than)] == [
        State.DOES_NOT_HOLD, State.HOLDS, State.DOES_NOT_HOLD, State.DOES_NOT_HOLD,
    ]  # fmt: skip
    assert both.worst.group == {"cases": "B"} and len(both.findings) == 2
    assert one.worst.group == {}
    assert greater_than.worst.group == {"alpha": 1.0} and greater_than.worst.margin == -2
    assert rows_for_table([greater_than])[0][2] == "worst of 2, alpha=1.0: 1 against 3 (by -2)"


def test_the_worst_group_is_the_farthest_below_whatever_it_fails_by(tmp_path: Path) -> None:
    """One lacks 0.0068 of its bound; the other goes the other way at a step, by less, and lacks 0.0189."""
    numbers = {"content": (0.431, 0.432, 0.4442), "noise": (0.0579, 0.0554, 0.0590)}
    cells = [
        {"label": {"start": start, "alpha": alpha}, "metrics": {"ssim": value}}
        for start, values in numbers.items()
        for alpha, value in zip((0.1, 0.5, 2.0), values, strict=True)
    ]
    axes = {"start": ["content", "noise"], "alpha": [0.1, 0.5, 2.0]}
    stated_claim = claim(measure="ssim", along="alpha", expect="rises", by=0.02)
    (verdict,) = judge(results_of(tmp_path, cells, stated_claim, axes=axes))
    assert verdict.worst.group == {"start": "noise"} and verdict.worst.margin == pytest.approx(-0.0189)
    shown = "worst of 2, start=noise: 0.0579 → 0.0554 → 0.059 (by 0.0011); goes the other way at step 1 of 2"
    assert rows_for_table([verdict])[0][2] == shown


@pytest.mark.parametrize(("least", "state"), [(0.31, State.HOLDS), (0.29, State.DOES_NOT_HOLD)])
def test_without_a_bound_every_seed_must_be_the_greater(tmp_path: Path, least: float, state: State) -> None:
    """The means differ either way; where the seeds overlap, that may be chance."""
    cells = [
        {"label": {"alpha": alpha, **({"seed": seed} if seed else {})}, "metrics": {"ssim": value},
         "part": "repeat" if seed else "grid"}
        for alpha, values in {0.1: (0.1, 0.2, 0.3), 1.0: (least, 0.5, 0.6)}.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    stated_claim = claim(measure="ssim", expect="greater_than", of={"alpha": 1.0}, than={"alpha": 0.1})
    repeat = [{"seeds": [1, 2]}]
    (verdict,) = judge(results_of(tmp_path, cells, stated_claim, axes={"alpha": [0.1, 1.0]}, repeat=repeat))
    assert verdict.state is state
    assert ("overlap" in verdict.worst.remark) is (state is State.DOES_NOT_HOLD)


def test_one_group_that_fails_refutes_though_another_was_not_measured(tmp_path: Path) -> None:
    cells, experiment = grid_of({("A", 0.1): 1, ("A", 1.0): 3, ("B", 0.1): 2, ("B", 1.0): 1})
    stated_claim = claim(measure="total", along="alpha", expect="rises")
    cells[0]["status"] = "waiting"
    assert judge(results_of(tmp_path / "a", cells, stated_claim, **experiment))[0].state is State.DOES_NOT_HOLD
    del cells[0]["status"]
    cells[2]["status"] = "waiting"
    assert judge(results_of(tmp_path / "b", cells, stated_claim, **experiment))[0].state is State.NOT_MEASURED


def test_spread_without_selection_is_over_all_runs_and_seeds(tmp_path: Path) -> None:
    cases = {"A": {"start": "content"}, "C": {"start": "noise"}}
    cells = [{"label": {"cases": case}, "metrics": {"total": value}} for case, value in (("A", 10), ("C", 10))]
    cells.append({"label": {"cases": "C", "seed": 1}, "part": "repeat", "metrics": {"total": 13}})
    stated_claim = claim(measure="total", expect="within", by=0.2)
    (verdict,) = judge(results_of(tmp_path, cells, stated_claim, cases=cases))
    assert verdict.state is State.DOES_NOT_HOLD and verdict.worst.quantity == pytest.approx(0.3)
    assert rows_for_table([verdict])[0][2:4] == ("0.3 (10 … 13)", "(max − min)/median ≤ 0.2")


def test_repeated_transfers_are_compared_pixel_by_pixel_with_their_twins(tmp_path: Path) -> None:
    cases = {"A": {"start": "content"}, "B": {"start": "style"}}
    image = picture(1)
    other = image.copy()
    other[3, 4, 1] ^= 1
    cells: list[dict[str, Any]] = [
        {"label": {"cases": "A"}, "image": image},
        {"label": {"cases": "B"}, "image": image},
        {"label": {"cases": "A"}, "part": "again", "image": image},
    ]
    anywhere = claim(measure="repeat_distance", expect="equal")
    of_both = claim(measure="repeat_distance", expect="equal", of={"cases": ["A", "B"]})
    first, second = judge(results_of(tmp_path / "same", cells, anywhere, of_both, cases=cases))
    assert first.state is State.HOLDS and len(first.findings) == 1
    assert second.state is State.NOT_MEASURED and "cases=B was computed a second time" in second.worst.remark
    cells[2]["image"] = other
    (verdict,) = judge(results_of(tmp_path / "other", cells, anywhere, cases=cases))
    assert verdict.state is State.DOES_NOT_HOLD and verdict.worst.quantity == 1


def test_different_noises_must_give_different_pictures(tmp_path: Path) -> None:
    cells = [{"label": {"start": "noise"}, "image": picture(0)}, {"label": {"start": "content"}, "image": picture(0)}]
    cells += [{"label": {"start": "noise", "seed": k}, "part": "repeat", "image": picture(k)} for k in (1, 2)]
    stated_claim = claim(measure="pair_distance", of={"start": "noise"}, expect="greater_than", by=0.01)
    axes = {"start": ["noise", "content"]}
    (verdict,) = judge(results_of(tmp_path / "a", cells, stated_claim, axes=axes))
    assert verdict.state is State.HOLDS and verdict.worst.of[0].num_seeds == 3 and not verdict.notes
    cells[3]["image"] = picture(1)
    (verdict,) = judge(results_of(tmp_path / "b", cells, stated_claim, axes=axes))
    assert verdict.state is State.DOES_NOT_HOLD and verdict.worst.quantity == 0


def test_a_blend_nears_one_painting_as_it_leaves_the_other(tmp_path: Path) -> None:
    """The ends are plain paintings, of which each lacks the other; steps follow the axis as it is written.

    One texture, dark and bright, so that every blend lies between. Two independent noises do not: mixed pixel by pixel
    they lose contrast, and 3/4 of the dark one with 1/4 of the bright one is no nearer to that (0.48 against 0.44).
    """
    first, second = picture(1) // 3, picture(1)
    styles: list[Any] = ["a", {"a": 0.75, "b": 0.25}, {"a": 0.25, "b": 0.75}, "b"]
    cells = [
        {"label": {"style": style}, "style": second if style == "b" else first,
         "image": ((1 - share) * first + share * second).astype("uint8")}
        for style, share in zip(styles, (0, 0.25, 0.75, 1), strict=True)
    ]  # fmt: skip
    claims = [claim(measure="gram_distance", to=to, along="style", expect="falls", factor=2) for to in ("a", "b", "c")]
    for cell in cells[1:3]:
        cell["sources"] = {"style.0": first, "style.1": second}
    results = results_of(tmp_path, cells, *claims, axes={"style": styles})
    to_first, to_second, to_none = verdicts = judge(results)
    assert [verdict.state for verdict in verdicts] == [State.DOES_NOT_HOLD, State.HOLDS, State.NOT_MEASURED]
    assert to_first.worst.of[0].mean == to_second.worst.of[3].mean == 0
    assert "has the painting c; the experiment has a, b" in to_none.worst.remark
    text = write_claims(results, verdicts)[1].read_text()
    assert "`gram_distance` to b along style" in text and "in the style of a, b, 16 px" in text


@pytest.mark.parametrize(("ratio", "state"), [(1.4, State.HOLDS), (2.0, State.DOES_NOT_HOLD)])
def test_a_number_stays_where_cells_differ_within_a_bound_in_each_group(
    tmp_path: Path, ratio: float, state: State
) -> None:
    """``within`` over an axis: the spread is that of its cells, the groups are the other axes'."""
    values = {("style", 0.1): 1.0, ("luminance", 0.1): 1.1, ("style", 1.0): 10.0, ("luminance", 1.0): 10.0 * ratio}
    cells = [
        {"label": {"colours": colours, "alpha": alpha}, "metrics": {"ssim": value}}
        for (colours, alpha), value in values.items()
    ]
    stated_claim = claim(measure="ssim", expect="within", of={"colours": ["style", "luminance"]}, by=0.5)
    axes = {"colours": ["style", "luminance"], "alpha": [0.1, 1.0]}
    (verdict,) = judge(results_of(tmp_path, cells, stated_claim, axes=axes))
    assert verdict.state is state and len(verdict.findings) == 2
    assert verdict.worst.group == {"alpha": 1.0}
    assert verdict.worst.quantity == pytest.approx((ratio - 1) / ((1 + ratio) / 2))


def test_quilting_is_noted_as_random_by_its_own_name(tmp_path: Path) -> None:
    """Gatys's from the photograph is not random at all."""
    cells = [
        {"label": {"method": method}, "metrics": {"ssim": 1}, "transfer": {"start": "content"}}
        for method in ("gatys", "quilting")
    ]
    stated_claim = claim(measure="ssim", expect="within", by=1)
    (verdict,) = judge(results_of(tmp_path, cells, stated_claim, axes={"method": ["gatys", "quilting"]}))
    assert verdict.notes == (
        "Quilting draws its blocks at random, and a cell was measured over 1 of the 3 seeds that this needs.",
    )


def test_a_deleted_picture_is_a_reason_not_a_traceback(tmp_path: Path) -> None:
    cells = [{"label": {"alpha": a}} for a in (0.1, 1.0)]
    stated_claim = claim(measure="style_distance", along="alpha", expect="rises")
    results = results_of(tmp_path, cells, stated_claim, axes={"alpha": [0.1, 1.0]})
    results.runs[1].folder.image_path.unlink()
    (verdict,) = judge(results)
    assert verdict.state is State.NOT_MEASURED and "(it was done, but image.png is gone; " in verdict.worst.remark


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"along": "alpha", "expect": "rises"}, "rises at every step"),
        ({"along": "alpha", "expect": "falls", "factor": 1.5}, "falls at every step, in all ≥ 1.5 times"),
        ({"along": "alpha", "expect": "falls", "by": 0.05}, "falls at every step, in all by ≥ 0.05"),
        ({"expect": "within", "by": 0.2}, "(max − min)/median ≤ 0.2"),
        ({"expect": "equal"}, "exactly 0"),
        ({"expect": "equal", "by": 0.05}, "≤ 0.05 from 0"),
        ({"expect": "equal", "than": {"alpha": 1}}, "exactly equal"),
        ({"expect": "equal", "than": {"alpha": 1}, "by": 2}, "differ by ≤ 2"),
        ({"expect": "greater_than", "by": 0}, "> 0"),
        ({"expect": "greater_than", "than": {"alpha": 1}}, "greater in every run"),
        ({"expect": "greater_than", "than": {"alpha": 1}, "by": 0.1}, "greater, by > 0.1"),
        ({"expect": "greater_than", "than": {"alpha": 1}, "factor": 2}, "greater, > 2 times"),
    ],
)
def test_bounds_are_stated_in_words(fields: dict[str, Any], words: str) -> None:
    assert bound_text(stated.Claim.model_validate(claim(measure="ssim", **fields))) == words
