"""Which values are black and white, whatever their type."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pictures import ORIENTATION, brightfield, grey, write

from segdiff.data.images import read_image, to_rgb
from segdiff.data.stored import ReadOptions
from segdiff.errors import DataError

WHITES = {8: 255, 10: 1023, 12: 4095, 14: 16383, 16: 65535}


def test_the_range_that_is_used_is_the_scale(tmp_path):
    path, count = tmp_path / "x.tif", 0
    for (bits, white), kind, tag, coloured in itertools.product(
        WHITES.items(), ("uint16", "uint32", "int16", "int32", "int64", "float32", "float64"), (1, 6), (False, True)
    ):
        if kind == "int16" and bits == 16:
            continue
        plain = brightfield() if coloured else grey((60, 80))
        values = np.rint(plain * (white / 255))
        values = (values + 0.25 if "float" in kind else values).astype(kind)
        write(
            path, values, photometric="rgb" if coloured else "minisblack", extratags=[(ORIENTATION, "H", 1, tag, False)]
        )
        np.testing.assert_allclose(to_rgb(read_image(path)), to_rgb(plain), atol=0.6, err_msg=f"{bits} {kind}")
        count += 1
    assert count == 5 * 7 * 2 * 2 - 4


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
@pytest.mark.parametrize("white", [1, *WHITES.values()])
def test_hot_pixels_and_overshoot_are_no_change_of_scale(kind, white):
    if white == 1 and kind != "float32":
        pytest.skip("whole numbers have no range of 0 to 1")
    plain = np.repeat(np.repeat(brightfield(), 3, axis=0), 3, axis=1)  # 43,200 pixels: four may be hot
    values = (plain * (white / 255)).astype(kind)
    values[5, 7] = 65535 if kind == "uint16" else 70000
    if kind == "float32":
        values[30:34] *= np.float32(1.2)
        values[40:42] = -0.1 * white
    got = to_rgb(values)
    ordinary = np.ones(plain.shape[:2], bool)
    ordinary[5, 7] = ordinary[30:34] = ordinary[40:42] = False
    np.testing.assert_allclose(got[ordinary], plain[ordinary], atol=1.1)
    assert got.max() <= 255 and got.min() >= 0


@pytest.mark.parametrize("kind", ["uint16", "int16", "int32", "float32", "float64"])
def test_a_white_that_is_none_is_asked_for(tmp_path, kind):
    path = tmp_path / "x.tif"
    counts = (brightfield() * (100 / 1)).astype(np.int32) + (5000 if kind != "int16" else -9000)
    write(path, counts.astype(kind), photometric="rgb")
    with pytest.raises(DataError, match=r"--range LOW HIGH"):
        read_image(path)
    low = 5000 if kind != "int16" else -9000
    got = to_rgb(read_image(path, ReadOptions(value_range=(low, low + 25500))))
    np.testing.assert_allclose(got, brightfield(), atol=0.6)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_a_range_stretches_and_cuts(tmp_path, kind):
    write(tmp_path / "x.tif", np.array([[0, 50, 100], [150, 200, 250]], kind))
    got = to_rgb(read_image(tmp_path / "x.tif", ReadOptions(value_range=(50, 200))))[..., 0]
    np.testing.assert_allclose(got, [[0, 0, 85], [170, 255, 255]], atol=0.1)


def test_twelve_bits_are_told_of(tmp_path):
    notes: list[str] = []
    write(tmp_path / "x.tif", brightfield().astype(np.uint16) * 16, photometric="rgb")
    read_image(tmp_path / "x.tif", notes=notes)
    assert len(notes) == 1 and "taken for 12 bits" in notes[0] and "--range" in notes[0]
    notes.clear()
    write(tmp_path / "x.tif", brightfield().astype(np.uint16) * 257, photometric="rgb")
    read_image(tmp_path / "x.tif", notes=notes)
    assert notes == []
