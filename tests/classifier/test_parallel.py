"""Several threads share the work and torch's CPU threads."""

import threading
import time

import pytest
import torch

from textlstm.classifier.predictor import for_each
from textlstm.nn.device import cpu_threads


def seen(items, *, threads, most=8):
    """Give who did each item, and with how many CPU threads."""
    found = {}

    def work(item):
        found[item] = (threading.current_thread(), torch.get_num_threads())

    with cpu_threads(threads):
        for_each(work, items, most=most)
        assert torch.get_num_threads() == threads
    assert sorted(found) == sorted(items)
    return found


def at_the_same_time(count, *, threads):
    """Tell whether `count` items are under way together at some moment."""
    meet = threading.Barrier(count)
    with cpu_threads(threads):
        for_each(lambda item: meet.wait(20), range(4 * count))


def test_as_many_items_are_done_at_once_as_there_are_cpu_threads():
    at_the_same_time(3, threads=3)
    at_the_same_time(2, threads=2)


@pytest.mark.parametrize(("threads", "share"), [(2, 1), (4, 1), (16, 2), (20, 2)])
def test_the_cpu_threads_are_divided(threads, share):
    found = seen(range(100), threads=threads)
    assert {count for _, count in found.values()} == {share}
    assert threading.current_thread() not in {who for who, _ in found.values()}


@pytest.mark.parametrize(
    ("items", "threads", "most"),
    [(100, 1, 8), (100, 4, 1), (100, 4, 0), (7, 4, 8), (0, 4, 8)],
)
def test_one_thread_few_items_or_much_memory_stay_in_the_calling_thread(items, threads, most):
    found = seen(range(items), threads=threads, most=most)
    assert set(found.values()) <= {(threading.current_thread(), threads)}


def test_a_thread_that_starts_meanwhile_computes_with_the_number_of_the_process():
    found = []

    def look():
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()

    def work(item):
        end = time.monotonic() + 20  # the number is set back just after the workers have begun
        while item == 99 and found[-1:] != [4] and time.monotonic() < end:
            look()

    with cpu_threads(4):
        for_each(work, range(100))
    assert found[-1] == 4


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_is_raised_and_the_rest_is_left(threads):
    done = []

    def work(item):
        if item == 3:
            raise ValueError("item 3")
        done.append(item)
        if threads > 1:
            threading.Event().wait(0.002)

    with cpu_threads(threads), pytest.raises(ValueError, match="item 3"):
        for_each(work, range(1000))
    assert len(done) < 999
    assert torch.get_num_threads() > 0


def test_modes_of_the_caller_are_not_those_of_the_workers():
    found = []
    with cpu_threads(2), torch.inference_mode():
        for_each(lambda item: found.append(torch.is_inference_mode_enabled()), range(8))
    assert not any(found)


def test_threads_without_torch_leave_its_number_alone():
    found = set()
    with cpu_threads(3):
        for_each(lambda item: found.add(threading.current_thread().name), range(40), threads=2)
        assert torch.get_num_threads() == 3
    assert 1 <= len(found) <= 2
    assert threading.current_thread().name not in found


def test_threads_are_started_once_and_go_on_after_an_error():
    def fail(item):
        raise ValueError("always")

    def threads_of(count):
        before = set(threading.enumerate())
        at_the_same_time(count, threads=count)
        return set(threading.enumerate()) - before

    threads_of(2)
    with cpu_threads(2), pytest.raises(ValueError, match="always"):
        for_each(fail, range(100))
    assert not threads_of(2)
    assert len(threads_of(5)) == 5
