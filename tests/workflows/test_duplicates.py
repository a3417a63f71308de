"""What counts as the same picture: thresholds against real pictures."""

import io

import numpy as np
import pytest
from fakes import picture
from PIL import Image

from segdiff.data.images import images_in, read_image, to_rgb
from segdiff.workflows.check.duplicates import duplicates, signature


def compressed(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=30)
    return np.array(Image.open(file))


COPIES = {
    "compressed": compressed,
    "brightened": lambda image: np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8),
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 10, image.shape), 0, 255).astype(
        np.uint8
    ),
    "mirrored": lambda image: image[:, ::-1],
    "turned": lambda image: np.rot90(image),
    "smaller": lambda image: np.array(Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2))),
}
FOLDERS = {
    "dsb2018_he/images": 0,
    "monuseg/MoNuSeg 2018 Training Data/Tissue Images": 0,
    "lidc_nodules/images": 0,
    "dsb2018_256/train/images": 1,  # two slices of one embryo, side by side in depth
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_different_pictures_of_a_kind_are_not_taken_for_copies(folder, shared_data):
    files = images_in(shared_data / "data" / folder)[: 150 if "dsb2018_256" not in folder else None]
    found = duplicates([signature(to_rgb(read_image(file))) for file in files])
    assert len(files) >= 30 and len(found) == FOLDERS[folder] and not any(exact for _, _, exact in found)


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("folder", ["dsb2018_he/images", "dsb2018_256/train/images"])
def test_copies_are_found(folder, copy, shared_data):
    images = [to_rgb(read_image(file)).astype(np.uint8) for file in images_in(shared_data / "data" / folder)[:20]]
    found = duplicates([signature(image) for image in [*images, *map(COPIES[copy], images)]])
    assert [(i, j) for i, j, _ in found] == [(i, i + 20) for i in range(20)]


def test_equal_pictures_are_told_from_alike_ones():
    image = picture()
    even = np.full((20, 20, 3), 7, np.uint8)
    other = image.copy()
    other[0, 0] = 255 - other[0, 0]
    assert duplicates([signature(one) for one in (image, even, image, other, even)]) == [
        (0, 2, True),
        (0, 3, False),
        (1, 4, True),
        (2, 3, False),
    ]
    assert duplicates([signature(even), signature(even + 1)]) == []  # even pictures have nothing to be alike in
    assert duplicates([]) == duplicates([signature(image)]) == []


def test_blocks_change_nothing(monkeypatch):
    signatures = [signature(picture(seed=seed % 5)) for seed in range(11)]
    whole = duplicates(signatures)
    monkeypatch.setattr("segdiff.workflows.check.duplicates.BLOCK", 3)
    assert duplicates(signatures) == whole and len(whole) == 3 + 4 * 1
