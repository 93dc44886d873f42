"""Numbers about finished pictures: the comparable ones that every run reports, and what a claim or a sweep names.

A measure is ``f(picture, *, content, styles, transfer) -> float``: the picture, the photograph as the run used it and
the paintings in the order in which the transfer names them, each (H, W, 3) float64 in [0, 1], and what the run was
told. It names what of it it needs; what else it may ask for stands in ``harness.registries.MEASURE_CAN_ASK_FOR``.

    of_pictures           measures of pixels: ssim, edge_correlation, finest_share, …
    of_features           measures on a network: reference_style, gram_distance, lpips, …
    calling               a measure is given what it asks for, and its answer checked
    names                 what the comparable numbers are called
    comparable            these for the rows of a batch, what rows share computed once
    reference             on the embedded network, in the units of the paper's printed equations (Gatys et al. 2016,
                          eqs 1, 4, 5), and of the pixels (of_pixels), whatever was optimised
    perceptual            on VGG-16, in tiles where a picture is large: lpips and style_swd (lpips, sliced_wasserstein)
    grams                 Gram distances between pictures and paintings
    arrays, straight_lines   luminance, edges, autocorrelation; straight edges

All pictures are measured as their files hold them: clamped to [0, 1] and rounded to 8 bits. The two modules of measures
and the names can be had without torch.
"""
