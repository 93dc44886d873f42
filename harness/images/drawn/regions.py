"""The mask images: what is where in some of the library's photographs and drawn styles.

A mask is white inside and black outside, grey only where the outline crosses a pixel, and has its image's size. A
``…_regions`` image is a segmentation: one colour per region, no greys. Outlines were traced by hand, as points x, y in
the image's pixels, clockwise; those outside the image run along its border. Same arithmetic as in ``canvas``: the same
pixels on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.images.drawn.canvas import Floats, cos_sin, to_bytes

Points = Sequence[tuple[float, float]]
Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

LINES_PER_PX = 4

ASTRONAUT = (
    # hair, face and neck to the collar's ring
    (232, 16), (246, 17), (259, 21), (271, 27), (281, 36), (289, 46), (295, 58), (300, 72), (301, 86), (298, 101),
    (293, 113), (286, 122), (280, 130), (277, 136), (269, 137), (264, 148), (259, 165), (257, 172), (275, 182),
    (290, 199), (300, 219), (305, 237),
    # shoulder, arm, helmet
    (318, 243), (332, 254), (343, 266), (349, 280), (354, 298), (359, 318), (362, 335), (363, 345), (380, 345),
    (400, 343), (420, 346), (440, 352), (463, 366), (478, 383), (490, 406), (495, 430), (497, 455), (505, 458),
    (508, 470), (509, 492), (502, 502), (499, 520),
    # the other arm from below, shoulder, ring
    (55, 520), (40, 500), (30, 482), (25, 465), (23, 440), (20, 400), (24, 375), (25, 350), (27, 332), (33, 320),
    (41, 308), (43, 292), (50, 275), (60, 260), (70, 245), (85, 232), (100, 220), (112, 210), (119, 202), (114, 194),
    (116, 186), (121, 184), (126, 170), (136, 158), (150, 151), (170, 148), (184, 149),
    # jaw, ear, hair
    (181, 133), (174, 130), (170, 118), (162, 112), (156, 100), (153, 85), (154, 72), (158, 60), (165, 50), (176, 44),
    (188, 36), (193, 29), (200, 23), (213, 18),
)  # fmt: skip
CHELSEA = (
    (41, -9), (36, 30), (33, 60), (31, 90), (34, 108), (20, 119), (-9, 124), (-9, 309), (288, 309), (300, 286),
    (313, 268), (317, 245), (316, 224), (325, 210), (335, 196), (346, 182), (356, 165), (361, 148), (362, 132),
    (360, 112), (357, 95), (358, 80), (358, 67), (371, 57), (378, 40), (386, 18), (400, -9),
)  # fmt: skip
SAUCER = (
    (181, 70), (165, 76), (152, 83), (138, 93), (127, 103), (113, 117), (102, 132), (93, 147), (87, 161), (81, 182),
    (78, 199), (77, 215), (78, 232), (82, 252), (89, 273), (97, 290), (108, 307), (122, 324), (138, 340), (155, 353),
    (175, 364), (195, 373), (220, 382), (245, 387), (270, 389), (300, 388), (330, 385), (355, 379), (380, 370),
    (402, 358), (420, 344), (437, 326), (452, 305), (463, 284), (471, 262), (476, 240), (479, 215), (477, 200),
    (470, 178), (459, 155), (446, 135), (431, 118), (418, 107), (300, 150),
)  # fmt: skip
RIM = (
    (173, 100), (175, 88), (180, 75), (187, 63), (195, 52), (205, 43), (215, 36), (227, 30), (240, 25), (260, 20),
    (280, 18), (300, 19), (320, 23), (340, 31), (356, 40), (370, 50), (384, 62), (395, 75), (403, 87), (408, 99),
    (410, 112), (406, 132), (300, 200), (180, 150), (174, 120),
)  # fmt: skip
SPOON = ((396, 76), (402, 68), (414, 67), (424, 76), (421, 88), (415, 118), (406, 132))
ROCKET = (
    (322, 126), (327, 131), (331, 140), (333, 150), (333, 178), (335, 181), (335, 407), (309, 407), (309, 181),
    (311, 177), (311, 150), (313, 141), (317, 131),
)  # fmt: skip
PAD = (
    (309, 352), (335, 335), (345, 363), (357, 363), (357, 405), (377, 407), (377, 436), (266, 436), (266, 407),
    (287, 405), (287, 363), (302, 363),
)  # fmt: skip
TOWERS = (
    ((46, -9), (88, -9), (84, 100), (81, 200), (77, 320), (72, 436), (-9, 436), (-9, 345), (3, 330), (10, 290),
     (22, 215), (36, 110), (46, 30)),
    ((198, 123), (204, 123), (202, 190), (203, 193), (203, 436), (162, 436), (170, 370), (180, 272), (190, 193),
     (197, 190)),
    ((443, 123), (449, 123), (453, 191), (457, 193), (458, 223), (466, 290), (472, 350), (479, 436), (440, 436),
     (441, 193), (446, 191)),
    ((561, -9), (600, -9), (606, 60), (618, 130), (632, 200), (649, 280), (649, 436), (581, 436), (576, 330),
     (569, 200), (564, 80)),
)  # fmt: skip
STROKES_SKY = (
    (-9, -9), (521, -9), (521, 350), (490, 348), (460, 342), (425, 344), (400, 351), (360, 346), (345, 333),
    (320, 321), (240, 318), (215, 328), (200, 332), (165, 330), (120, 332), (102, 341), (100, 354), (60, 354),
    (-9, 352),
)  # fmt: skip
STROKES_FIELD = (
    (-9, 383), (0, 379), (20, 371), (35, 368), (70, 366), (90, 364), (120, 362), (150, 368), (180, 370), (200, 375),
    (230, 380), (260, 381), (300, 387), (330, 392), (360, 398), (400, 397), (440, 395), (470, 389), (490, 387),
    (521, 385), (521, 521), (-9, 521),
)  # fmt: skip
WAVES_SEA = (
    (-9, 248), (30, 245), (65, 243), (77, 239), (80, 233), (90, 226), (103, 224), (119, 228), (129, 240), (150, 242),
    (175, 244), (202, 246), (208, 247), (214, 241), (222, 234), (233, 230), (245, 229), (265, 232), (280, 240),
    (300, 231), (325, 218), (338, 208), (345, 193), (357, 185), (373, 183), (390, 189), (402, 198), (420, 210),
    (440, 225), (452, 235), (457, 236), (465, 231), (480, 228), (493, 229), (521, 237), (521, 521), (-9, 521),
)  # fmt: skip
INK_HILLS = (
    (-9, 160), (0, 159), (12, 155), (25, 157), (50, 172), (80, 191), (100, 203), (120, 220), (150, 237), (175, 250),
    (200, 257), (225, 257), (242, 250), (255, 235), (265, 225), (280, 223), (300, 227), (320, 215), (350, 207),
    (380, 200), (400, 185), (415, 172), (435, 166), (450, 165), (455, 171), (480, 170), (521, 175), (521, 521),
    (-9, 521),
)  # fmt: skip


def ellipse(centre_x: float, centre_y: float, radius_x: float, radius_y: float) -> Points:
    """96 points of an ellipse with upright axes."""
    cos, sin = cos_sin(np.arange(96) / 96)
    return [(centre_x + radius_x * c, centre_y + radius_y * s) for c, s in zip(cos.tolist(), sin.tolist(), strict=True)]


def cover(width: int, height: int, outline: Points) -> Floats:
    """The share of each pixel that lies inside a polygon (even-odd), (height, width).

    Exact along four lines in each row of pixels, then their mean.
    """
    starts = np.asarray(outline, dtype=np.float64)
    ends = np.roll(starts, -1, axis=0)
    columns = np.arange(width)
    covered = np.zeros((height, width))
    for line in range(height * LINES_PER_PX):
        y = (line + 0.5) / LINES_PER_PX
        crossing = (starts[:, 1] <= y) != (ends[:, 1] <= y)
        start, end = starts[crossing], ends[crossing]
        x = np.sort(start[:, 0] + (y - start[:, 1]) / (end[:, 1] - start[:, 1]) * (end[:, 0] - start[:, 0]))
        for left, right in zip(x[::2], x[1::2], strict=True):
            covered[line // LINES_PER_PX] += np.clip(right - columns, 0, 1) - np.clip(left - columns, 0, 1)
    return covered / LINES_PER_PX


def union(width: int, height: int, outlines: Sequence[Points]) -> Floats:
    """The share of each pixel inside any of the polygons; the largest single share where several meet."""
    covered: Floats = np.maximum.reduce([cover(width, height, outline) for outline in outlines])
    return covered


CUP = (SAUCER, RIM, SPOON)
LAUNCH = (ROCKET, PAD, *TOWERS)
SUNS = (
    ellipse(67, 67, 42, 42),
    ellipse(291, 46, 29, 29),
    ellipse(424, 77, 78, 78),
    ellipse(486, 213, 27, 27),
    ellipse(154, 291, 24, 24),
)


def mask(width: int, height: int, outlines: Sequence[Points], white: Literal["inside", "outside"]) -> Picture:
    """A mask, (height, width, 3), black where it is not white."""
    inside = to_bytes(union(width, height, outlines) * 255)
    return np.repeat((inside if white == "inside" else 255 - inside)[..., None], 3, axis=2)


def segmentation(
    width: int, height: int, ground: Colour, regions: Sequence[tuple[Sequence[Points], Colour]]
) -> Picture:
    """A picture of labels, (height, width, 3): the regions' colours on the ground's, later ones on top."""
    picture = np.full((height, width, 3), ground, dtype=np.uint8)
    for outlines, colour in regions:
        picture[union(width, height, outlines) >= 0.5] = colour
    return picture


BLUE, GREEN, YELLOW, MAGENTA = (0, 0, 255), (0, 255, 0), (255, 255, 0), (255, 0, 255)

PICTURES: dict[str, Callable[[], Picture]] = {
    "astronaut_figure": partial(mask, 512, 512, (ASTRONAUT,), "inside"),
    "astronaut_background": partial(mask, 512, 512, (ASTRONAUT,), "outside"),
    "chelsea_cat": partial(mask, 451, 300, (CHELSEA,), "inside"),
    "chelsea_background": partial(mask, 451, 300, (CHELSEA,), "outside"),
    "coffee_cup": partial(mask, 600, 400, CUP, "inside"),
    "coffee_table": partial(mask, 600, 400, CUP, "outside"),
    "rocket_ground": partial(mask, 640, 427, LAUNCH, "inside"),
    "rocket_sky": partial(mask, 640, 427, LAUNCH, "outside"),
    "strokes_sky": partial(mask, 512, 512, (STROKES_SKY,), "inside"),
    "strokes_field": partial(mask, 512, 512, (STROKES_FIELD,), "inside"),
    "waves_sea": partial(mask, 512, 512, (WAVES_SEA,), "inside"),
    "waves_sky": partial(mask, 512, 512, (WAVES_SEA,), "outside"),
    "ink_hills": partial(mask, 512, 512, (INK_HILLS,), "inside"),
    "ink_sky": partial(mask, 512, 512, (INK_HILLS,), "outside"),
    # The pad and the towers go with the field, the rocket with the suns; nothing goes with the hills.
    "rocket_regions": partial(segmentation, 640, 427, BLUE, (((PAD, *TOWERS), GREEN), ((ROCKET,), YELLOW))),
    "strokes_regions": partial(
        segmentation, 512, 512, MAGENTA, (((STROKES_SKY,), BLUE), (SUNS, YELLOW), ((STROKES_FIELD,), GREEN))
    ),
}
