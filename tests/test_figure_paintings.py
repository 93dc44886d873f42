"""Figures of several paintings, masks and further methods: what they say, and which images stand beside the grid."""

from __future__ import annotations

import re

import numpy as np
import pytest
from results_folder import make_results_folder, picture
from test_figures import page_of, pdf_text, positions

from harness.config import Transfer
from harness.figures.experiment import _above as above_of
from harness.figures.experiment import draw_experiment, shared_sources
from harness.figures.labels import label, labels, weight_caption
from harness.figures.results import draw_results
from harness.results import load

BLEND = {"strokes": 0.75, "mosaic": 0.25}


def said(part, value) -> str:
    """A label without its no-break spaces."""
    return label((part,), (value,), {}).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    "part, value, text",
    [
        ("style", "starry_night", "starry night"),
        ("style", {"strokes": 1}, "strokes"),
        ("style", BLEND, "strokes 0.75 + mosaic 0.25"),
        ("style", {"strokes": 1, "mosaic": 0}, "strokes"),
        ("style", {"strokes": 1, "mosaic": 1}, "strokes + mosaic"),
        ("style", {"a/my_photo.jpg": {"weight": 0.5, "scale": 2}}, "my photo 0.5 ×2"),
        (
            "style",
            {"ink": {"mask": "coffee_cup"}, "dots": {"own_mask": "strokes_sky", "mask": "m.png"}},
            "ink on coffee cup + dots from strokes sky on m",
        ),
        ("style.mosaic", 0.25, "mosaic 0.25"),
        ("style.mosaic", 0, "no mosaic"),
        ("style.mosaic.scale", 2.0, "mosaic ×2"),
        ("style.mosaic.mask", "coffee_cup", "mosaic on coffee cup"),
        ("method", "gatys", "Gatys et al."),
        ("method", "quilting", "quilting"),
        ("colours", "style", "the painting's colours"),
        ("colours", "luminance", "luminance only"),
        ("colours", "recoloured", "recoloured painting"),
        ("photorealism.weight", 1e4, r"$\lambda$ = $10^{4}$"),
        ("photorealism.weight", 0, r"$\lambda$ = 0"),
        ("photorealism", {"weight": 1e4, "first_stage": 200}, r"$\lambda$ = $10^{4}$, first stage of 200"),
        ("photorealism.first_stage", 0, "one stage"),
        ("smoothing", 0.8, "smoothed"),
        ("smoothing", 0, "not smoothed"),
        ("pyramid", [{"size": 128, "steps": 9}, {"size": 256, "steps": 9}, {"size": 512}], "128 → 256 → 512 px"),
        ("pyramid", [{"size": 512}], "512 px"),
        ("pyramid", [{"size": 256, "steps": 9}], "from 256 px"),
        ("pyramid", [], "one size"),
        ("total_variation", 0.5, "TV weight = 0.5"),
        ("segmentation", None, "regions ignored"),
        ("segmentation", {"content": "a", "style": "b"}, "by regions"),
        ("quilting.block", 36, "blocks of 36 px"),
        ("quilting.iterations", 1, "1 iteration"),
        ("quilting.iterations", 3, "3 iterations"),
        ("quilting.task", "synthesis", "texture synthesis"),
        ("quilting.overlap", 0.25, "overlap 0.25"),
    ],
)
def test_a_label_says_it_shortly(part, value, text):
    assert said(part, value) == text


def test_labels_that_would_read_alike_say_the_numbers():
    assert labels(("smoothing",), [(0.5,), (0.8,)], {}) == ["smoothing = 0.5", "smoothing = 0.8"]


def test_quilted_pictures_have_their_blocks_below_them():
    quilted = Transfer(content="a", style="b", method="quilting", quilting={"block": 20})
    assert weight_caption(quilted).split() == ["blocks", "of", "20", "px"]
    assert "alpha" in weight_caption(Transfer(content="a", style="b", alpha=1.0, beta=10.0))


def shot(seed: int) -> np.ndarray:
    return picture(seed, 24, 36)


def cell(k: int, style, **more):
    sources = {} if isinstance(style, str) else {f"style.{i}": shot(60 + i) for i in range(len(style))}
    return {"label": {"style": style}, "image": shot(k), "history": [], "content": shot(50), "style": shot(61),
            "sources": {**sources, **more.pop("sources", {})}, **more}  # fmt: skip


def test_every_painting_of_a_blend_stands_once_at_the_left_by_name(tmp_path):
    styles = ["strokes", BLEND, {"strokes": 0.25, "mosaic": 0.75}]
    folder = make_results_folder(
        tmp_path / "a", [cell(k, style) for k, style in enumerate(styles)], {"axes": {"style": styles}}
    )
    draw_experiment(load(folder))
    page, text = page_of(folder / "figure.png"), re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))
    lefts = [positions(shot(k), page)[0][1] for k in (50, 61, 60, 0, 1, 2)]  # mosaic is style.0, strokes style
    assert lefts == sorted(lefts)
    assert all(len(positions(shot(k), page)) == 1 for k in (50, 60, 61))
    assert "strokes0.75+mosaic0.25" in text and "mosaic" in text


def test_paintings_that_all_pictures_blend_alike_have_their_weights_beside_them(tmp_path):
    def captions(name, style):
        cells = [{"label": {"alpha": a}, "transfer": {"style": style}, "image": shot(k)} for k, a in enumerate((1, 2))]
        folder = make_results_folder(tmp_path / name, cells, {"axes": {"alpha": [1, 2]}})
        return [tile.caption for tile in shared_sources(load(folder).runs, ("style",))["style"]]

    assert captions("a", BLEND) == ["mosaic 0.25", "strokes 0.75"]
    assert captions("b", {"strokes": 1.0, "mosaic": 1.0}) == ["mosaic", "strokes"]


def test_masks_and_regions_are_shown_where_they_are_asked_for(tmp_path):
    style = {"strokes": {"mask": "coffee_cup"}, "mosaic": {"mask": "coffee_table", "own_mask": "ink_sky"}}
    masks = {"style.0.mask": shot(70), "style.0.own_mask": shot(71), "style.1.mask": shot(72)}
    cells = [
        cell(0, "strokes"),
        cell(1, style, sources=masks),
    ]
    experiment = {"axes": {"style": ["strokes", style]}, "figure": {"show": ["content", "style", "masks"]}}
    results = load(make_results_folder(tmp_path / "a", cells, experiment))
    shared = shared_sources(results.runs, ("content", "style", "masks"))
    assert [tile.caption for tile in shared["style"]] == ["strokes", "mosaic"]
    assert [tile.caption for tile in shared["masks"]] == [
        "where mosaic goes", "what is taken of mosaic", "where strokes goes"
    ]  # fmt: skip
    np.testing.assert_array_equal(shared["masks"][2].image, shot(72))
    segmented = {"segmentation": {"content": "a", "style": "b"}}
    sources = {"segmentation.content": shot(80), "segmentation.style": shot(81)}
    cells = [cell(0, "ink", transfer=segmented, sources=sources)]
    results = load(make_results_folder(tmp_path / "b", cells, {"axes": {"style": ["ink"]}}))
    shared = shared_sources(results.runs, ("masks",))["masks"]
    assert [tile.caption for tile in shared] == ["regions of the content", "regions of the style"]


def test_painting_whose_file_is_missing_is_said_so(tmp_path):
    results = load(
        make_results_folder(tmp_path / "a", [{**cell(0, BLEND), "sources": {}}], {"axes": {"style": [BLEND]}})
    )
    assert [tile.reason for tile in shared_sources(results.runs, ("style",))["style"]] == ["its file is missing"] * 2


def test_a_pyramids_label_ends_in_the_pictures_size(tmp_path):
    pyramids = [[], [{"size": 16, "steps": 3}]]
    cells = [{"label": {"pyramid": p}, "image": shot(k), "transfer": {"size": 32}} for k, p in enumerate(pyramids)]
    folder = make_results_folder(tmp_path / "a", cells, {"transfer": {"content": "a", "style": "b", "size": 32},
                                                         "axes": {"pyramid": pyramids}})  # fmt: skip
    draw_experiment(load(folder))
    text = re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))
    assert "32px16" in text and text.count("32px") == 2  # the arrow is not among the letters that pdf_text reads


def test_methods_stand_side_by_side_also_in_the_curves(tmp_path):
    history = [{"evaluation": 1, "seconds": 0.5, "total": 3.0, "content": float("nan"), "style": 2.0}]
    cells = [
        {"label": {"cases": "G"}, "image": shot(0)},
        {"label": {"cases": "Q"}, "image": shot(1), "history": history},
    ]
    cases = {"G": {"method": "gatys"}, "Q": {"method": "quilting"}}
    folder = make_results_folder(tmp_path / "a", cells, {"cases": cases})
    draw_experiment(load(folder))
    text = re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))
    assert "G:Gatysetal." in text and "Q:quilting" in text and "blocksof36px" in text
    assert (folder / "curves.png").exists()


def test_a_sweeps_front_shows_as_many_paintings_as_there_is_room_for(tmp_path):
    style = {f"painting_{k}": 1.0 for k in range(9)}
    cells = [
        {**cell(k, style), "label": {"trial": k, "style": style, "alpha": a},
         "metrics": {"reference_content": a, "reference_style": 1 - a}}
        for k, a in enumerate((0.1, 0.5))
    ]  # fmt: skip
    definition = {"space": {"style": {"choice": ["strokes", style]}, "alpha": {"log": [1e-3, 1]}},
                  "objectives": ["reference_content", "reference_style"]}  # fmt: skip
    folder = make_results_folder(tmp_path / "a", cells, definition)
    assert {path.name for path in draw_results(load(folder))} >= {"front.png"}


def test_texture_that_is_content_and_style_at_once_stands_above_its_picture_once(tmp_path) -> None:
    texture, other = {"content": "brick", "style": "brick"}, {"content": "brick", "style": "grass"}
    cells = [{"label": {"cases": name}, "transfer": fields} for name, fields in (("A", texture), ("B", other))]
    yaml = {"cases": {"A": texture, "B": other}, "figure": {"columns": "cases"}}
    runs = load(make_results_folder(tmp_path / "fig", cells, yaml)).runs
    assert [len(above_of(run, ("content", "style"))) for run in runs] == [1, 2]
