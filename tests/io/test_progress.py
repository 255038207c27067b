"""One display for all long work: a bar on a terminal and in a notebook, lines elsewhere."""

import re
import signal
import subprocess
import sys
import types

import pytest
from tiny_terminal import lines_on_screen, on_terminal

from textlstm.cli.console import messages, say, set_verbosity
from textlstm.io.progress import Display, Notebook, Screen, current_screen
from textlstm.training.observer import Observer, ProgressObserver

WORK = """
import itertools, sys, threading, types
import textlstm.io.progress as module
from textlstm.cli.console import messages, say
calls = itertools.count()
module.time = types.SimpleNamespace(monotonic=lambda: next(calls) / 100)
with messages(), module.Display("trials", total=2) as trials:
    for number in range(2):
        with module.Display("steps", total=30, title="epoch 1/3") as steps:
            for step in range(30):
                steps.update(step + 1, rate="8 texts/s", note="loss 0.5000")
        print("foreign", file=sys.stderr)
        assert threading.active_count() == 1  # a fork would lose another
        trials.update(number + 1, best="macro F1 0.9123, trial 1")
        say(f"trial {number}: " + "long " * 30 + "end")
print("result")
"""


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still; add to its item."""
    now = [100.0]
    monkeypatch.setattr("textlstm.io.progress.time.monotonic", lambda: now[0])
    return now


def test_lines_show_count_speed_time_left_and_the_best_figure(capsys, now):
    with messages(), Display("rows") as rows:
        for done in range(60_000, 66_000, 1000):
            rows.update(done, total=90_000, first=50_000)
            now[0] += 5
        rows.update(70_000, total=None, best="macro F1 0.9123, epoch 4")
    assert capsys.readouterr().err.splitlines() == [
        "62,000/90,000 rows, 1,200 rows/s, about 0:23 left",
        "64,000/90,000 rows, 700 rows/s, about 0:37 left",
        "70,000 rows, 667 rows/s, best macro F1 0.9123, epoch 4",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "100 trials/s"), (1, "4.0 trials/s"), (24, "10 trials/min"), (1e4, "1.4 trials/h")],
)
def test_slow_work_has_a_rate_by_the_minute_or_the_hour(now, seconds, shown):
    display = Display("trials", 5)
    now[0] += seconds
    display.update(4)
    assert display.details() == [shown]


def test_items_are_counted_as_they_are_taken():
    texts, batches = Display("texts"), Display("texts")
    assert list(texts.over(["one", "two"])) == ["one", "two"]
    assert list(batches.over([["one", "two"], ["three"]])) == [["one", "two"], ["three"]]
    assert (texts.done, batches.done) == (2, 3)


def test_a_display_is_drawn_at_most_five_times_a_second(now):
    class Count(Screen):
        drawn = 0

        def draw(self, displays):
            self.drawn += 1

    screen = Count()
    with Display("rows", screen=screen) as rows:
        for done in range(1000):
            now[0] += 0.002
            rows.update(done)
    assert screen.drawn in range(10, 14)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 120])
def test_a_terminal_gets_bars_below_the_lines(columns):
    code, written = on_terminal(WORK, columns=columns)
    assert code == 0
    *above, bar, details, result, after = lines_on_screen(written)
    long = "long " * 30 + "end"
    assert above == ["foreign", f"trial 0: {long}", "foreign", f"trial 1: {long}"]
    assert re.search(r"━ 2/2 trials  in [\d:]+$", bar)
    assert len(bar) == columns
    assert re.fullmatch(r"\S+ trials/(s|min), best macro F1 0.9123, trial 1", details)
    assert (result, after) == ("result", "")
    assert "epoch 1/3" in written
    assert "8 texts/s, loss 0.5000" in written


@pytest.mark.slow
def test_without_color_the_bar_has_none():
    colors = ("\x1b[36m", "\x1b[32m", "38;5;")
    assert any(color in on_terminal(WORK)[1] for color in colors)
    written = on_terminal(WORK, NO_COLOR="1")[1]
    assert "━ 2/2 trials" in written
    assert not any(color in written for color in colors)


@pytest.mark.slow
@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"JPY_PARENT_PID": "1"}])
def test_where_a_bar_cant_be_drawn_there_are_lines(environ):
    written = on_terminal(WORK, **environ)[1]
    assert "\x1b" not in written
    assert "━" not in written
    assert "trial 0: long" in written


@pytest.mark.slow
def test_a_pipe_gets_lines_and_loads_no_rich():
    code = WORK + "assert 'rich' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "result\n"
    assert "\x1b" not in done.stderr
    assert [line[:10] for line in done.stderr.splitlines()] == ["foreign", "trial 0: l"] * 1 + [
        "foreign",
        "trial 1: l",
    ]


BRIEF = """
import sys, textlstm.io.progress as module
from textlstm.cli.console import messages, say
now = [100.0]
module.time.monotonic = lambda: now[0]
with messages():
    for speed in 0.01, 1.0:
        with module.Display("texts", 8, title="reading", brief=True) as texts:
            for _ in texts.over(range(8)):
                now[0] += speed
        say(f"read {speed}")
"""


@pytest.mark.slow
def test_brief_work_is_shown_while_it_takes_long_and_leaves_nothing():
    written = on_terminal(BRIEF)[1]
    assert lines_on_screen(written) == ["read 0.01", "read 1.0", ""]
    before, _, long = written.partition("read 0.01")
    assert "reading" not in before
    assert "8/8 texts" in long


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_killed_leaves_the_cursor_visible(number):
    code = f"""
import os, signal
from textlstm.cli.console import messages
from textlstm.io.progress import Display
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began a job
with messages(), Display("rows", total=9) as rows:
    rows.update(4)
    os.kill(os.getpid(), {int(number)})
"""
    exit_code, written = on_terminal(code)
    assert exit_code in (-number, 128 + number, 1)
    assert "0/9 rows" in written
    assert "\x1b[?25l" not in written  # which hides it


LEFT_OPEN = """
import contextlib
from textlstm.cli.console import messages, say
from textlstm.io.progress import Display
with contextlib.suppress(ZeroDivisionError), messages():
    Display("rows", 9, title="left open").update(3)
    print("a result")
    1 / 0
say("after")
"""


@pytest.mark.slow
def test_an_error_ends_the_bars_and_results_go_to_stdout(tmp_path):
    with (tmp_path / "out").open("w") as out:
        written = on_terminal(LEFT_OPEN, stdout=out)[1]
    bar, details, *after = lines_on_screen(written)
    assert bar.startswith("left open ")
    assert details.endswith(("rows/s", "rows/min"))
    assert after == ["after", ""]
    assert (tmp_path / "out").read_text() == "a result\n"


def test_quiet_commands_show_no_progress(capsys, now):
    set_verbosity(quiet=True, verbose=False)
    try:
        with messages(), Display("rows", opening="begun") as rows:
            now[0] += 100
            rows.update(5)
        say("nor this")
    finally:
        set_verbosity(quiet=False, verbose=False)
    assert capsys.readouterr().err == ""


class _Handle:
    def __init__(self, data):
        self.shown = [data]

    def update(self, data, *, raw):
        assert raw
        self.shown.append(data)


@pytest.fixture
def cells(monkeypatch):
    """A notebook with one cell after the other: what was displayed, a list per bar."""
    handles = []

    def display(data, *, raw, display_id):
        assert raw
        assert display_id
        handles.append(_Handle(data))
        return handles[-1]

    shell = types.SimpleNamespace(kernel=object(), execution_count=1)
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setattr("textlstm.io.progress._NOTEBOOK", Notebook())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return types.SimpleNamespace(handles=handles, shell=shell)


def test_a_notebook_shows_a_bar_for_each_cell(cells, now, capsys):
    for cell, title in ((1, "a"), (1, "b & <c>"), (2, "d")):
        cells.shell.execution_count = cell
        with Display("rows", 10, title=title) as rows:
            now[0] += 5
            rows.update(5, best="macro F1 0.9123, epoch 4")
    first, second = ([data["text/html"] for data in handle.shown] for handle in cells.handles)
    assert 'value="5" max="10"' in first[-1]
    assert "b &amp; &lt;c&gt;" in first[-1]
    assert ">a " not in first[-1]
    assert "best macro F1 0.9123, epoch 4" in second[-1]
    plain = cells.handles[1].shown[-1]["text/plain"]
    assert plain == "d 5/10 rows 0:05 left 1.0 rows/s best macro F1 0.9123, epoch 4"
    assert capsys.readouterr() == ("", "")


def test_a_display_that_an_error_left_open_is_gone_in_the_next_cell(cells):
    Display("rows", 10, title="left open")
    cells.shell.execution_count = 2
    with Display("rows", 10, title="next"):
        pass
    assert "left open" not in cells.handles[1].shown[-1]["text/html"]


def test_brief_work_in_a_notebook_leaves_what_was_before_it(cells, now):
    for brief, title in ((True, "encoding"), (False, "training"), (True, "evaluating")):
        with Display("texts", 10, title=title, brief=brief) as display:
            now[0] += 5
            display.update(5)
    shown = [data["text/html"] for data in cells.handles[0].shown]
    assert "encoding" in shown[0]
    assert shown[1] == ""
    both, last = shown[-2:]
    assert "evaluating" in both
    assert "evaluating" not in last
    assert "training" in both
    assert "training" in last


def test_a_training_in_a_notebook_shows_its_steps(cells):
    observer = ProgressObserver()
    observer.on_start(4, 0, 2)
    observer.on_step(1, 1, 0.5, 8)
    observer.on_close()
    assert "epoch 1/2" in cells.handles[0].shown[-1]["text/html"]


def test_the_library_shows_nothing_elsewhere():
    assert type(current_screen()) is Screen
    assert type(ProgressObserver()) is not Observer
