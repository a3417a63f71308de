"""What masks mean, in every container and however they were drawn or compressed."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from pictures import BINARY, LABELS, LAYOUTS, TAGS, N, palette, random_colours, rgba, same_objects, write
from PIL import Image

from segdiff.data.masks import foreground, instances, read_mask
from segdiff.errors import DataError

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (128, 0, 0)
PNG_MASKS: dict[str, tuple[object, bool]] = {  # picture, whether objects are told apart
    "0/255": (BINARY.astype(np.uint8) * 255, False),
    "0/1": (BINARY.astype(np.uint8), False),
    "0/128": (BINARY.astype(np.uint8) * 128, False),
    "1 bit": (BINARY, False),
    "uint8 numbers": (LABELS.astype(np.uint8), True),
    "uint16 numbers": (LABELS, True),
    "uint16 far": (LABELS * 3000, True),
    "grey as RGB": (np.dstack([BINARY.astype(np.uint8) * 255] * 3), False),
    "maroon": (BINARY[..., None] * np.array(RED, np.uint8), False),
    "colours": (random_colours()[LABELS], True),
    "colours, opaque": (np.dstack([random_colours()[LABELS], np.full(LABELS.shape, 255, np.uint8)]), True),
    "black paint": (rgba(np.zeros((*LABELS.shape, 3), np.uint8)), False),
    "white paint": (rgba(np.full((*LABELS.shape, 3), 255, np.uint8)), False),
    "coloured paint": (rgba(random_colours()[LABELS]), True),
    "paint of half": (
        np.dstack([np.zeros((*LABELS.shape, 3), np.uint8), np.where(BINARY, 128, 0).astype(np.uint8)]),
        False,
    ),
    "grey and alpha": (np.dstack([np.zeros_like(LABELS, np.uint8), np.where(BINARY, 255, 0).astype(np.uint8)]), False),
    "palette black, white": (palette([BLACK, WHITE], BINARY), False),
    "palette white, black": (palette([WHITE, BLACK], ~BINARY), False),
    "palette numbers": (palette([BLACK, *map(tuple, random_colours()[1:].tolist())], LABELS), True),
    "palette without order": (
        palette([*map(tuple, random_colours()[1:].tolist()), BLACK], (LABELS.astype(int) - 1) % (N + 1)),
        True,
    ),
    "palette of greys": (palette([(k, k, k) for k in range(256)], LABELS), True),
    "palette white ground": (palette([WHITE, *map(tuple, random_colours()[1:].tolist())], LABELS), True),
}


@pytest.mark.parametrize("name", PNG_MASKS)
def test_masks_in_png(tmp_path, name):
    picture, told_apart = PNG_MASKS[name]
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(tmp_path / "x.png")
    mask = read_mask(tmp_path / "x.png")
    np.testing.assert_array_equal(foreground(mask), BINARY)
    labels = instances(mask)
    assert (labels is not None) == told_apart
    if labels is not None:
        same_objects(labels, LABELS)


def test_masks_in_tiff(tmp_path):
    path, count = tmp_path / "x.tif", 0
    kinds = {"bool": BINARY, "uint8": LABELS, "uint16": LABELS, "int32": LABELS, "float32": LABELS, "float64": LABELS}
    kinds |= {"uint32": LABELS.astype(np.uint32) * 200_000_000, "int64": LABELS.astype(np.int64) * 2**58}
    kinds |= {"uint64": LABELS.astype(np.uint64) * 2**58}
    for (kind, array), tag, compression, layout in itertools.product(
        kinds.items(), TAGS.values(), (None, "zlib", "lzw"), LAYOUTS.values()
    ):
        if kind == "bool" and ("tile" in layout or compression == "lzw"):
            continue
        write(path, array.astype(kind), **{"photometric": "minisblack", **tag, **layout, "compression": compression})
        mask = read_mask(path)
        np.testing.assert_array_equal(foreground(mask), BINARY)
        if kind != "bool":
            same_objects(instances(mask), LABELS)
        count += 1
    assert count == 8 * 5 * 3 * 4 + 5 * 2 * 3


def smoothed(how: str, top: int) -> np.ndarray:
    from scipy import ndimage

    sharp = Image.fromarray(BINARY.astype(np.uint8) * top)
    size = (LABELS.shape[1], LABELS.shape[0])
    if how.startswith("gauss"):
        return ndimage.gaussian_filter(BINARY.astype(float) * top, float(how[5:])).astype(np.uint8)
    if how == "resized":
        return np.array(
            sharp.resize((size[0] * 3, size[1] * 3), Image.Resampling.BICUBIC).resize(size, Image.Resampling.BOX)
        )
    return np.array(
        sharp.resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX).resize(size, Image.Resampling.BILINEAR)
    )


@pytest.mark.parametrize("how", ["gauss0.6", "gauss1", "gauss2", "resized", "halved"])
@pytest.mark.parametrize("top", [255, 128, 60])
@pytest.mark.parametrize("container", ["png", "rgb png", "red png", "tif", "jpg", "palette"])
def test_soft_edges_are_cut_at_half(tmp_path, how, top, container):
    grey_levels = smoothed(how, top)
    path = tmp_path / f"x.{container.split()[-1] if container != 'palette' else 'png'}"
    colours = np.dstack([grey_levels] * 3)
    if container == "red png":
        colours[..., 1:] = 0
    picture = Image.fromarray(colours if "rgb" in container or "red" in container else grey_levels)
    if container == "palette":
        picture = palette([(k, k, k) for k in range(256)], grey_levels)
    picture.save(path, **({"quality": 90} if container == "jpg" else {}))
    notes: list[str] = []
    mask = read_mask(path, notes)
    assert mask.dtype == np.bool_ and (mask == BINARY).mean() > 0.985
    assert len(notes) == 1 and ("soft edges" in notes[0] or "rises" in notes[0])


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95])
@pytest.mark.parametrize("colours", [(255, 255, 255), (128, 0, 0), (0, 200, 0), (90, 90, 90), (255, 255, 0)])
@pytest.mark.parametrize("resaved", [False, True], ids=["jpg", "resaved as png"])
def test_what_jpeg_makes_of_a_mask(tmp_path, quality, colours, resaved):
    path = tmp_path / "x.jpg"
    Image.fromarray(BINARY[..., None] * np.array(colours, np.uint8)).save(path, quality=quality)
    if resaved:
        Image.open(path).save(tmp_path / "x.png")
        path = tmp_path / "x.png"
    mask = read_mask(path)
    assert (foreground(mask) == BINARY).mean() > 0.98 and instances(mask) is None


def spoiled(how: str) -> Image.Image:
    rng = np.random.default_rng(4)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 4)).astype(np.uint8))
    photograph = np.array(coarse.resize((128, 96), Image.Resampling.BICUBIC))
    photograph[..., 3] = np.where(photograph[..., 3] > 99, 255, 0)
    return {
        "photograph": lambda: Image.fromarray(photograph[..., :3].copy()),
        "smoothed numbers": lambda: Image.fromarray(LABELS.astype(np.float32) * 12).resize((160, 120), 2).convert("L"),
        "colours on white": lambda: Image.fromarray(
            np.where(BINARY[..., None], random_colours()[LABELS], np.uint8(255))
        ),
        "photograph with holes": lambda: Image.fromarray(photograph),
        "palette without black": lambda: palette([WHITE, RED, (0, 200, 0)], rng.integers(0, 3, LABELS.shape)),
    }[how]()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("photograph", "colours, as a photograph"),
        ("smoothed numbers", "neither numbers of objects nor soft edges"),
        ("colours on white", "the background must be black"),
        ("photograph with holes", "colours, as a photograph"),
        ("palette without black", "nothing else says which colour is background"),
    ],
)
def test_what_is_no_mask_is_named(tmp_path, how, told):
    spoiled(how).save(tmp_path / "x.png")
    with pytest.raises(DataError) as error:
        read_mask(tmp_path / "x.png")
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("quality", [60, 90])
def test_numbers_in_a_jpeg_are_refused(tmp_path, quality):
    buffer = io.BytesIO()
    Image.fromarray((LABELS * 12).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    (tmp_path / "x.jpg").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="keeps no numbers"):
        read_mask(tmp_path / "x.jpg")


@pytest.mark.parametrize(("values", "told"), [(-1.0, "negative values, -1 the least"), (np.nan, "NaN or infinite")])
def test_values_that_no_mask_has_are_named(tmp_path, values, told):
    array = LABELS.astype(np.float32)
    array[3, 3] = values
    write(tmp_path / "x.tif", array)
    with pytest.raises(DataError, match=told):
        read_mask(tmp_path / "x.tif")


def squares(size: int, gap: int, length: int = 200) -> np.ndarray:
    """Numbered squares: (length, length)."""
    labels = np.zeros((length, length), np.int64)
    for number, (y, x) in enumerate(itertools.product(range(6, length - size, size + gap), repeat=2)):
        labels[y : y + size, x : x + size] = number + 1
    return labels


@pytest.mark.parametrize("size", [3, 5, 9, 20])
@pytest.mark.parametrize("gap", [0, 1, 6])
@pytest.mark.parametrize("every", [1000, 20, 3])
@pytest.mark.parametrize("far", [60_000, 2**40])
def test_one_number_far_above_the_others_hides_none(tmp_path, size, gap, every, far):
    labels = squares(size, gap if size > 3 else max(gap, 1))
    far_ones = (labels > 0) & (labels % every == min(5, every - 1))
    labels[far_ones] += far
    assert far_ones.any()
    write(tmp_path / "x.tif", labels.astype(np.uint16 if far < 2**16 else np.int64))
    mask = read_mask(tmp_path / "x.tif")
    np.testing.assert_array_equal(foreground(mask), labels > 0)
    same_objects(instances(mask), labels)


@pytest.mark.parametrize("size", [3, 5, 9])
@pytest.mark.parametrize("gap", [1, 6])
def test_one_class_far_above_the_others_hides_none(tmp_path, size, gap):
    labels = squares(size, gap)
    classes = np.where(labels == 7, 255, np.where(labels > 0, labels % 20 + 1, 0)).astype(np.uint8)
    Image.fromarray(classes).save(tmp_path / "x.png")
    np.testing.assert_array_equal(foreground(read_mask(tmp_path / "x.png")), labels > 0)


@pytest.mark.parametrize("how", ["numbers, enlarged", "numbers, smoothed", "distances"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_gradual_maps_of_no_common_height_are_refused(tmp_path, how, kind):
    from scipy import ndimage

    numbers = squares(14, 10)
    if how == "distances":
        yy, xx = np.mgrid[:200, :200]
        found = ndimage.distance_transform_edt((yy % 50 - 25) ** 2 + (xx % 50 - 25) ** 2 < (5 + xx // 12) ** 2) * 11
    elif how == "numbers, smoothed":
        found = ndimage.gaussian_filter(numbers.astype(float), 1.2)
    else:
        found = ndimage.zoom(numbers.astype(float), 1.5, order=1)
    write(tmp_path / "x.tif", found.astype(kind))
    with pytest.raises(DataError, match="neither numbers of objects nor soft edges"):
        read_mask(tmp_path / "x.tif")


@pytest.mark.parametrize(("kind", "largest"), [("float16", 2**11), ("float32", 2**24), ("float64", 2**53)])
def test_numbers_that_a_float_does_not_keep_are_refused(tmp_path, kind, largest):
    write(tmp_path / "x.tif", (LABELS.astype(np.int64) + (largest - 100) * BINARY).astype(kind))
    same_objects(instances(read_mask(tmp_path / "x.tif")), LABELS)
    write(tmp_path / "x.tif", (LABELS.astype(np.int64) + largest * BINARY).astype(kind))
    with pytest.raises(DataError, match=f"{kind} keeps whole numbers up to {largest} only"):
        read_mask(tmp_path / "x.tif")
