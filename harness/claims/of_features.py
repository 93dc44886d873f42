"""Measures of style: Gram distances of a picture to its paintings, to others, of parts and at other sizes.

D is the Gram distance of eqs 4 and 5 of Gatys, Ecker & Bethge 2016 on the embedded network, as ``reference_style``: see
``harness.claims.grams``. A painting is taken at the picture's area, whatever ``style_scale``.

Letters: x a picture, s its painting, s′ another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.claims.checks import CannotMeasureError, ImageFile, check_same_size, painting_of, picture_of, source_of
from harness.claims.pixels import luminance
from harness.config.styles import paintings_of
from harness.results import Run

if TYPE_CHECKING:
    from harness.claims.measures import Measuring


def gram_distance(measuring: Measuring, run: Run, to: str) -> float:
    """D(x, s), s the painting that the claim names as ``to``, whether or not the run uses it; ≥ 0.

    For pictures of several paintings: how near is it to each? What the run does not use is taken from the first run
    with the same photograph and size that does.
    """
    return measuring.distances.plain(picture_of(run), measuring.painting(to, run))


def own_style_margin(measuring: Measuring, run: Run) -> float:
    """Min over the experiment's other paintings s′ of D(x, s′)/D(x, s); > 0.

    How many times nearer a picture is to its own painting than to any other: above 1 its own is the nearest. Another
    painting is taken at the size its own run used.
    """
    own_painting, [name] = painting_of(run), [painting.image for painting in paintings_of(run.transfer)]
    others = [source_of(*used) for other, used in measuring.paintings().items() if other != name]
    if not others:
        raise CannotMeasureError("The experiment has only one painting; a margin needs another to compare with.")
    own, *rest = (measuring.distances.plain(picture_of(run), painting) for painting in (own_painting, *others))
    return min(rest) / own if own > 0 else math.inf


def luminance_gram_distance(measuring: Measuring, run: Run) -> float:
    """D(Y′(x), Y(s)), luminances as three equal channels, Y′(x) = (Y(x) − μ_x) σ_s/σ_x + μ_s; ≥ 0.

    Has the picture the painting's strokes, whatever its colours? Blind to colour, brightness and contrast: the
    picture's luminance is given the painting's mean and standard deviation, so that the scale of D is the painting's
    for every run. Gatys, Bethge, Hertzmann & Shechtman 2016 match the style's to the content's in this way.
    """
    return measuring.distances.of_luminance(picture_of(run), painting_of(run))


def coarse_gram_distance(measuring: Measuring, run: Run) -> float:
    """D(x↓, s↓), both made 4 times smaller by means over 4 × 4 px; ≥ 0.

    Has the picture the painting's larger structures? A unit of conv5_1 sees 156 px: D at full size says nothing of what
    is larger, and at a quarter 624 px. Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, section 6, is on why high
    resolutions lack it and a coarse picture as the start does not.
    """
    return measuring.distances.coarse(picture_of(run), painting_of(run))


def region_margin(measuring: Measuring, run: Run) -> float:
    """Min over masked paintings s, and others s′, of D_r(x, s′)/D_r(x, s), D_r of x inside the mask of s; > 0.

    How many times nearer is each region to its own painting than to another region's? Above 1 its own is the nearest
    everywhere. D_r compares guided Gram matrices inside the mask, Σ_k t_k² F_k F_kᵀ / Σ_k t_k² (Gatys et al. 2017,
    section 4; t the mask, averaged down to each layer), with those of whole paintings.
    """
    paintings = [painting for painting in paintings_of(run.transfer) if painting.mask]
    if len(paintings) < 2:
        raise CannotMeasureError(f"{run.name} has fewer than two paintings with masks; regions need them to compare.")
    picture = picture_of(run)
    margins = []
    for own in paintings:
        mask = run.source(str(own.mask))
        check_same_size(run, picture.pixels, mask, f"the mask of {own.image}")
        paired = [own, *(other for other in paintings if other is not own)]
        files: list[ImageFile] = [source_of(run, painting.slot) for painting in paired]
        nearest, *others = measuring.distances.inside(picture, luminance(mask), files)
        margins.append(min(others) / nearest if nearest > 0 else math.inf)
    return min(margins)
