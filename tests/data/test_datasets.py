"""The table of data sets, the shipped configs and the shipped images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import DATASETS, build_dataset, dataset_from_config
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.protocols import get_protocol
from segdiff.errors import ConfigError
from segdiff.training.configs import compose

ROOT = Path(__file__).resolve().parents[2]
NUCLEI = ROOT / "examples" / "nuclei"


class Blank(Dataset):
    """A data set of a user's own."""

    kind = "blank"

    def __init__(self, root: Path, split: str, *, size: int = 4) -> None:
        super().__init__(split, ["one", "two"], None)
        self.size = size

    def read(self, index: int) -> Sample:
        image = np.full((self.size, self.size, 3), index, np.uint8)
        return Sample(self.names[index], image, np.zeros((1, 1, self.size, self.size), np.uint8))


def test_a_users_own_kind_joins_the_table(monkeypatch):
    monkeypatch.setitem(DATASETS, "blank", Blank)
    dataset = build_dataset("blank", ".", "train", size=2)
    assert [sample.image.shape for sample in dataset] == [(2, 2, 3)] * 2
    assert dataset[-1].name == "two" and dataset[np.int64(1)].name == "two"
    for index in (2, -3):
        with pytest.raises(IndexError):
            dataset[index]
    with pytest.raises(ConfigError, match="takes the options size, not siez"):
        build_dataset("blank", ".", "train", siez=2)


@pytest.mark.parametrize("kind", sorted(DATASETS))
def test_unknown_splits_are_refused(kind):
    with pytest.raises(ConfigError, match="no split 'training'; there are train, val, test, all"):
        build_dataset(kind, ".", "training")


def test_unknown_kinds_and_options_list_the_known_ones(tmp_path):
    with pytest.raises(
        ConfigError, match="no data set of kind 'monusge'; there are cityscapes, folder, lidc, monuseg, vaihingen"
    ):
        build_dataset("monusge", tmp_path, "train")
    with pytest.raises(ConfigError, match="takes the options fold, cache_dir, lenient, not flod"):
        build_dataset("monuseg", tmp_path, "train", flod=1)


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "dataset").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_dataset_config_names_options_that_exist(path, tmp_path):
    config = yaml.safe_load(path.read_text())
    assert config["kind"] == path.stem and config["root"] == "???"
    get_protocol(config["protocol"], config["kind"])
    assert config["normalisation"]["kind"] in ("fixed", "per_image")
    with pytest.raises(FileNotFoundError):  # every option was taken, and only the folder is not there
        dataset_from_config({**config, "root": str(tmp_path / "gone")}, "train")


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "augmentation").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_augmentation_config_builds(path):
    augment = build_augmentation(compose([f"augmentation={path.stem}", "dataset.root=unused"])["augmentation"])
    image, mask = augment(np.zeros((300, 260, 3), np.uint8), np.zeros((1, 300, 260), np.uint8), 0)
    whole = path.stem in ("published_vaihingen", "published_cityscapes")
    sides = {"published_small": 128, "microscopy": 192, "stained": 192, "tissue": 160, "nodules": 128}
    side = sides.get(path.stem, 256)
    size = (300, 260) if whole else (side, side)
    assert image.shape == (*size, 3) and mask.shape == (1, *size)


@pytest.mark.parametrize("group", ["dataset", "augmentation"])
def test_every_key_of_a_config_is_commented(group):
    for path in sorted((ROOT / "conf" / group).glob("*.yaml")):
        lines = path.read_text().splitlines()
        keys = [line for line in lines if line and not line.startswith((" ", "#")) and not line.startswith("kind:")]
        assert lines[0].startswith("# ") and keys
        if "defaults:" in lines:  # what it builds on says what its keys are
            continue
        assert not [f"{path.name}: {line}" for line in keys if "  # " not in line and not line.endswith(":")]


def test_the_shipped_images_are_small_and_complete():
    assert len(build_dataset("folder", NUCLEI, "train")) == 9
    val = build_dataset("folder", NUCLEI, "val")
    assert len(val) == 2
    for sample in val:
        assert sample.image.shape == (256, 320, 3) and sample.instances.max() > 50
        assert 0.2 < sample.mask.mean() < 0.5
    assert "CC0" in (NUCLEI / "README.md").read_text()
    assert sum(path.stat().st_size for path in NUCLEI.rglob("*") if path.is_file()) < 1_500_000
