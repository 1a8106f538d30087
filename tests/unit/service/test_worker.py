"""One thread, a bounded queue: order, supersession, stopping, and that nothing ends the thread."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from worldline.errors import InputError, RefusedError
from worldline.models.cache_folder import is_marked, mark
from worldline.service import worker as worker_
from worldline.service.answers import Answer
from worldline.service.questions import SaveQuestion
from worldline.service.worker import BusyError, Job, Worker, own_folder
from worldline.steps import step

SOON = 20.0  # seconds; a busy machine is no fault of the worker


def asked(text: str) -> SaveQuestion:
    return SaveQuestion(text=text)


def until(true, seconds: float = SOON) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def ended(*jobs: Job) -> None:
    until(lambda: all(job.has_ended for job in jobs))


class Slow:
    """Answers with the question's text once it is let go; steps all the while."""

    def __init__(self):
        self.go, self.order, self.now = threading.Event(), [], ""

    def __call__(self, question, say) -> Answer:
        self.order.append(question.text)
        self.now = question.text
        while not self.go.is_set():
            step()
            time.sleep(0.001)
        return Answer(question.text)


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def make():
    """Workers that end with the test."""
    made: list[Worker] = []

    def one(answers, **options) -> Worker:
        made.append(Worker(answers, **options))
        return made[-1]

    yield one
    for worker in made:
        worker.close()
        assert not worker.thread.is_alive()


def running(slow: Slow, job: Job) -> None:
    until(lambda: slow.now == job.question.text and job.state == "running")


def names(job: Job) -> list[str]:
    return [event for event, _ in job.events if event != "progress"]


def test_questions_are_answered_in_turn(make, slow):
    worker = make(slow)
    jobs = [worker.submit(f"client{n}", asked(f"text {n}")) for n in range(6)]
    running(slow, jobs[0])
    assert [job.state for job in jobs] == ["running", *["queued"] * 5]
    slow.go.set()
    ended(*jobs)
    assert slow.order == [f"text {n}" for n in range(6)]
    for n, job in enumerate(jobs):
        assert worker.get(job.id) is job
        assert job.answer is not None
        assert job.answer.wire == f"text {n}"
        assert names(job) == ["queued", "done"]
        assert job.events[-1][1]["seconds"] >= 0
    assert [job.events[0][1]["before"] for job in jobs] == list(range(6))  # the running one counts
    assert len({job.id for job in jobs}) == 6


def test_the_queue_is_bounded_and_a_refusal_stops_nothing(make, slow):
    worker = make(slow, most_waiting=2)
    first = worker.submit("runs", asked("first"))
    running(slow, first)
    waiting = [worker.submit(f"waits{n}", asked(f"{n}")) for n in range(2)]
    for client in ("other", "runs"):
        with pytest.raises(BusyError, match="2 questions wait already"):
            worker.submit(client, asked("more"))
    assert first.state == "running"
    assert not first.stop.is_set()
    assert [job.state for job in waiting] == ["queued"] * 2
    own = worker.submit("waits0", asked("its place is its own"))
    assert [job.state for job in waiting] == ["cancelled", "queued"]
    slow.go.set()
    ended(first, own, waiting[1])
    assert own.answer is not None


def test_a_question_supersedes_the_same_clients_only(make, slow):
    worker = make(slow)
    mine = worker.submit("mine", asked("mine"))
    running(slow, mine)
    theirs = worker.submit("theirs", asked("theirs"))
    second = worker.submit("mine", asked("second"))
    third = worker.submit("mine", asked("third"))
    ended(mine, second)
    for job in (mine, second):
        assert job.state == "cancelled"
        assert job.events[-1] == ("cancelled", {"why": "superseded by a newer question"})
        assert job.answer is None
    slow.go.set()
    ended(theirs, third)
    assert (theirs.state, third.state) == ("done", "done")
    assert slow.order == ["mine", "theirs", "third"]


def test_cancelling_while_it_waits_and_while_it_runs(make, slow):
    worker = make(slow)
    first = worker.submit("a", asked("first"))
    running(slow, first)
    waits, last = worker.submit("b", asked("waits")), worker.submit("c", asked("last"))
    worker.cancel(waits)
    assert waits.state == "cancelled"  # at once
    assert names(waits) == ["queued", "cancelled"]
    worker.cancel(first)
    ended(first)
    assert first.events[-1] == ("cancelled", {"why": "cancelled"})
    slow.go.set()
    ended(last)
    assert slow.order == ["first", "last"]
    before = list(last.events)
    worker.cancel(last)  # too late: nothing more is said
    assert (last.state, last.events) == ("done", before)
    assert last.answer is not None


def test_a_stop_that_comes_at_the_last_moment_leaves_no_answer_and_no_file(make, tmp_path):
    place, go = tmp_path / "trace", threading.Event()

    def answers(question, say) -> Answer:
        place.write_text("arrays")
        go.wait(SOON)
        return Answer("{}", file=place)

    worker = make(answers)
    job = worker.submit("a", asked("x"))
    until(place.exists)
    worker.cancel(job)
    go.set()
    ended(job)
    assert (job.state, job.answer) == ("cancelled", None)
    assert not place.exists()


class MuteError(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "said", "refused"),
    [
        (InputError("text: it is empty"), "text: it is empty", False),
        (RefusedError("layer 3 misses"), "layer 3 misses", True),
        (MemoryError(), "out of memory: give a shorter text", False),
        (RuntimeError("x: can't allocate memory: 9 bytes"), "out of memory: give", False),
        (ValueError("first line\nsecond"), "worldline's own: ValueError: first line", False),
        (MuteError(), "worldline's own: MuteError", False),
        (SystemExit(3), "worldline's own: SystemExit", False),
        (KeyboardInterrupt(), "worldline's own: KeyboardInterrupt", False),
        (GeneratorExit(), "worldline's own: GeneratorExit", False),
    ],
)
def test_whatever_an_answer_raises_the_next_question_is_answered(make, error, said, refused):
    def answers(question, say) -> Answer:
        if question.text == "bad":
            raise error
        return Answer("good")

    worker = make(answers)
    bad, good = worker.submit("a", asked("bad")), worker.submit("b", asked("good"))
    ended(bad, good)
    assert (bad.state, good.state) == ("failed", "done")
    event, what = bad.events[-1]
    assert event == "failed"
    assert said in what["message"]
    assert "\n" not in what["message"]
    assert what["refused"] is refused
    assert worker.thread.is_alive()


def test_old_answers_are_forgotten_and_their_files_with_them(make, monkeypatch, tmp_path):
    monkeypatch.setattr(worker_, "MOST_KEPT", 3)

    def answers(question, say) -> Answer:
        place = tmp_path / question.text
        place.write_text("arrays")
        return Answer(question.text, file=place)

    worker = make(answers)
    jobs = []
    for n in range(6):
        jobs.append(worker.submit("a", asked(f"{n}")))
        ended(jobs[-1])
    assert [worker.get(job.id) is job for job in jobs] == [False] * 3 + [True] * 3
    assert sorted(place.name for place in tmp_path.iterdir()) == ["3", "4", "5"]


def test_large_answers_are_forgotten_by_bytes_and_unanswered_ones_never(
    make, monkeypatch, slow, tmp_path
):
    monkeypatch.setattr(worker_, "MOST_KEPT_BYTES", 500)  # an answer's text counts twice
    worker = make(slow)
    slow.go.set()
    old = [worker.submit(f"c{n}", asked("x" * 100)) for n in range(2)]
    ended(*old)
    slow.go.clear()
    runs = worker.submit("runs", asked("y" * 200))
    running(slow, runs)
    slow.go.set()
    ended(runs)
    slow.go.clear()
    assert all(worker.get(job.id) for job in old)
    last = worker.submit("last", asked("z"))
    assert [worker.get(job.id) is None for job in (*old, runs, last)] == [True, True, False, False]
    running(slow, last)
    more = worker.submit("more", asked("w"))
    assert worker.get(last.id) is last
    slow.go.set()
    ended(last, more)


def test_files_are_forgotten_by_their_size_and_other_answers_stay(make, monkeypatch, tmp_path):
    monkeypatch.setattr(worker_, "MOST_FILE_BYTES", 250)

    def answers(question, say) -> Answer:
        place = tmp_path / question.text
        if question.text.startswith("file"):
            place.write_bytes(bytes(100))
            return Answer("{}", file=place)
        return Answer("{}")

    worker = make(answers)
    jobs = {}
    for name in ("words", "file0", "file1", "file2", "other"):
        jobs[name] = worker.submit("a", asked(name))
        ended(jobs[name])
    assert {name for name, job in jobs.items() if worker.get(job.id)} == jobs.keys() - {"file0"}
    assert sorted(place.name for place in tmp_path.iterdir()) == ["file1", "file2"]


def test_closing_stops_everything_and_takes_nothing_more(slow):
    worker = Worker(slow)
    first = worker.submit("a", asked("first"))
    running(slow, first)
    waits = worker.submit("b", asked("waits"))
    worker.close(SOON)
    assert not worker.thread.is_alive()
    assert (first.state, waits.state) == ("cancelled", "cancelled")
    assert waits.events[-1] == ("cancelled", {"why": "the server ends"})
    with pytest.raises(BusyError, match="the server ends"):
        worker.submit("c", asked("late"))
    worker.close(SOON)  # twice is once


def test_progress_is_said_no_more_often_than_it_can_be_read(make):
    def answers(question, say) -> Answer:
        say("counting")
        for _ in range(2000):
            step()
        return Answer("{}")

    worker = make(answers)
    job = worker.submit("a", asked("x"))
    ended(job)
    told = [what for event, what in job.events if event == "progress"]
    assert [one["line"] for one in told[:2]] == ["starting", "counting"]
    most = 3 + worker_.MOST_EVENTS_A_SECOND * (job.events[-1][1]["seconds"] + 1)
    assert len(told) <= most
    assert job.steps == 2001  # and the one after the answer


# --- the folder -----------------------------------------------------------------------------------


def test_a_folder_of_its_own_and_dead_processes_folders_go(tmp_path):
    root = tmp_path / "serve"
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeper) as lives, subprocess.Popen(sleeper) as dies:
        try:
            dies.send_signal(signal.SIGKILL)
            dies.wait()
            host = re.sub(r"[^\w.]", "_", socket.gethostname())
            kept, gone = (root / f"{host}-{one.pid}-abcd0123" for one in (lives, dies))
            far = root / f"{host}-{'9' * 30}-abcd0123"
            elsewhere = root / f"other{host}-{dies.pid}-abcd0123"
            unmarked = root / f"{host}-{dies.pid}-february"  # as a user may name a folder
            users = [root / "junk", root / str(dies.pid), root / f"{gone.name}.old", elsewhere]
            users.append(unmarked)
            for folder in (kept, gone, far, *users):
                folder.mkdir(parents=True)
                (folder / "trace1.safetensors").write_text("arrays")
                if folder != users[-1]:
                    mark(folder)
            (root / "note").write_text("no folder")
            mine = own_folder(root)
            assert mine.name.startswith(f"{host}-{os.getpid()}-")
            left = {place.name for place in root.iterdir()}
            assert left == {kept.name, mine.name, "note", *(one.name for one in users)}
            assert is_marked(mine)
            assert list(unmarked.iterdir())
            assert list(kept.iterdir())
        finally:
            lives.kill()


def test_asking_whether_a_process_lives_sends_it_no_signal(tmp_path, monkeypatch):
    """Windows takes signal 0 for Ctrl-C."""
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    monkeypatch.setattr("psutil.pid_exists", lambda process: process == 12)
    root, host = tmp_path / "serve", re.sub(r"[^\w.]", "_", socket.gethostname())
    lives, gone = (root / f"{host}-{process}-abcd0123" for process in (12, 13))
    for folder in (lives, gone):
        folder.mkdir(parents=True)
        mark(folder)
    own_folder(root)
    assert [lives.exists(), gone.exists()] == [True, False]


def test_a_link_among_the_folders_is_not_followed(tmp_path):
    root, outside = tmp_path / "serve", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("stays")
    root.mkdir()
    (root / "link").symlink_to(outside)
    own_folder(root)
    assert Path(outside / "precious").exists()
