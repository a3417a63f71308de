"""The models that come with segdiff: whole, small enough, and of one piece with the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segdiff
from segdiff.artifacts.hub import any_from_pretrained
from segdiff.artifacts.members import EnsembleArtifact
from segdiff.artifacts.names import SHIPPED
from segdiff.cli.main import main
from segdiff.data.datasets import build_dataset
from segdiff.metrics import dice

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "nuclei"
SECTIONS = ("## Scores", "## How it was made", "## Where it fails")


@pytest.fixture(scope="module")
def nuclei():
    return segdiff.load("nuclei", device="cpu", precision="float32")


@pytest.mark.parametrize("model", SHIPPED, ids=lambda model: model.name)
def test_a_model_is_whole_and_its_card_complete(model):
    if not model.inside and not model.there:
        pytest.skip(f"{model.name} is in the repository only, and this is none")
    facts = model.facts()
    assert facts["name"] == model.name and facts["license"] and facts["data"] and facts["hardware"]
    assert facts["scores"] and all({"on", "protocol", "images", "values"} <= set(score) for score in facts["scores"])
    assert model.megabytes() < (15 if model.inside else 30)
    card = (model.folder / "README.md").read_text(encoding="utf-8")
    assert all(section in card for section in SECTIONS) and f"license: {facts['license']}" in card
    loaded = any_from_pretrained(model.name)
    for artifact in loaded.members.values() if isinstance(loaded, EnsembleArtifact) else [loaded]:
        assert artifact.target == {"kind": "instances"} and artifact.scale["object_diameter_px"]
        assert {"coloured_lightness", "coloured_contrast", "diameter_px"} <= set(artifact.looks)
        assert artifact.training["license"] == facts["license"] and artifact.training["hardware"]
        assert artifact.training["recipe"] and artifact.training["steps"]


def test_the_free_model_is_free_and_the_other_says_what_it_is():
    licences = {model.name: model.facts().get("license") for model in SHIPPED if model.there}
    assert licences.pop("nuclei") == "apache-2.0"
    assert set(licences.values()) <= {"cc-by-nc-sa-4.0"}


def test_nuclei_finds_and_counts_the_nuclei_of_the_examples(nuclei):
    """It was trained on these pictures: this shows that weights and code go together, not how good the model is."""
    for sample in build_dataset("folder", EXAMPLES, "val"):
        prediction = nuclei.predict(sample.image)
        assert dice(prediction.mask, sample.mask[0, 0]) > 0.8
        true = len(np.unique(sample.instances)) - 1
        assert prediction.instances().max() == pytest.approx(true, rel=0.3)
        assert prediction.remarks == ()


def test_nuclei_remarks_on_what_it_does_not_know(nuclei):
    rng = np.random.default_rng(0)
    meadow = np.stack([rng.normal(level, 20, (128, 128)) for level in (60, 170, 40)], -1).clip(0, 255).astype(np.uint8)
    assert any("greener" in remark for remark in nuclei.predict(meadow).remarks)
    assert any("even" in remark for remark in nuclei.predict(np.full((128, 128, 3), 243, np.uint8)).remarks)


def test_magnification_is_made_up_for(nuclei):
    """Four times as many pixels: said so, the mask is about the same."""
    sample = next(iter(build_dataset("folder", EXAMPLES, "val")))
    large = sample.image.repeat(4, 0).repeat(4, 1)
    diameter = 4 * nuclei.scale["object_diameter_px"]
    plain, told = nuclei.predict(sample.image).mask, nuclei.predict(large, diameter=diameter).mask
    assert dice(told, plain.repeat(4, 0).repeat(4, 1)) > 0.85


def test_predict_needs_no_model(tmp_path, capsys):
    picture = next((EXAMPLES / "val" / "images").iterdir())
    argv = ["predict", "--image", str(picture), "--output-dir", str(tmp_path), "--device", "cpu"]
    assert main(argv) == 0
    assert (tmp_path / f"{picture.stem}_mask.png").is_file()
