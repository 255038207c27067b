"""Learning rates go up and down as told; patience runs out when it should."""

import pytest

from textlstm.config import SCHEDULES
from textlstm.training.schedule import EarlyStopping, Schedule


def rates(kind, steps, peak=2.0):
    schedule = Schedule(kind, peak, steps)
    return [schedule.rate(step) for step in range(steps)]


def test_one_cycle_climbs_in_a_line_and_falls_to_nearly_nothing():
    found = rates("one-cycle", 999)
    top = found.index(max(found))
    assert top == 299  # three tenths of the way
    assert found[top] == pytest.approx(2.0)
    assert found[:4] == pytest.approx([2 / 300, 4 / 300, 6 / 300, 8 / 300])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[649] == pytest.approx(1.0, rel=0.01)  # halfway down
    assert 0 < found[-1] < 1e-4


def test_cosine_falls_from_the_start():
    found = rates("cosine", 99)
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(2.0, rel=1e-3)
    assert found[49] == pytest.approx(1.0)
    assert 0 < found[-1] < 2e-3


def test_constant_stays():
    schedule = Schedule("constant", 2.0, 10)
    schedule.observe(improved=False)
    assert {schedule.rate(step) for step in range(10)} == {2.0}


def test_plateau_halves_after_an_epoch_that_is_not_better():
    schedule = Schedule("plateau", 2.0, 10)
    schedule.observe(improved=True)
    assert schedule.rate(5) == 2.0
    schedule.observe(improved=False)
    schedule.observe(improved=False)
    assert schedule.rate(0) == schedule.rate(9) == 0.5


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_no_step_is_wasted_on_a_rate_of_zero(kind, steps):
    assert all(0 < rate <= 2.0 for rate in rates(kind, steps))


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_goes_on_where_it_was(kind):
    one, other = Schedule(kind, 2.0, 10), Schedule(kind, 2.0, 10)
    one.observe(improved=False)
    other.load_state_dict(one.state_dict())
    assert [one.rate(step) for step in range(10)] == [other.rate(step) for step in range(10)]


def verdicts(stopping, values):
    result = []
    for epoch, value in enumerate(values, 1):
        better = stopping.update(epoch, {stopping.monitor: value, "other": -value})
        result.append((better, stopping.should_stop))
    return result


@pytest.mark.parametrize(("monitor", "sign"), [("macro_f1", 1), ("accuracy", 1), ("loss", -1)])
def test_patience_counts_epochs_since_the_best(monitor, sign):
    stopping = EarlyStopping(monitor, 2)
    values = [sign * value for value in (1, 3, 2, 4, 4, 3.9)]
    assert verdicts(stopping, values) == [
        (True, False),
        (True, False),
        (False, False),
        (True, False),
        (False, False),  # as good is not better
        (False, True),
    ]
    assert (stopping.best, stopping.best_epoch) == (sign * 4, 4)


def test_patience_goes_on_where_it_was():
    one, other = EarlyStopping("accuracy", 2), EarlyStopping("accuracy", 2)
    verdicts(one, [0.5, 0.4])
    other.load_state_dict(one.state_dict())
    assert (other.best, other.best_epoch, other.should_stop) == (0.5, 1, False)
    assert not other.update(3, {"accuracy": 0.45})
    assert other.should_stop
