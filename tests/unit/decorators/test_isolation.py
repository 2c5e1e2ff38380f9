"""The pool of threads behind `@timeout(isolate=True)`."""

from queue import Empty
from threading import Event, Thread

import pytest

from meshlib.decorators import isolation
from meshlib.decorators.isolation import Isolation, Job, pool


def test_threads_are_used_again():
    """A caller that waits for each result needs one thread; nothing is queued."""
    threads = Isolation("report", 1)
    for number in range(50):
        job = threads.submit(lambda number=number: number)
        assert job is not None
        assert job.wait(5)
        assert job.result() == number
    assert threads.busy == 0


def test_no_more_than_its_size():
    """Full is full, until one is through; a smaller size lets surplus threads go."""
    threads, go = Isolation("report", 2), Event()
    jobs = [threads.submit(lambda: go.wait(5)) for _ in range(2)]
    assert threads.busy == 2
    assert threads.submit(print) is None
    threads.size = 1
    go.set()
    assert all(job.wait(5) for job in jobs)
    assert threads.busy == 0
    assert threads._threads == 1


def test_one_pool_by_name():
    """Functions of one name share it, the size is the latest."""
    one = pool("report", 3)
    assert pool("report", 4) is one
    assert one.size == 4
    assert pool("other", 3) is not one
    lock = isolation._lock
    isolation._guard.after_in_child()
    assert isolation._lock is not lock


def test_idle_threads_end(monkeypatch):
    """A thread that nobody needs ends, unless a call is handed over in that moment."""
    threads = Isolation("report", 1)
    started, inboxes = [], []

    class Inbox:
        """A queue that is empty when it is asked for the second and the fourth time."""

        def __init__(self):
            self.jobs, self.asked = [], 0
            inboxes.append(self)

        def put(self, job):
            self.jobs.append(job)

        def get(self, timeout):
            self.asked += 1
            if self.asked == 2:
                threads._idle.remove(self)
                self.put(Job(lambda: "handed over"))
                raise Empty
            if not self.jobs:
                raise Empty
            return self.jobs.pop(0)

    class Inline(Thread):
        def start(self):
            started.append(self)

    monkeypatch.setattr(isolation, "SimpleQueue", Inbox)
    monkeypatch.setattr(isolation, "Thread", Inline)
    job = threads.submit(lambda: 1)
    started[0].run()
    assert job.result() == 1
    assert inboxes[0].asked == 4
    assert (threads._threads, threads._idle) == (0, [])


def test_no_thread_to_be_had(monkeypatch):
    """The system's refusal is passed on and leaves the place free."""

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", start)
    threads = Isolation("report", 1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="new thread"):
            threads.submit(print)
    assert threads.busy == 0


def test_fork_starts_over():
    """A child has none of the parent's threads."""
    threads, go = Isolation("report", 1), Event()
    job = threads.submit(lambda: go.wait(5))
    threads.after_in_child()
    assert threads.busy == 0
    mine = threads.submit(lambda: "child's")
    assert mine.wait(5)
    assert mine.result() == "child's"
    go.set()
    assert job.wait(5)
