"""Tissue on a thumbnail: found pale or vivid, not mistaken for glass, pens and padding."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from segdiff.data.images import read_image
from segdiff.data.regions import read_region
from segdiff.data.sources.array import ArraySource
from segdiff.data.sources.open import open_source
from segdiff.data.tissue import Tissue, find_tissue, tissue_mask
from segdiff.data.windows import Window

GLASS = (240, 238, 243)
PINK, PALE, PURPLE, BROWN = (205, 130, 175), (228, 205, 222), (120, 80, 150), (150, 110, 80)
GREEN_INK, BLUE_INK, BLACK_INK = (40, 150, 80), (25, 60, 190), (25, 25, 30)


def slide(*patches, glass=GLASS, size=(200, 300), seed=0):
    """A slide with rectangles (colour, rows, columns), and the noise of a camera."""
    array = np.empty((*size, 3))
    array[:] = glass
    for colour, rows, columns in patches:
        array[slice(*rows), slice(*columns)] = colour
    return np.clip(array + np.random.default_rng(seed).normal(0, 1.5, array.shape), 1, 254).astype(np.uint8)


def share(mask, rows, columns):
    return mask[slice(*rows), slice(*columns)].mean()


@pytest.mark.parametrize("colour", [PINK, PALE, PURPLE, BROWN])
@pytest.mark.parametrize("glass", [GLASS, (225, 225, 215), (250, 250, 250)])
def test_tissue_of_every_stain_is_found(colour, glass):
    mask, _ = tissue_mask(slide((colour, (50, 150), (60, 200)), glass=glass))
    assert share(mask, (50, 150), (60, 200)) == 1
    assert mask.sum() < 100 * 140 * 1.15


@pytest.mark.parametrize("ink", [GREEN_INK, BLUE_INK, BLACK_INK])
def test_a_pen_mark_neither_counts_nor_hides_pale_tissue(ink):
    mask, _ = tissue_mask(slide((PALE, (50, 150), (60, 180)), (ink, (20, 180), (220, 280))))
    assert share(mask, (50, 150), (60, 180)) == 1
    assert share(mask, (5, 195), (195, 300)) < 0.01  # nor does the glass along its rim


@pytest.mark.parametrize("glass", [GLASS, (255, 255, 255), (225, 225, 215)])
def test_a_slide_without_tissue_has_none(glass):
    assert not tissue_mask(slide(glass=glass))[0].any()


def test_a_slide_that_is_tissue_all_over_is_tissue_all_over():
    patches = [
        (PURPLE, (row, row + 6), (column, column + 6)) for row in range(5, 190, 20) for column in range(5, 290, 20)
    ]
    assert tissue_mask(slide(*patches, glass=PINK))[0].mean() > 0.99


@pytest.mark.parametrize("padding", [0, 255])
def test_padding_is_no_tissue_and_moves_no_threshold(padding):
    array = slide((PALE, (50, 150), (60, 180)))
    inside, threshold = tissue_mask(array)
    padded = np.full((300, 500, 3), padding, np.uint8)
    padded[30:230, 100:400] = array
    mask, same = tissue_mask(padded)
    assert same == pytest.approx(threshold, abs=1e-3) and not mask[:28].any() and not mask[:, 410:].any()
    assert share(mask, (80, 180), (160, 280)) == 1
    transparent = np.dstack([np.full((300, 500, 3), 99, np.uint8), np.zeros((300, 500), np.uint8)])
    transparent[30:230, 100:400] = np.dstack([array, np.full((200, 300), 255, np.uint8)])
    assert np.array_equal(tissue_mask(transparent)[0], mask) and inside.any()


def test_fluorescence_is_looked_at_whole():
    dark = np.random.default_rng(0).integers(2, 20, (100, 120), dtype=np.uint8)
    dark[40:60, 40:60] = 200
    mask, threshold = tissue_mask(dark)
    assert mask.all() and threshold is None


def test_files_hold_what_was_found(tmp_path):
    source = ArraySource(
        np.repeat(np.repeat(slide((PINK, (50, 150), (60, 200)), (GLASS, (80, 120), (100, 160))), 4, axis=0), 4, axis=1)
    )
    tissue = find_tissue(source, 300)
    paths = tissue.save(tmp_path, "a")
    assert {path.name for path in paths.values()} == {"a_tissue.png", "a_tissue.geojson"}
    np.testing.assert_array_equal(read_image(paths["tissue"]) > 0, tissue.mask)
    region = read_region(paths["tissue_region"])
    whole = region.mask(Window(0, 0, source.height, source.width))
    blown = np.repeat(np.repeat(tissue.mask, 4, axis=0), 4, axis=1)
    assert (whole != blown).mean() < 0.01 and not whole[360:440, 460:600].any()


def blobs(size=(300, 400), seed=0):
    """Tissue of a ragged kind: parts, holes, parts in holes, pixels that touch by corners."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 3)
    return noise > np.random.default_rng(seed).normal(0, 0.01, size)


@pytest.mark.parametrize("seed", range(3))
def test_outlines_stay_within_a_pixel_of_the_thumbnail_and_valid(seed):
    import shapely
    from scipy import ndimage

    tissue = Tissue(blobs(seed=seed), 8.5, 8.25, 0.1)
    exact, few = tissue.region(tolerance=0), tissue.region()
    assert len(exact.shapes) == len(few.shapes) > 10
    for one in few.shapes:
        for polygon in one.polygons:
            assert shapely.is_valid(shapely.Polygon(polygon[0], polygon[1:]))
    vertices = [sum(len(ring) for one in region.shapes for p in one.polygons for ring in p) for region in (exact, few)]
    assert vertices[1] < vertices[0] / 2
    steps = np.array([8.25, 8.5])
    rows, columns = (np.arange(n) for n in tissue.mask.shape)
    centres = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), axis=-1) * steps
    inside = np.zeros(tissue.mask.shape, bool)
    for one in few.shapes:
        for polygon in one.polygons:
            inside ^= shapely.contains_xy(shapely.Polygon(polygon[0], polygon[1:]), centres[..., 0], centres[..., 1])
    padded = np.pad(tissue.mask, 1)  # beyond the picture is no tissue
    deep = (ndimage.distance_transform_edt(padded) - ndimage.distance_transform_edt(~padded))[1:-1, 1:-1]
    assert inside[deep > 2].all() and not inside[deep < -2].any()


def test_pixels_of_windows_are_those_of_the_thumbnail():
    tissue = Tissue(blobs((30, 40)), 8.0, 4.0, 0.1)
    every = np.repeat(np.repeat(tissue.mask, 8, axis=0), 4, axis=1)
    for window in (Window(0, 0, 240, 160), Window(13, 7, 50, 31), Window(239, 159, 1, 1)):
        np.testing.assert_array_equal(tissue.at(window), every[window.rows, window.columns])


def test_without_a_tolerance_outlines_are_exact():
    tissue = Tissue(blobs(), 4.0, 4.0, 0.1)
    whole = tissue.region(tolerance=0).mask(Window(0, 0, 1200, 1600))
    np.testing.assert_array_equal(whole[2::4, 2::4], tissue.mask)


def test_nothing_found_is_a_region_without_polygons(tmp_path):
    tissue = find_tissue(ArraySource(slide()))
    assert tissue.region().shapes == () and not tissue.region().touches(Window(0, 0, 200, 300))
    tissue.save(tmp_path, "a")


def test_thumbnails_of_slides_are_enough(tmp_path):
    array = np.repeat(np.repeat(slide((PINK, (50, 150), (60, 200))), 8, axis=0), 8, axis=1)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in (1, 4):
            file.write(
                array[::step, ::step], tile=(128, 128), photometric="rgb", subfiletype=int(step > 1), metadata=None
            )
    tissue = find_tissue(open_source(tmp_path / "a.tif"), 300)
    assert (tissue.row_step, tissue.column_step) == (8, 8) and share(tissue.mask, (50, 150), (60, 200)) == 1


def test_real_slides(shared_data):
    pytest.importorskip("imagecodecs", reason="JPEG tiles need imagecodecs")
    mask = find_tissue(open_source(shared_data / "slides" / "tcga-cr-7395-01a-01-ts1.svs"), 512).mask
    assert 0.6 < mask.mean() < 0.75
    assert mask[mask.shape[0] // 2, 100:400].mean() > 0.9 and not mask[:60, :100].any()


def test_nuclei_of_stained_tissue_are_not_left_out(shared_data):
    lost = []
    for path in sorted((shared_data / "data" / "dsb2018_he" / "images").iterdir())[::12]:
        truth = read_image(shared_data / "data" / "dsb2018_he" / "masks" / f"{path.stem}.png") > 0
        found, _ = tissue_mask(np.array(Image.open(path).convert("RGB")))
        lost.append((truth & ~found).sum() / max(truth.sum(), 1))
    assert np.mean(lost) < 0.005 and max(lost) < 0.05
