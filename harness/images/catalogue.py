"""The images with names, as data: what each is, who made it, under which licence, and where its file comes from.

``photograph`` and ``texture`` lie inside scikit-image's wheel, ``drawn`` are this project's own, ``mask`` its masks
and segmentations of images of the library, named after them, ``paper`` are those of Gatys et al. 2016, figure 3:
downloaded by ``harness fetch images`` and checked by hash, never part of the package.
"""

# ruff: noqa: E501  (one image, one line: a table)
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["photograph", "texture", "drawn", "mask", "paper"]


@dataclass(frozen=True)
class NamedImage:
    """One image of the library.

    Attributes:
        name: what a YAML file says.
        kind: where it comes from, see the module.
        file: its file's name in scikit-image's data folder, in ``drawn/``, or in the cache.
        width: in pixels.
        height: in pixels.
        title: the work.
        author: who made it.
        year: when; empty where it is not known.
        licence: under which terms.
        source: the page or project it comes from, for ``paper`` the file's own address.
        sha256: of the file (``paper`` only).
        stand_in: a bundled image to use until this one is downloaded (``paper`` only).
    """

    name: str
    kind: Kind
    file: str
    width: int
    height: int
    title: str
    author: str
    year: str
    licence: str
    source: str
    sha256: str = ""
    stand_in: str = ""


_RAW = "https://raw.githubusercontent.com/"
_NEURAL_STYLE = _RAW + "jcjohnson/neural-style/07c4b8299f8fbdafec0c514fc820ff1d7ff62e46/examples/inputs/"
_FAST_NEURAL_STYLE = _RAW + "jcjohnson/fast-neural-style/813c83441953ead2adb3f65f4cc2d5599d735fa7/images/styles/"
_HERE = "harness/images/drawn/draw.py"
_PUBLIC, _CC0 = "public domain", "CC0 1.0"

# fmt: off
# Licences: the docstrings of skimage/data/_fetchers.py.
PHOTOGRAPHS = (
    NamedImage("astronaut", "photograph", "astronaut.png", 512, 512, "Eileen Collins", "NASA", "", _PUBLIC, "https://flic.kr/p/r9qvLn"),
    NamedImage("chelsea", "photograph", "chelsea.png", 451, 300, "Chelsea the cat", "Stefan van der Walt", "", _CC0, "scikit-image"),
    NamedImage("coffee", "photograph", "coffee.png", 600, 400, "Coffee cup", "Rachel Michetti", "", _CC0, "scikit-image"),
    NamedImage("rocket", "photograph", "rocket.jpg", 640, 427, "Launch of DSCOVR on Falcon 9", "SpaceX", "2015", _PUBLIC, "https://www.flickr.com/photos/spacexphotos/16511594820/"),
    NamedImage("hubble_deep_field", "photograph", "hubble_deep_field.jpg", 1000, 872, "Hubble eXtreme Deep Field", "NASA", "2012", _PUBLIC, "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/"),
    NamedImage("immunohistochemistry", "photograph", "ihc.png", 512, 512, "Colonic glands, FHL2 stained", "Center for Microscopy and Molecular Imaging", "", "no known copyright restrictions", "scikit-image"),
    NamedImage("retina", "photograph", "retina.jpg", 1411, 1411, "Fundus photograph of a normal left eye", "Mikael Häggström", "2014", _CC0, "https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg"),
)
TEXTURES = (
    NamedImage("brick", "texture", "brick.png", 512, 512, "Brick wall (grey)", "CC0Textures", "", _CC0, "https://cc0textures.com/view.php?tex=Bricks25"),
    NamedImage("grass", "texture", "grass.png", 512, 512, "Grass (grey)", "Linolafett", "", _CC0, "https://www.deviantart.com/linolafett/art/Grass-01-434853879"),
    NamedImage("gravel", "texture", "gravel.png", 512, 512, "Gravel (grey)", "CC0Textures", "", _CC0, "https://cc0textures.com/view.php?tex=Gravel04"),
)
DRAWN = tuple(
    NamedImage(name, "drawn", f"{name}.png", 512, 512, title, "the harness project", "2026", "MIT", _HERE)
    for name, title in (
        ("strokes", "Curved brush strokes: a whirling sky, suns and a wheat field"),
        ("mosaic", "Tiles laid along the contours of a flower"),
        ("ink", "Pen hatching of hills under a red sun"),
        ("colour_fields", "Overlapping discs, wedges, arcs and lines"),
        ("waves", "Woodblock waves in bands of blue"),
        ("shards", "Translucent planes with sharp edges"),
        ("dots", "A lake at sunset in dots of pure colour"),
    )
)
MASKS = tuple(
    NamedImage(name, "mask", f"{name}.png", width, height, title, "the harness project", "2026", "MIT", _HERE)
    for name, width, height, title in (
        ("astronaut_figure", 512, 512, "Where the astronaut and her helmet are"),
        ("astronaut_background", 512, 512, "All but the astronaut and her helmet"),
        ("chelsea_cat", 451, 300, "Where the cat is"),
        ("chelsea_background", 451, 300, "All but the cat"),
        ("coffee_cup", 600, 400, "Where the cup, saucer and spoon are"),
        ("coffee_table", 600, 400, "All but the cup, saucer and spoon"),
        ("rocket_ground", 640, 427, "Where the rocket, its pad and the towers are"),
        ("rocket_sky", 640, 427, "All but the rocket, its pad and the towers"),
        ("strokes_sky", 512, 512, "The sky of strokes, above the hills"),
        ("strokes_field", 512, 512, "The wheat field of strokes, below the hills"),
        ("waves_sea", 512, 512, "The sea of waves"),
        ("waves_sky", 512, 512, "The sky of waves"),
        ("ink_hills", 512, 512, "The hills of ink"),
        ("ink_sky", 512, 512, "The sky of ink"),
        ("rocket_regions", 640, 427, "Sky blue, rocket yellow, pad and towers green"),
        ("strokes_regions", 512, 512, "Sky blue, suns yellow, field green, hills magenta"),
    )
)
PAPER = (
    NamedImage("tubingen", "paper", "tubingen.jpg", 1024, 768, "Neckarfront, Tübingen", "Andreas Praefcke", "", "CC BY", _NEURAL_STYLE + "tubingen.jpg", "e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506", "coffee"),
    NamedImage("shipwreck", "paper", "shipwreck.jpg", 960, 662, "The Shipwreck of the Minotaur", "J. M. W. Turner", "1805", _PUBLIC, _NEURAL_STYLE + "shipwreck.jpg", "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213", "waves"),
    NamedImage("starry_night", "paper", "starry_night.jpg", 1280, 1014, "The Starry Night", "Vincent van Gogh", "1889", _PUBLIC, _NEURAL_STYLE + "starry_night_google.jpg", "c31741a09141c2e2d07fc7aa6bdf135c369b804f9433e43fa3ceac19386d1ee6", "strokes"),
    NamedImage("the_scream", "paper", "the_scream.jpg", 1200, 1528, "Der Schrei", "Edvard Munch", "1893", _PUBLIC, _NEURAL_STYLE + "the_scream.jpg", "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee", "strokes"),
    NamedImage("seated_nude", "paper", "seated_nude.jpg", 650, 845, "Femme nue assise", "Pablo Picasso", "1910", "in copyright in places", _NEURAL_STYLE + "seated-nude.jpg", "f398757cfb5346842c3bc309ca65d03381b38b1f5f8d7c60abe68a804a405cf1", "shards"),
    NamedImage("composition_vii", "paper", "composition_vii.jpg", 1071, 712, "Composition VII", "Wassily Kandinsky", "1913", _PUBLIC, _FAST_NEURAL_STYLE + "composition_vii.jpg", "8f992ed4aecd6dd56972d7bc8166761de7c94e670ee6effa8fd05f3daeb33409", "colour_fields"),
)
# fmt: on
