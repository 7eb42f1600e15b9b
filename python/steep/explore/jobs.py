"""Heavy work: one job at a time on a thread of its own, the others wait; a job whose reader has gone is cancelled.

A ``Job`` is a function that puts messages; whoever submitted it reads them. Messages that may be dropped, such as the
images of a climb, give way to newer ones if the reader is slow, so that nothing grows. Start reading at ``Worker``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from steep.explore.frames import packed

WAITING = 8  # jobs in the queue; more are refused


class Cancelled(Exception):
    """The job is not wanted any more."""


class Busy(RuntimeError):
    """Too many jobs are waiting."""


class Job:
    """A piece of work and the messages that it has put.

    Args:
        work: a function of the job, which calls ``put``, and ``check`` often.

    Attributes:
        before: number of jobs that have to end first.
    """

    def __init__(self, work: Callable[[Job], None]) -> None:
        self._work, self._messages = work, deque[tuple[bool, bytes]]()
        self._changed, self._cancelled, self._ended = threading.Condition(), False, False
        self.before = 0

    def put(self, header: dict[str, Any], arrays: Iterable[Any] = (), droppable: bool = False) -> None:
        """Add a message; one that is droppable replaces the newest one that is too.

        Args:
            header: what JSON can hold.
            arrays: arrays whose bytes follow.
            droppable: whether a newer message makes it needless.
        """
        self.check()
        message = packed(header, arrays)
        with self._changed:
            if droppable and self._messages and self._messages[-1][0]:
                self._messages.pop()
            self._messages.append((droppable, message))
            self._changed.notify_all()

    def check(self) -> None:
        """Raises ``Cancelled`` if the job has been cancelled; work calls it between steps."""
        if self._cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Ask the job to end; it does at its next ``check``."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def read(self, timeout: float) -> bytes | None:
        """The next message; b"" if none came in time, None at the end.

        Args:
            timeout: seconds to wait.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._ended or self._cancelled, timeout)
            if self._messages:
                return self._messages.popleft()[1]
            return None if self._ended or self._cancelled else b""

    def run(self) -> None:
        """Do the work; an error becomes the last message."""
        try:
            self.check()
            self._work(self)
        except Cancelled:
            pass
        except Exception as error:  # of the user's model too, which may raise anything
            if not self._cancelled:
                self.put({"kind": "error", "text": described(error)})
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


class Worker:
    """One thread that runs jobs in the order in which they came."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed, self._closed = threading.Condition(), False
        self._running: Job | None = None
        self._thread = threading.Thread(target=self._loop, name="steep explore: work", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Job], None]) -> Job:
        """Queue a job.

        Args:
            work: a function of the job.

        Returns:
            The job.

        Raises:
            Busy: if too many are waiting, or the worker is closed.
        """
        job = Job(work)
        with self._changed:
            self._jobs = deque(each for each in self._jobs if not each.cancelled)
            if self._closed or len(self._jobs) >= WAITING:
                raise Busy(f"{len(self._jobs)} jobs are waiting already; close a tab, or try again later")
            job.before = len(self._jobs) + (self._running is not None)
            self._jobs.append(job)
            self._changed.notify_all()
        return job

    @property
    def load(self) -> int:
        """Number of jobs that run or wait."""
        with self._changed:
            return sum(not job.cancelled for job in self._jobs) + (self._running is not None)

    def close(self, timeout: float = 5.0) -> bool:
        """Cancel everything and end the thread.

        Args:
            timeout: seconds to wait for the step that is being made.

        Returns:
            Whether it has ended.
        """
        with self._changed:
            self._closed = True
            for job in (*self._jobs, *([self._running] if self._running else [])):
                job.cancel()
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            with self._changed:
                self._running = None

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                return None
            self._running = self._jobs.popleft()
            for place, job in enumerate(self._jobs, 1):
                job.before = place
            return self._running


def described(error: BaseException) -> str:
    """An error as a sentence.

    Args:
        error: the exception.

    Returns:
        Its message, with its type where that says more.
    """
    plain = isinstance(error, ValueError | OSError | Busy) and str(error)
    return str(error) if plain else f"{type(error).__name__}: {error}".rstrip(": ")
