"""Measures on a network: what every run reports; Gram distances to its paintings, to others, of parts, at other sizes.

D is the Gram distance of eqs 4 and 5 of Gatys, Ecker & Bethge 2016 on the embedded network, as ``reference_style``: see
``harness.measures.grams``. A painting is taken at the picture's area, whatever ``style_scale``.

Letters: x a picture, s its painting, s′ another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.config.transfer import Transfer
from harness.errors import CannotMeasureError
from harness.measures.arrays import Floats
from harness.measures.names import HELDOUT_STYLE, REFERENCE_CONTENT, REFERENCE_STYLE
from harness.measures.of_pictures import mean_over_paintings, tensor_of, the_painting
from harness.registries import measure

if TYPE_CHECKING:
    from harness.measures.perceptual import Perceptual

NEEDS_VGG16 = "It needs VGG-16: `harness fetch weights vgg16`, and the same harness run again measures it."


@measure("reference_content")
def reference_content(picture: Floats, *, content: Floats) -> float:
    """Eq. 1 on conv4_2 of the embedded network, to the photograph; ≥ 0."""
    return _reference(REFERENCE_CONTENT, picture, content, picture)


@measure("reference_style")
def reference_style(picture: Floats, *, styles: Sequence[Floats], transfer: Transfer) -> float:
    """Eqs 4 and 5 on conv1_1 … conv5_1 of the embedded network, w_l = 1/5, each Gram by its own M; ≥ 0."""
    return mean_over_paintings([_reference(REFERENCE_STYLE, picture, picture, s) for s in styles], transfer)


@measure("heldout_style")
def heldout_style(picture: Floats, *, styles: Sequence[Floats], transfer: Transfer) -> float:
    """The same on conv1_2, conv2_2, conv3_3, conv4_3, w_l = 1/4; ≥ 0."""
    return mean_over_paintings([_reference(HELDOUT_STYLE, picture, picture, s) for s in styles], transfer)


@measure("lpips")
def lpips(picture: Floats, *, content: Floats) -> float:
    """The perceptual distance to the photograph (Zhang et al. 2018, VGG, v0.1); ≥ 0, about 0.7 for unrelated ones."""
    return _perceptual(content, picture).lpips(tensor_of(picture))


@measure("style_swd")
def style_swd(picture: Floats, *, styles: Sequence[Floats], transfer: Transfer) -> float:
    """Sliced Wasserstein distance to the painting on five layers of VGG-16 (Heitz et al. 2021, eqs 2 and 3); ≥ 0."""
    distances = [_perceptual(picture, s).style_swd(tensor_of(picture)) for s in styles]
    return mean_over_paintings(distances, transfer)


@measure("gram_distance")
def gram_distance(picture: Floats, *, to: Floats) -> float:
    """D(x, s), s the painting that the claim names as ``to``, whether or not the run uses it; ≥ 0.

    For pictures of several paintings: how near is it to each? What the run does not use is taken from the first run
    with the same photograph and size that does.
    """
    from harness.measures import grams

    return grams.distance(grams.of_image(picture), grams.of_image(to))


@measure("own_style_margin")
def own_style_margin(picture: Floats, *, styles: Sequence[Floats], others: Sequence[Floats]) -> float:
    """Min over the experiment's other paintings s′ of D(x, s′)/D(x, s); > 0.

    How many times nearer a picture is to its own painting than to any other: above 1 its own is the nearest. Another
    painting is taken at the size its own run used.
    """
    from harness.measures import grams

    own = the_painting(styles)
    if not others:
        raise CannotMeasureError("The experiment has only one painting; a margin needs another to compare with.")
    D_s, *rest = (grams.distance(grams.of_image(picture), grams.of_image(s)) for s in (own, *others))
    return min(rest) / D_s if D_s > 0 else math.inf


@measure("luminance_gram_distance")
def luminance_gram_distance(picture: Floats, *, styles: Sequence[Floats]) -> float:
    """D(Y′(x), Y(s)), luminances as three equal channels, Y′(x) = (Y(x) − μ_x) σ_s/σ_x + μ_s; ≥ 0.

    Has the picture the painting's strokes, whatever its colours? Blind to colour, brightness and contrast: the
    picture's luminance is given the painting's mean and standard deviation, so that the scale of D is the painting's
    for every run. Gatys, Bethge, Hertzmann & Shechtman 2016 match the style's to the content's in this way.
    """
    from harness.images.colour import grey, matched_luminance
    from harness.measures import grams

    x, s = tensor_of(picture), tensor_of(the_painting(styles))
    return grams.distance(grams.of_pixels(matched_luminance(x, s)), grams.of_pixels(grey(s)))


@measure("coarse_gram_distance")
def coarse_gram_distance(picture: Floats, *, styles: Sequence[Floats]) -> float:
    """D(x↓, s↓), both made 4 times smaller by means over 4 × 4 px; ≥ 0.

    Has the picture the painting's larger structures? A unit of conv5_1 sees 156 px: D at full size says nothing of what
    is larger, and at a quarter 624 px. Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, section 6, is on why high
    resolutions lack it and a coarse picture as the start does not.
    """
    from harness.measures import grams

    x, s = (grams.coarse(tensor_of(image)) for image in (picture, the_painting(styles)))
    return grams.distance(grams.of_pixels(x), grams.of_pixels(s))


@measure("region_margin")
def region_margin(picture: Floats, *, styles: Sequence[Floats], masks: Sequence[Floats | None]) -> float:
    """Min over masked paintings s, and others s′, of D_r(x, s′)/D_r(x, s), D_r of x inside the mask of s; > 0.

    How many times nearer is each region to its own painting than to another region's? Above 1 its own is the nearest
    everywhere. D_r compares guided Gram matrices inside the mask, Σ_k t_k² F_k F_kᵀ / Σ_k t_k² (Gatys et al. 2017,
    section 4; t the mask, averaged down to each layer), with those of whole paintings.
    """
    from harness.measures import grams

    regions = [(s, mask) for s, mask in zip(styles, masks, strict=True) if mask is not None]
    if len(regions) < 2:
        raise CannotMeasureError("It has fewer than two paintings with masks; regions need them to compare.")
    margins = []
    for own, (_, mask) in enumerate(regions):
        inside = grams.inside(picture, mask)
        D_r = [grams.distance(inside, grams.of_image(s)) for s, _ in regions]
        nearest = D_r.pop(own)
        margins.append(min(D_r) / nearest if nearest > 0 else math.inf)
    return min(margins)


def _reference(name: str, picture: Floats, content: Floats, style: Floats) -> float:
    """One of the comparable numbers on the embedded network; what it is not about is the picture itself."""
    from harness.features.normalise import embedded_network
    from harness.measures.reference import Reference

    reference = Reference(tensor_of(content), tensor_of(style), embedded_network())
    return float(reference.measure(tensor_of(picture), ())[name])


def _perceptual(content: Floats, style: Floats) -> Perceptual:
    from harness.features.registry import cached_vgg16
    from harness.measures.perceptual import Perceptual, load_networks

    if (path := cached_vgg16()) is None:
        raise CannotMeasureError(NEEDS_VGG16)
    return Perceptual(tensor_of(content), tensor_of(style), load_networks(path))
