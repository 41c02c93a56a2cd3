"""Breadth-first search of a model's states: the shortest way to a violation, or proof of none.

A model's messages are facts that never go away: what was signed can reach anybody at any later
time, or never. So a state holds only what each honest member has done; the network has no queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """One action of one member, and the state after it."""

    label: str
    state: S


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found: how many states there are, and the shortest way to a violation."""

    states: int
    violation: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.violation is None:
            return f"{self.states} states, no violation"
        return "\n".join((f"{self.violation} ({self.states} states):", *self.trace))


def explore(
    initial: S,
    steps: Callable[[S], Iterable[Step[S]]],
    violation: Callable[[S], str | None],
    max_states: int = 5_000_000,
) -> Outcome:
    """Visit every state that ``steps`` reaches from ``initial``, nearest first.

    Stops at the first state for which ``violation`` has a text. ``RuntimeError`` when there are
    more than ``max_states``: a search that was cut short proves nothing.
    """
    came_from: dict[S, tuple[S, str] | None] = {initial: None}
    queue = deque([initial])
    while queue:
        state = queue.popleft()
        broken = violation(state)
        if broken is not None:
            return Outcome(len(came_from), broken, _trace(state, came_from))
        for step in steps(state):
            if step.state not in came_from:
                came_from[step.state] = (state, step.label)
                queue.append(step.state)
        if len(came_from) > max_states:
            raise RuntimeError(f"more than {max_states} states")
    return Outcome(len(came_from))


def stuck_states(
    initial: S,
    steps: Callable[[S], Iterable[Step[S]]],
    is_asked: Callable[[S], bool],
    is_goal: Callable[[S], bool],
) -> Outcome:
    """Whether a goal can be reached from every state asked for; the first without a way violates.

    That is what remains of liveness without time: nothing that may happen makes it impossible.
    """
    came_from: dict[S, tuple[S, str] | None] = {initial: None}
    before: dict[S, list[S]] = {}
    order = [initial]
    for state in order:
        for step in steps(state):
            before.setdefault(step.state, []).append(state)
            if step.state not in came_from:
                came_from[step.state] = (state, step.label)
                order.append(step.state)
    reaching = dict.fromkeys(state for state in order if is_goal(state))
    queue = deque(reaching)
    while queue:
        for state in before.get(queue.popleft(), ()):
            if state not in reaching:
                reaching[state] = None
                queue.append(state)
    for state in order:
        if is_asked(state) and state not in reaching:
            return Outcome(len(order), "no way on to a decision", _trace(state, came_from))
    return Outcome(len(order))


def _trace(state: S, came_from: dict[S, tuple[S, str] | None]) -> tuple[str, ...]:
    labels: list[str] = []
    link = came_from[state]
    while link is not None:
        state, label = link
        labels.append(label)
        link = came_from[state]
    return tuple(reversed(labels))
