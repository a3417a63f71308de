import numpy as np
import pytest

from segdiff.errors import ConfigError
from segdiff.models.device import pick_device, resolve_precision
from segdiff.models.normalisation import Normalisation, is_grey, nuclear_stain


def test_fixed_is_mean_and_deviation():
    normalise = Normalisation("fixed", [100, 0, 50], [50, 1, 25])
    image = np.full((2, 3, 3), (150, 3, 0), dtype=np.uint8)
    out = normalise(image)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, np.broadcast_to(np.float32([1, 3, -2]), (2, 3, 3)))


def test_per_image_maps_percentiles_to_minus_one_and_one_whatever_gain_and_offset():
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 100, (200, 300, 3)).astype(np.float32)
    out = Normalisation()(image)
    assert np.percentile(out, 1) == pytest.approx(-1, abs=0.02)
    assert np.percentile(out, 99) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(Normalisation()(image * 2 + 7), out, atol=1e-4)


def test_windows_of_an_image_share_its_statistics():
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    np.testing.assert_array_equal(Normalisation().fit(image)(image[50:90, 10:20]), Normalisation()(image)[50:90, 10:20])


def test_even_image_is_finite():
    assert np.isfinite(Normalisation()(np.full((10, 10, 3), 7, np.uint8))).all()


@pytest.mark.parametrize("settings", [{"kind": "z"}, {"kind": "fixed"}, {"kind": "fixed", "mean": [1], "std": [0]}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(ConfigError, match="normalisation"):
        Normalisation(**settings)


def test_devices_and_precisions():
    assert pick_device("cpu").type == "cpu"
    assert resolve_precision(pick_device("cpu"), "bf16") == "bf16"
    assert resolve_precision(pick_device("cpu"), "auto") in ("bf16", "float32")
    with pytest.raises(ConfigError, match="precision=fp8"):
        resolve_precision(pick_device("cpu"), "fp8")
    with pytest.raises(ConfigError, match="device=gpu"):
        pick_device("gpu")
    with pytest.raises(ConfigError, match="device=xpu"):
        pick_device("xpu")


def test_dark_objects_make_a_negative_of_fluorescence_only():
    rng = np.random.default_rng(0)
    dark = np.full((64, 64, 3), 12, np.uint8)
    dark[20:40, 20:40] = 200  # a bright thing on dark ground
    tissue = rng.integers(60, 120, (64, 64, 3), dtype=np.uint8)
    tissue[:16] = 240  # dark for the most part, but coloured
    plain, turned = Normalisation("per_image"), Normalisation("per_image", dark_objects=True)
    assert np.allclose(turned(dark), -plain(dark)) and turned(dark)[30, 30].max() < turned(dark)[0, 0].min()
    assert np.array_equal(turned(tissue), plain(tissue))
    assert np.array_equal(turned(255 - dark), plain(255 - dark))  # brightfield: light ground already
    assert np.allclose(turned.fit(dark)(dark[:8]), -plain(dark)[:8])  # of the picture, not of its part
    with pytest.raises(ConfigError, match="per_image or mixed only"):
        Normalisation("fixed", [0.0], [1.0], dark_objects=True)


def test_colour_is_seen_in_pictures_that_use_little_of_the_scale():
    rng = np.random.default_rng(0)
    coloured = rng.normal(120, 30, (40, 40, 1)) + np.array([40, -20, 30])
    assert not is_grey(coloured) and not is_grey(coloured / 16)  # 12 bits in 16
    assert is_grey(np.broadcast_to(coloured[..., :1], coloured.shape) / 16) and is_grey(np.zeros((4, 4, 3)))


def test_mixed_is_fixed_for_colours_and_per_image_for_grey():
    rng = np.random.default_rng(0)
    coloured = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
    grey = np.broadcast_to(coloured[..., :1], coloured.shape)
    numbers = {"mean": [100.0, 110.0, 120.0], "std": [50.0, 60.0, 70.0]}
    mixed = Normalisation("mixed", **numbers)
    assert np.array_equal(mixed(coloured), Normalisation("fixed", **numbers)(coloured))
    assert np.array_equal(mixed(grey), Normalisation("per_image")(grey))
    with pytest.raises(ConfigError, match="kind=mixed needs mean and std"):
        Normalisation("mixed")


def test_nuclear_makes_nuclei_bright_whatever_shows_them():
    rng = np.random.default_rng(0)
    nucleus = np.zeros((64, 64), bool)
    nucleus[20:40, 24:44] = True
    noise = rng.normal(0, 2, (64, 64, 1))
    pictures = {
        "fluorescence": np.where(nucleus[..., None], 180, 15) + noise,
        "brightfield": np.where(nucleus[..., None], 60, 210) + noise,
        "haematoxylin": np.where(nucleus[..., None], [90, 70, 160], [225, 222, 232]) + noise,
        "with eosin": np.where(nucleus[..., None], [90, 60, 130], [230, 150, 190]) + noise,
    }
    normalisation = Normalisation("nuclear")
    for name, values in pictures.items():
        picture = np.broadcast_to(values, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        seen = normalisation(picture)
        assert seen.shape == (64, 64, 3) and seen.dtype == np.float32 and (seen[..., :1] == seen).all(), name
        assert seen[nucleus].min() > seen[~nucleus].max(), name
        assert np.median(seen[nucleus]) > 0.6 and np.median(seen[~nucleus]) < -0.6, name
        part = normalisation.fit(picture)(picture[10:30])  # a window has the statistics of its picture
        assert np.array_equal(part, seen[10:30]), name
    assert np.isfinite(normalisation(np.full((9, 9, 3), 40, np.uint8))).all()


def few(ground, nuclei, noise, seed=0):
    """512 x 512 with twelve nuclei of 12 pixels, half a hundredth of it, and where they are."""
    rng = np.random.default_rng(seed)
    inside = np.zeros((512, 512), bool)
    for top, left in rng.integers(0, 496, (12, 2)):
        inside[top : top + 12, left : left + 12] = True
    values = np.where(inside[..., None], nuclei, ground) + rng.integers(-noise, noise + 1, (512, 512, 1))
    return values.clip(0, 255).astype(np.uint8).repeat(3, axis=2), inside


@pytest.mark.parametrize("ground, nuclei", [(0, 120), (8, 90), (200, 60)], ids=["on black", "on a haze", "stained"])
@pytest.mark.parametrize("noise", [0, 1])
def test_nuclear_finds_nuclei_that_are_few(ground, nuclei, noise):
    picture, inside = few(ground, nuclei, noise)
    seen = Normalisation("nuclear")(picture)[..., 0]
    assert np.median(seen[inside]) == pytest.approx(1, abs=0.1)
    assert np.median(seen[~inside]) == pytest.approx(-1, abs=0.1)
    assert not Normalisation("nuclear")(picture[:8, :8] * 0 + 7).any()  # an even part alone


def blobs(ground, nuclei, noise):
    """512 x 512 of which nuclei cover a sixth, float32, and where they are."""
    inside = np.zeros((512, 512), bool)
    for top in range(10, 500, 50):
        for left in range(10, 500, 50):
            inside[top : top + 20, left : left + 20] = True
    return np.where(inside, nuclei, ground) + np.random.default_rng(0).normal(0, noise, inside.shape), inside


@pytest.mark.parametrize(
    "ground, nuclei, spot, value",
    [
        (12, 30, np.s_[480:490, 400:480], 255),  # a scale bar
        (2, 8, tuple(np.random.default_rng(1).integers(0, 512, (2, 30))), 255),  # hot pixels
        (200, 188, np.s_[100:124, 100:124], 60),  # dust
    ],
    ids=["scale bar", "hot pixels", "dust"],
)
def test_nuclear_is_not_led_astray_by_what_is_small_and_stands_out(ground, nuclei, spot, value):
    values, inside = blobs(ground, nuclei, 0.5)
    values[spot] = value
    seen = Normalisation("nuclear")(values[..., None].repeat(3, axis=2).astype(np.float32))[..., 0]
    assert np.median(seen[inside]) > 0.5 and np.median(seen[~inside]) < -0.5


def test_nuclear_is_finite_where_a_picture_is_all_but_even():
    values = np.full((64, 64, 3), 101.00001, np.float32)
    values[32, 30:34] = np.nextafter(values[0, 0, 0], np.float32(200))
    assert np.isfinite(Normalisation("nuclear")(values)).all()


def test_nuclear_knows_stained_tissue_on_black():
    rng = np.random.default_rng(0)
    core = np.full((128, 128, 3), [230, 150, 190]) + rng.integers(-5, 6, (128, 128, 3))
    core[20:40, 20:40] = [90, 60, 130]
    core[:, 60:] = 0
    seen = Normalisation("nuclear")(core.astype(np.uint8))[..., 0]
    assert seen[20:40, 20:40].mean() > seen[50:, :60].mean()  # what is stained counts, not what shines


@pytest.mark.parametrize("colour", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.9, 0, 0.8)])
def test_nuclear_takes_colours_on_black_for_fluorescence(colour):
    rng = np.random.default_rng(0)
    inside = np.zeros((64, 64), bool)
    inside[20:40, 24:44] = True
    grey = np.where(inside, 120, 6)[..., None] + rng.integers(-2, 3, (64, 64, 1))
    seen = Normalisation("nuclear")((grey * np.array(colour)).clip(0, 255).astype(np.uint8))[..., 0]
    assert seen[inside].min() > 0.8 and seen[~inside].max() < -0.8


def test_nuclear_makes_little_of_empty_glass():
    glass = np.array([243, 241, 244]) + np.random.default_rng(0).integers(-1, 2, (128, 128, 3))
    assert np.abs(Normalisation("nuclear")(glass.astype(np.uint8))).max() < 0.5


def test_haematoxylin_is_what_colour_deconvolution_says():
    from skimage.color import rgb2hed

    image = np.random.default_rng(0).integers(5, 250, (20, 20, 3), dtype=np.uint8)
    wanted = rgb2hed(image)[..., 0]
    found = nuclear_stain(image)
    above = wanted > 0  # that library cuts off what is negative
    assert np.allclose(found[above] / wanted[above], found[above][0] / wanted[above][0], rtol=1e-4)


def tissue(ground, nuclei, share=0.02, glass=0.0, seed=0):
    """256 x 256 of tissue with a share of nuclei, its lowest part glass, and where the nuclei are."""
    rng = np.random.default_rng(seed)
    inside = rng.random((256, 256)) < share
    picture = np.where(inside[..., None], nuclei, ground) + rng.normal(0, 2, (256, 256, 3))
    rows = int(256 * (1 - glass))
    picture[rows:] = 245 + rng.normal(0, 1, (256 - rows, 256, 3))
    inside[rows:] = False
    return picture.clip(0, 255).astype(np.uint8), inside


STROMA, NUCLEUS = [225, 150, 190], [95, 65, 135]


def test_nuclear_colour_has_haematoxylin_first_and_then_hue():
    picture, inside = tissue(STROMA, NUCLEUS)
    seen = Normalisation("nuclear_colour")(picture)
    assert seen.shape == picture.shape and seen.dtype == np.float32
    assert np.median(seen[inside][:, 0]) > 0.6 and np.median(seen[~inside][:, 0]) < -0.6
    density = -np.log(np.array([STROMA, NUCLEUS]) / 255)
    for values, expected in zip((seen[~inside], seen[inside]), density, strict=True):
        hue = [(expected[0] - expected[1]) / 0.5, (expected[2] - expected[1]) / 0.5]
        assert np.median(values[:, 1:], axis=0) == pytest.approx(hue, abs=0.05)


def test_hue_does_not_change_with_exposure():
    picture, _ = tissue(STROMA, NUCLEUS)
    normalisation = Normalisation("nuclear_colour")
    bright, dark = normalisation(picture), normalisation((picture * 0.7).astype(np.uint8))
    assert np.abs(bright - dark).mean() < 0.05


@pytest.mark.parametrize("glass", [0.3, 0.6, 0.9])
def test_glass_does_not_stretch_the_tissue_beside_it(glass):
    kind = Normalisation("nuclear_colour")
    picture, inside = tissue(STROMA, NUCLEUS, glass=glass)
    whole, _ = tissue(STROMA, NUCLEUS)
    for values in (kind(picture)[inside][:, 0], kind(whole)[tissue(STROMA, NUCLEUS)[1]][:, 0]):
        assert np.median(values) == pytest.approx(0.9, abs=0.2)


def test_grey_pictures_have_no_hue_and_are_seen_as_before():
    rng = np.random.default_rng(0)
    grey = (rng.random((64, 64, 1)) * 60 + 20).repeat(3, axis=2).astype(np.uint8)
    seen = Normalisation("nuclear_colour")(grey)
    assert np.array_equal(seen[..., 0], Normalisation("nuclear")(grey)[..., 0]) and not seen[..., 1:].any()


def test_a_stained_picture_is_refitted_to_its_colours_after_augmentation():
    picture, inside = tissue(STROMA, NUCLEUS)
    fitted = Normalisation("nuclear_colour").fit(picture)
    paler = (255 * (picture / 255) ** 0.6).astype(np.uint8)  # half the stain
    context = (255 * (fitted.context / 255) ** 0.6).astype(np.uint8)
    seen = fitted.refitted(context)(paler)[..., 0]
    assert np.median(seen[inside]) > 0.5 and np.median(fitted(paler)[..., 0][inside]) < 0.5
    assert np.median(seen[~inside]) == pytest.approx(np.median(fitted(picture)[..., 0][~inside]), abs=0.2)
