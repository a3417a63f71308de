"""The estimate that training tells after its first steps."""

import torch

from segdiff.training.estimate import STEPS, WARM_UP, Estimate, peak_memory

CPU = torch.device("cpu")


def told(estimate, seconds):
    return [text for one in seconds if (text := estimate.step(one, CPU))]


def test_the_first_steps_do_not_count():
    steps = WARM_UP + STEPS
    (text,) = told(Estimate(1000 + steps), [60.0] * WARM_UP + [0.5] * STEPS + [9.0] * 50)
    assert "about 0.50 s a step: 8:20 for the 1,000 steps left, without validation" in text and "GiB" in text


def test_slow_steps_are_told_after_half_a_minute():
    assert len(told(Estimate(100), [20.0] * 6)) == 1
    assert told(Estimate(100), [20.0] * 5) == []  # two of them are too few


def test_a_short_training_is_told_nothing():
    assert told(Estimate(10), [0.1] * 10) == []
    assert told(Estimate(WARM_UP + STEPS), [0.1] * (WARM_UP + STEPS)) == []  # nothing is left


def test_memory_is_that_of_a_process_with_torch():
    assert 50 * 2**20 < peak_memory(CPU) < 2**40
