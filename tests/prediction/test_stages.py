"""Stages overlap, hold only a few items, keep their order, and end together."""

import threading
import time

import pytest

from textlstm.prediction.stages import Behind, ahead


def no_threads_left():
    return not [t for t in threading.enumerate() if t.name.startswith("textlstm-")]


def test_items_come_in_their_order():
    with ahead(range(100), depth=3) as items:
        assert list(items) == list(range(100))
    assert no_threads_left()


def test_only_a_few_items_are_computed_ahead():
    computed = []

    def numbers():
        for number in range(100):
            computed.append(number)
            yield number

    with ahead(numbers(), depth=2) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert len(computed) <= 4  # taken, two waiting, one at the door


def test_an_item_is_computed_while_another_is_used():
    begun = threading.Event()

    def two():
        yield 1
        begun.set()
        yield 2

    with ahead(two()) as items:
        assert next(items) == 1
        assert begun.wait(5)  # without another call of next()


def test_an_error_is_raised_where_the_item_is_asked_for():
    def broken():
        yield 1
        raise ValueError("item 2")

    with ahead(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="item 2"):
            next(items)
    assert no_threads_left()


def test_leaving_the_block_early_ends_the_thread_and_closes_the_source():
    closed = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    with ahead(endless()) as items:
        next(items)
    assert closed == ["textlstm-ahead"]
    assert no_threads_left()


def test_work_is_done_in_order_by_the_end_of_the_block():
    done = []
    with Behind(done.append, depth=2) as behind:
        for number in range(50):
            behind.put(number)
    assert done == list(range(50))
    assert no_threads_left()


def test_handing_over_waits_while_too_much_is_left_to_do():
    gate = threading.Event()
    handed = []

    def feed(behind):
        for number in range(10):
            behind.put(number)
            handed.append(number)

    with Behind(lambda _: gate.wait(5), depth=2) as behind:
        feeder = threading.Thread(target=feed, args=(behind,))
        feeder.start()
        time.sleep(0.1)
        assert len(handed) <= 3  # one under way, two waiting
        gate.set()
        feeder.join()
    assert handed == list(range(10))


@pytest.mark.parametrize("last", [True, False])
def test_an_error_of_the_work_is_raised_to_who_hands_it_over(last):
    def work(number):
        if number == 3:
            raise ValueError("number 3")

    def hand_over():
        with Behind(work) as behind:
            for number in range(4 if last else 100):
                behind.put(number)

    with pytest.raises(ValueError, match="number 3"):
        hand_over()
    assert no_threads_left()


def test_an_error_of_the_block_drops_what_waits():
    done = []
    gate = threading.Event()

    def work(number):
        gate.wait(5)
        done.append(number)

    def hand_over():
        with Behind(work, depth=5) as behind:
            for number in range(5):
                behind.put(number)
            threading.Timer(0.2, gate.set).start()  # the first is under way until then
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hand_over()
    assert len(done) < 5
    assert no_threads_left()
