"""What is due later, behind one timer: transactions to poll again, receipts to repeat.

Thousands of timers of their own would cost more than what they wait for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from timecoin.finality.parameters import SCHEDULE_GRAIN_MS
from timecoin.machine import Effect, StartTimer

Task = tuple[str, bytes]
"""(what to do, to whom)"""


class Schedule:
    """Tasks by due time; a task has one due time at most."""

    def __init__(self) -> None:
        self._due: dict[Task, int] = {}
        self._heap: list[tuple[int, int, Task]] = []
        self._order = 0
        self._armed: int | None = None

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, task: Task) -> bool:
        return task in self._due

    def put(self, task: Task, due_ms: int) -> None:
        """Make ``task`` due at Unix time ``due_ms``, whatever was said of it before."""
        due_ms += -due_ms % SCHEDULE_GRAIN_MS
        if self._due.get(task) == due_ms:
            return
        self._due[task] = due_ms
        self._order += 1
        heapq.heappush(self._heap, (due_ms, self._order, task))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [item for item in self._heap if self._due.get(item[2]) == item[0]]
            heapq.heapify(self._heap)

    def drop(self, task: Task) -> None:
        """Forget ``task``, if it is there."""
        self._due.pop(task, None)

    def hasten(self, due_ms: int, *kinds: str) -> None:
        """Make tasks due by ``due_ms``, in their order: the cause of waiting may be gone.

        ``kinds`` says what is to be done; without any it is everything.
        """
        for due, task in sorted((due, task) for task, due in self._due.items()):
            if due > due_ms and (not kinds or task[0] in kinds):
                self.put(task, due_ms)

    def take(self, now_ms: int) -> Iterator[Task]:
        """Remove and yield the tasks due by ``now_ms``, earliest first."""
        self._armed = None
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, _, task = heapq.heappop(self._heap)
            if self._due.get(task) == due_ms:
                del self._due[task]
                yield task

    def timer(self, now_ms: int) -> list[Effect]:
        """The timer ("due",) set to the earliest task, unless it is already."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap or (self._armed is not None and self._armed <= self._heap[0][0]):
            return []
        self._armed = self._heap[0][0]
        return [StartTimer(("due",), max(0, self._armed - now_ms))]
