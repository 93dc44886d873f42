"""Images: names, files, sizes. Nothing imported here needs torch; ``harness.images.resize`` does.

    files     read_image(path) -> (H, W, 3) float32 sRGB in [0, 1]; write_png(path, image); png_bytes(image);
              image_hash(path) -> 64 hex digits; MAX_PIXELS; read_picture(path) -> Picture, with alpha and notes
    decoding  what a file holds as upright sRGB, as browsers show it; profiles: its colours; kinds: what is no image
    library   find_image(name_or_path, relative_to=None) -> Path; list_images() -> tuple[NamedImage, …];
              image_file(named) -> Path; fetch_images(names=None, on_bytes=None) -> [Path]
    catalogue NamedImage (name, kind, title, author, year, licence, …); PHOTOGRAPHS, TEXTURES, DRAWN, MASKS, PAPER
    resize    (torch) resize(image, height, width); fit_longer_side(height, width, size_px);
              fit_area(height, width, area_px, scale); to_tensor(array); to_array(tensor)
    colour    (torch) luminance, grey, with_colours_of, matched_luminance, recoloured: whose colours a picture has
    masks     (torch) read_mask, resize_mask, read_regions: where a style goes; check_mask, check_regions
    drawn     the style images this project draws itself, and `python -m harness.images.drawn.draw`

Faults of the user's files and names are ``harness.errors.ImageError``; of the disk, ``StorageError``.
"""

from harness.images.files import image_hash, read_image, write_png
from harness.images.library import fetch_images, find_image, list_images

__all__ = ["fetch_images", "find_image", "image_hash", "list_images", "read_image", "write_png"]
