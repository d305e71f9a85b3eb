import io
import time

import pytest
from rich.console import Console

from spinelift.progress import Clock, Progress, progress, silent


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def log(total, *, every_s=30, done=0.0):
    """Progress that writes to text, as in a batch system's log."""
    text = io.StringIO()
    shown = Progress("people", total, done=done, console=Console(file=text))
    shown.every_s = every_s
    return text, shown


def test_without_a_terminal_a_line_comes_now_and_then_and_at_the_end(clock):
    text, shown = log(50, every_s=10)
    with shown:
        for _ in range(50):
            clock[0] += 0.9
            shown.advance()
    lines = text.getvalue().splitlines()
    assert lines[0] == "people: 24 %, 12/50, 1.11/s, 0:00:34 left"
    assert lines[-1] == "people: 100 %, 50/50, 1.11/s, took 0:00:45"
    assert len(lines) == 5


def test_work_done_before_does_not_count_into_the_rate(clock):
    text, shown = log(100, done=90, every_s=1)
    with shown:
        clock[0] += 10
        shown.advance(5)
    assert text.getvalue().splitlines()[0] == "people: 95 %, 95/100, 0.5/s, 0:00:10 left"


def test_a_total_need_not_be_known_and_nothing_done_is_not_told(clock):
    text, shown = log(None)
    with shown:
        clock[0] += 2
        shown.advance(3)
    assert text.getvalue() == "people: 3, 1.5/s\n"
    text, shown = log(0)
    with shown:
        pass
    assert text.getvalue() == ""


def test_a_share_is_reported_with_a_note_and_messages(clock):
    text, shown = log(1.0, done=0.5, every_s=1)
    with shown:
        clock[0] += 60
        shown.report(0.75, "step 30, loss 0.5")
        shown.message("validation at step 30: dice 0.9")
    assert text.getvalue().splitlines()[:2] == [
        "people: 75 %, step 30, loss 0.5, 0:01:00 left",
        "people: validation at step 30: dice 0.9",
    ]


def test_on_a_terminal_there_is_a_bar():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    with Progress("people", 4, console=console) as shown:
        shown.advance(3)
        shown.message("one was [odd]")
    written = text.getvalue()
    assert "━" in written
    assert "3/4" in written
    assert "people: one was [odd]" in written
    assert "75 %" not in written  # the log's form


def test_the_function_form_writes_to_stderr_alone(capsys):
    with progress("people", 2) as advance:
        advance(2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("people: 100 %, 2/2")
    silent(3)


def test_a_clock_times_stages_one_after_the_other(monkeypatch):
    now = iter([0.0, 1.5, 3.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock("read")
    clock.start("segment")
    assert clock.stage == "segment"
    assert clock.stop() == {"read": 1.5, "segment": 2.0}
