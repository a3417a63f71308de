import json

import pytest

from segdiff.diffusion.sampling import Sampling
from segdiff.diffusion.timesteps import respace, trailing
from segdiff.errors import ConfigError


def test_respacing_strings_are_the_published_ones(golden_file):
    facts = json.loads(golden_file("respacing.json").read_text())
    assert len(facts) == 30
    for key, kept in facts.items():
        steps, spec = key.split("|")
        if kept is None:
            with pytest.raises(ConfigError, match="respacing"):
                respace(spec, int(steps))
        else:
            assert respace(spec, int(steps)) == kept, key


@pytest.mark.parametrize("spec", ["", "ddim", "a", "10,", "-3", "0", "ddim0", "1.5"])
def test_other_strings_are_refused(spec):
    with pytest.raises(ConfigError, match="respacing"):
        respace(spec, 100)


def test_trailing_times():
    assert trailing(3, 100) == [32, 66, 99]
    assert trailing(1, 100) == [99]
    assert trailing(100, 100) == list(range(100))
    with pytest.raises(ConfigError, match="1 to 100"):
        trailing(101, 100)


@pytest.mark.parametrize(
    ("settings", "visited"),
    [
        ({}, list(range(99, -1, -1))),
        ({"steps": 2}, [99, 49]),
        ({"steps": 2, "spacing": "even"}, [99, 0]),
        ({"steps": 1, "spacing": "even"}, [99]),
        ({"times": "ddim5"}, [80, 60, 40, 20, 0]),
        ({"times": (3, 50, 7)}, [50, 7, 3]),
        ({"times": [3, 50], "steps": 9}, [50, 3]),
    ],
)
def test_visited_times(settings, visited):
    assert Sampling(**settings).visited(100) == visited


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": "euler"},
        {"chains": 0},
        {"views": 9},
        {"eta": 2},
        {"steps": 0},
        {"variance": "x"},
        {"spacing": "y"},
    ],
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(ConfigError, match=f"sampling.{next(iter(settings))}"):
        Sampling(**settings)


def test_times_outside_the_schedule():
    with pytest.raises(ConfigError, match=r"0\.\.99"):
        Sampling(times=(100, 3)).visited(100)
