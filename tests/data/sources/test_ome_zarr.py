"""OME-Zarr 0.4 and 0.5, zipped or not, and plain arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from slide_files import picture

from segdiff.data.sources.ome_zarr import ZarrSource
from segdiff.data.sources.open import open_source
from segdiff.data.windows import Window
from segdiff.errors import ConfigError, DataError, MissingError

zarr = pytest.importorskip("zarr", reason="needs segdiff[zarr]")
SIZE = (233, 301)
ARRAY = picture(*SIZE)


def write(path, axes, version="0.5", unit="micrometer", scale=0.25, steps=(1, 2, 4), whole=None):
    """A multiscale image whose arrays have the axes in the order given, as "tczyx"."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    kinds = {"c": "channel", "t": "time"}
    described = [
        {"name": a, "type": kinds.get(a, "space"), **({"unit": unit} if a in "zyx" and unit else {})} for a in axes
    ]
    datasets = []
    for number, step in enumerate(steps):
        small = np.transpose(ARRAY[::step, ::step], ["yxc".index(a) for a in axes if a in "yxc"])
        small = small.reshape(
            [small.shape[[b for b in axes if b in "yxc"].index(a)] if a in "yxc" else 1 for a in axes]
        )
        chunks = [64 if a in "yx" else 1 for a in axes]
        group.create_array(str(number), data=small, chunks=chunks)
        factors = [scale * step if a in "yx" else 1.0 for a in axes]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    one = {"axes": described, "datasets": datasets, "version": version}
    if whole:
        one["coordinateTransformations"] = [{"type": "scale", "scale": [whole if a in "yx" else 1.0 for a in axes]}]
    group.attrs.update(
        {"ome": {"version": "0.5", "multiscales": [one]}} if version == "0.5" else {"multiscales": [one]}
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["tczyx", "cyx", "yxc", "zyxc"])
def test_windows_of_every_order_of_axes(tmp_path, version, axes):
    write(tmp_path / "a.zarr", axes, version)
    source = open_source(tmp_path / "a.zarr")
    assert isinstance(source, ZarrSource) and source.is_slide and source.shape == ARRAY.shape
    assert [level.row_step for level in source.levels] == [1, 2, 4] and source.tile == (64, 64)
    for window in (Window(0, 0, *SIZE), Window(60, 62, 70, 80), Window(232, 300, 1, 1)):
        np.testing.assert_array_equal(source.read(window), ARRAY[window.rows, window.columns])
    np.testing.assert_array_equal(source.read(Window(3, 4, 20, 30), 2), ARRAY[::4, ::4][3:23, 4:34])
    np.testing.assert_array_equal(source[::50, 7:200:33], ARRAY[::50, 7:200:33])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).thumbnail(60), source.thumbnail(60))


@pytest.mark.parametrize(
    ("unit", "scale", "whole", "value"),
    [("micrometer", 0.25, None, 0.25), ("nanometer", 250, None, 0.25), ("millimeter", 0.00025, None, 0.25),
     ("micrometer", 1, 0.5, 0.5), ("micrometer", 0, None, None), (None, 0.25, None, None),
     ("micrometer", 352.8, None, None)],
)  # fmt: skip
def test_micrometres(tmp_path, unit, scale, whole, value):
    write(tmp_path / "a.zarr", "cyx", unit=unit, scale=scale, whole=whole, steps=(1,))
    assert open_source(tmp_path / "a.zarr").mpp.isotropic() == (value if value is None else pytest.approx(value))


def test_grey_images_have_two_axes(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=ARRAY[None, :, :, 0], chunks=(1, 64, 64))
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    source = open_source(tmp_path / "a.zarr")
    np.testing.assert_array_equal(source[:, :], ARRAY[..., 0])


def test_bioformats_layout_and_several_images(tmp_path):
    write(tmp_path / "a.zarr" / "0", "tczyx", "0.4")
    zarr.open_group(str(tmp_path / "a.zarr"), mode="a", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    np.testing.assert_array_equal(open_source(tmp_path / "a.zarr")[:, :], ARRAY)
    write(tmp_path / "a.zarr" / "1", "tczyx", "0.4")
    with pytest.raises(DataError, match=r"holds 2 images; name one of them: .*a\.zarr/0"):
        open_source(tmp_path / "a.zarr")
    np.testing.assert_array_equal(open_source(tmp_path / "a.zarr" / "1")[:, :], ARRAY)


def test_plain_arrays_and_what_is_no_image(tmp_path):
    zarr.save_array(str(tmp_path / "plain.zarr"), ARRAY)
    np.testing.assert_array_equal(open_source(tmp_path / "plain.zarr")[:, :], ARRAY)
    zarr.save_array(str(tmp_path / "four.zarr"), np.zeros((2, 2, 2, 2)))
    with pytest.raises(DataError, match="a Zarr array of shape"):
        open_source(tmp_path / "four.zarr")
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    with pytest.raises(DataError, match="without the metadata of OME-Zarr"):
        open_source(tmp_path / "group.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(MissingError, match="is a folder, not an image"):
        open_source(tmp_path / "empty.zarr")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    with pytest.raises(DataError, match="not an OME-Zarr image that can be read"):
        open_source(tmp_path / "b.zarr")


def test_stacks_and_plates_are_refused(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("0", data=np.zeros((3, 40, 50), np.uint8), chunks=(1, 40, 50))
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with pytest.raises(DataError, match=r"is a stack of 3 \(z\) pictures"):
        open_source(tmp_path / "a.zarr")
    zarr.open_group(str(tmp_path / "p.zarr"), mode="w").attrs["ome"] = {"plate": {}}
    with pytest.raises(DataError, match="is a plate of many images"):
        open_source(tmp_path / "p.zarr")


def test_damage_is_named(tmp_path):
    write(tmp_path / "a.zarr", "cyx")
    for chunk in (tmp_path / "a.zarr" / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"not a chunk")
    source = open_source(tmp_path / "a.zarr")
    with pytest.raises(DataError, match=r"a\.zarr is damaged"):
        source.read(Window(0, 0, 9, 9))


def test_without_zarr_the_remedy_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.zarr", "cyx")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ConfigError, match=r"pip install 'segdiff\[zarr\]'"):
        open_source(tmp_path / "a.zarr")


def test_a_real_zipped_file(shared_data):
    source = open_source(shared_data / "slides" / "sample_float32_8bit_range.zarr.zip")
    assert source.shape == (100, 100, 4) and source.dtype == np.float32 and not source.mpp.known
    assert 0 <= source[:, :].min() < source[:, :].max() <= 255
