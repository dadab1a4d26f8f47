"""A bounded queue between threads that knows how long each frame waited in it."""

from __future__ import annotations

import queue as standard
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

from framescope.recorder.frame import Frame, NoFrame

if TYPE_CHECKING:
    from framescope.recorder.pipeline import Recorder
    from framescope.recorder.stage import Stage

Item = TypeVar("Item")
Policy = Literal["block", "pop", "reject", "fail"]
POLICIES: Final = ("block", "pop", "reject", "fail")


class Queue(Generic[Item]):
    """Frames and what belongs to them, from one thread to another.

    ``policy`` says what a full queue does: ``block`` holds the producer (counted as blocked time),
    ``pop`` drops the oldest frame, ``reject`` drops the one that comes, ``fail`` raises ``queue.Full``.
    The wait is recorded on the frame as a stage of kind ``queue`` with the queue's name.
    """

    def __init__(self, recorder: Recorder, stage: Stage, capacity: int, policy: Policy) -> None:
        self.name = stage.name
        self.capacity = capacity
        self.policy = policy
        self.blocked_ns = 0
        self.dropped: dict[str, int] = {}
        self._recorder = recorder
        self._index = stage.index
        self._items: deque[tuple[Frame | NoFrame, Item]] = deque()
        self._changed = threading.Condition(threading.Lock())

    def __len__(self) -> int:
        return len(self._items)

    def put(self, frame: Frame | NoFrame, item: Item, timeout: float | None = None) -> bool:
        """Hand a frame on. False when this frame was dropped for it (its record has ended then).

        Raises ``queue.Full`` under the policy ``fail``, and under ``block`` after ``timeout`` seconds.
        """
        oldest: Frame | NoFrame | None = None
        with self._changed:
            depth = len(self._items)
            full = depth >= self.capacity
            if full and self.policy == "fail":
                raise standard.Full  # the frame stays with its thread
            frame.release()  # not before: to wait for the lock is the thread's own business as well
            if isinstance(frame, Frame):
                frame._begin_to_wait(self._index, depth)
            if full:
                if self.policy == "reject":
                    self._count("queue_full")
                    frame.drop("queue_full")
                    return False
                if self.policy == "pop":
                    oldest, _ = self._items.popleft()
                    self._count("superseded")
                elif not self._wait_for_room(frame, timeout):
                    if isinstance(frame, Frame):
                        frame._have_waited(self._index)
                    frame.take()  # the frame stays with its thread
                    raise standard.Full
            self._items.append((frame, item))
            self._changed.notify_all()
        if oldest is not None:
            oldest.drop("superseded")
        return True

    def get(self, timeout: float | None = None) -> tuple[Frame | NoFrame, Item]:
        """The oldest frame with its item. Raises ``queue.Empty`` after ``timeout`` seconds."""
        with self._changed:
            awaited = not self._items
            if not self._changed.wait_for(lambda: bool(self._items), timeout):
                raise standard.Empty
            frame, item = self._items.popleft()
            self._changed.notify_all()
        frame.take()
        if isinstance(frame, Frame):
            frame._have_waited(self._index, awaited)
        return frame, item

    def forget(self) -> None:
        """Start afresh in a forked child."""
        self._changed = threading.Condition(threading.Lock())
        self.blocked_ns = 0
        self.dropped = {}

    def _wait_for_room(self, frame: Frame | NoFrame, timeout: float | None) -> bool:
        started = self._recorder.clock()
        room = self._changed.wait_for(lambda: len(self._items) < self.capacity, timeout)
        held_up = self._recorder.clock() - started
        self.blocked_ns += held_up
        if isinstance(frame, Frame):
            frame._was_held_up(self._index, held_up)
        return room

    def _count(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
