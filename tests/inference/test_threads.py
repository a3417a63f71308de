import threading

import pytest

from segdiff.inference import threads
from segdiff.inference.threads import in_threads, thread_count


@pytest.mark.parametrize("count", [1, 3])
def test_results_come_in_order_and_few_are_under_way(monkeypatch, count):
    monkeypatch.setattr(threads, "thread_count", lambda: count)
    taken, lock, most = [], threading.Lock(), []

    def numbers():
        for number in range(20):
            taken.append(number)
            yield number

    def call(number, other):
        with lock:
            most.append(len(taken) - len(given))
        return number * other

    given = []
    for result in in_threads(call, numbers(), range(100, 120)):
        given.append(result)
    assert given == [number * (100 + number) for number in range(20)]
    assert max(most) <= count + 1


def test_an_error_is_the_callers(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda x: 1 // x, [1, 0, 1]))


def test_thread_count_follows_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert thread_count() >= 1
