"""Temperature and threshold are found where they are known, and the reliability diagram is drawn."""

import numpy as np
import pytest
from PIL import Image

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.prediction import Prediction
from segdiff.inference.temperature import temper
from segdiff.metrics import dice, ece
from segdiff.workflows.calibrate import Calibration
from segdiff.workflows.reliability import ReliabilityDiagram


def drawn(seed=0, shape=(128, 128)):
    """Probabilities, and a truth that is drawn with them."""
    generator = np.random.default_rng(seed)
    p = generator.beta(0.5, 0.7, shape)
    return p.astype(np.float32), (generator.random(shape) < p).astype(np.uint8)[None, None]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_hidden_is_found(temperature):
    found = Calibration()
    for seed in range(3):
        p, truth = drawn(seed)
        found.add(temper(p, 1 / temperature), truth)
    assert found.temperature() == pytest.approx(temperature, rel=0.05)
    p, truth = drawn(9)
    said = temper(p, 1 / temperature)
    assert ece(temper(said, found.temperature()), truth[0, 0]) < 0.02


def test_the_threshold_is_that_of_the_best_mean_dice():
    found, images = Calibration(), [drawn(seed) for seed in range(5)]
    for p, truth in images:
        found.add(p, truth)
    every = {t: np.mean([dice(temper(p, 1.3) > t, truth[0, 0]) for p, truth in images]) for t in np.arange(5, 96) / 100}
    chosen = found.threshold(1.3)
    assert every[chosen] >= max(every.values()) - 1e-4  # log-odds are counted in bins of 0.01
    assert chosen < 0.5  # where the truth is drawn, Dice wants more than a half would give


def test_nothing_to_fit_changes_nothing():
    assert Calibration().temperature() == 1 and Calibration().threshold(1) == 0.5
    sure = Calibration()
    truth = drawn()[1]
    for _ in range(5):
        sure.add(truth[0, 0].astype(np.float32), truth)  # right and sure: any threshold is as good
    assert sure.threshold(1.0) == 0.5
    few = Calibration()
    for seed in range(4):
        few.add(*drawn(seed))
    assert few.threshold(1.0) == 0.5  # too few to have a say


def test_the_diagram_is_a_picture(tmp_path):
    p, truth = drawn()
    diagram = ReliabilityDiagram(tmp_path / "new" / "ece.png")
    for _ in range(2):
        diagram.add(truth, Prediction(temper(p, 2.0), None, 0.5, Sampling(), 0, "m@1", raw_probability=p))
    diagram.draw()
    with pytest.raises(ConfigError, match="ends with"):
        ReliabilityDiagram(tmp_path / "ece.docx")
    with Image.open(tmp_path / "new" / "ece.png") as picture:
        assert picture.size[0] > 300
    assert np.abs(diagram.raw[:, 1] - diagram.raw[:, 2]).sum() / diagram.raw[:, 0].sum() < 0.02  # as it was drawn
