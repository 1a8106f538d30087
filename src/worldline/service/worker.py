"""One thread that works, a bounded queue before it, and what became of every question."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from worldline.errors import InputError, RefusedError, first_line
from worldline.models.cache_folder import is_marked, is_running, mark
from worldline.service.answers import Answer
from worldline.service.questions import TextQuestion
from worldline.steps import StoppedError, stepping

MOST_WAITING = 32
MOST_KEPT, MOST_KEPT_BYTES = 64, 256 << 20
MOST_FILE_BYTES = 4 << 30  # of traces on the disk
MOST_EVENTS_A_SECOND = 8
OUT_OF_MEMORY = ("OutOfMemoryError", "can't allocate memory")  # as torch says it
ENDED = ("done", "failed", "cancelled")
State = Literal["queued", "running", "done", "failed", "cancelled"]
Answers = Callable[[TextQuestion, Callable[[str], None]], Answer]


class BusyError(RuntimeError):
    """Too many questions wait already; ask again in a moment."""


@dataclass(eq=False)
class Job:
    """One question on its way: what happened so far, and the answer once there is one."""

    id: str
    client: str
    question: TextQuestion
    state: State = "queued"
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answer: Answer | None = None
    start_time: float = 0.0
    steps: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    why: str = ""
    _line: str = ""
    _progress_time: float = 0.0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def tell(self, event: str, **details: Any) -> None:
        """Note something that happened, for whoever listens."""
        self.events.append((event, details))

    def say(self, line: str) -> None:
        """What the work is at."""
        self._line = line
        self._progress()

    def step(self) -> None:
        """A step was taken: stop here if that was asked."""
        self.steps += 1
        if self.stop.is_set():
            raise StoppedError
        if time.monotonic() - self._progress_time > 1 / MOST_EVENTS_A_SECOND:
            self._progress()

    def _progress(self) -> None:
        self._progress_time = time.monotonic()
        seconds = round(self._progress_time - self.start_time, 2)
        self.tell("progress", line=self._line, steps=self.steps, seconds=seconds)


class Worker:
    """Takes questions in turn. A client's new question supersedes its earlier ones.

    Stopping takes effect at the next step of the work: between layers, or blocks of rows.
    """

    def __init__(self, answers: Answers, most_waiting: int = MOST_WAITING):
        self.answers, self.most_waiting = answers, most_waiting
        self.jobs: OrderedDict[str, Job] = OrderedDict()
        self.waiting: deque[Job] = deque()
        self.lock = threading.Condition()
        self.closing = False
        self.thread = threading.Thread(target=self._work, name="worldline-worker", daemon=True)
        self.thread.start()

    def submit(self, client: str, question: TextQuestion) -> Job:
        """Put a question in the queue; what this client asked before and has no answer is stopped.

        Raises: BusyError where too many wait, and nothing is stopped then; where the server ends.
        """
        with self.lock:
            if self.closing:
                raise BusyError("the server ends")
            mine = [job for job in self.jobs.values() if job.client == client and not job.has_ended]
            n_others = sum(job.client != client for job in self.waiting)
            if n_others >= self.most_waiting:
                raise BusyError(f"{n_others} questions wait already: ask again in a moment")
            for job in mine:
                self._stop(job, "superseded by a newer question")
            job = Job(secrets.token_urlsafe(12), client, question)
            job.tell(
                "queued",
                before=sum(not earlier_job.has_ended for earlier_job in self.jobs.values()),
            )
            self.jobs[job.id] = job
            self.waiting.append(job)
            self._forget()
            self.lock.notify_all()
            return job

    def get(self, name: str) -> Job | None:
        """A job by its id, unless it is forgotten."""
        return self.jobs.get(name)

    def cancel(self, job: Job) -> None:
        """Stop a job, at once where it waits, at the next step where it runs."""
        with self.lock:
            self._stop(job, "cancelled")

    def close(self, seconds: float = 5.0) -> None:
        """Stop everything and end the thread; it has `seconds` to come to its next step."""
        with self.lock:
            self.closing = True
            for job in self.jobs.values():
                self._stop(job, "the server ends")
            self.lock.notify_all()
        self.thread.join(seconds)

    def _stop(self, job: Job, why: str) -> None:
        job.why = job.why or why
        job.stop.set()
        if job.state == "queued":
            self.waiting.remove(job)
            job.state = "cancelled"
            job.tell("cancelled", why=job.why)

    def _forget(self) -> None:
        """Drop the oldest answers where there are too many, or too large ones."""
        answers = [job.answer for job in self.jobs.values() if job.answer]
        held_bytes = sum(answer.nbytes() for answer in answers)
        file_bytes = sum(answer.file_bytes for answer in answers)
        for job in list(self.jobs.values()):
            many = len(self.jobs) > MOST_KEPT or held_bytes > MOST_KEPT_BYTES
            if not many and file_bytes <= MOST_FILE_BYTES:
                return
            if not job.has_ended or not (many or (job.answer and job.answer.file)):
                continue
            if job.answer is not None:
                held_bytes -= job.answer.nbytes()
                file_bytes -= job.answer.file_bytes
                job.answer.drop()
            del self.jobs[job.id]

    def _work(self) -> None:
        while True:
            with self.lock:
                while not self.waiting and not self.closing:
                    self.lock.wait()
                if self.closing:
                    return
                job = self.waiting.popleft()
                job.state, job.start_time = "running", time.monotonic()
            self._run(job)

    def _run(self, job: Job) -> None:
        answer = None
        try:
            with stepping(job.step):
                job.say("starting")
                answer = self.answers(job.question, job.say)
            job.step()
        except BaseException as error:  # whatever it was, the next question is answered
            if answer is not None:
                answer.drop()
            self._end(job, *_ending(job, error))
        else:
            job.answer = answer
            self._end(job, "done", {"seconds": round(time.monotonic() - job.start_time, 3)})

    def _end(self, job: Job, state: State, details: dict[str, Any]) -> None:
        with self.lock:
            job.tell(state, **details)
            job.state = state


def _ending(job: Job, error: BaseException) -> tuple[State, dict[str, Any]]:
    """What a question that was not answered became, and what is said of it."""
    if isinstance(error, StoppedError):
        return "cancelled", {"why": job.why}
    if isinstance(error, (InputError, RefusedError)):
        return "failed", {"message": str(error), "refused": isinstance(error, RefusedError)}
    try:
        message = f"{type(error).__name__}: {first_line(error)}"
    except Exception:  # what has no words of its own
        message = type(error).__name__
    if isinstance(error, MemoryError) or any(word in message for word in OUT_OF_MEMORY):
        return "failed", {"message": "out of memory: give a shorter text", "refused": False}
    return "failed", {"message": f"an error of worldline's own: {message}", "refused": False}


def own_folder(root: Path) -> Path:
    """A new folder for this process below `root`; what dead ones left there is removed.

    Only folders that worldline marked, with the name of this machine and of a process that is gone:
    several machines may share a cache, and what has another name, or no mark, is not ours.
    """
    root.mkdir(parents=True, exist_ok=True)
    host = re.sub(r"[^\w.]", "_", socket.gethostname())
    ours = re.compile(rf"{re.escape(host)}-(\d+)-[a-z0-9_]{{8}}")
    for old_folder in root.iterdir():
        name = ours.fullmatch(old_folder.name)
        if name is not None and not is_running(int(name[1])) and is_marked(old_folder):
            shutil.rmtree(old_folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{host}-{os.getpid()}-", dir=root))
    mark(folder)
    return folder
