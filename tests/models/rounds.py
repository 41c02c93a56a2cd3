"""Model: locks across the rounds of one height, with subjective rules (PROTOCOL 6, Voting).

Three honest members and a Byzantine one vote on two blocks, a and b. In each round any proposal
may reach anybody, fresh or repeated. Who refuses which block for subjective reasons is part of the
model. The Byzantine member signs everything until it falls silent for good; from then on the three
honest ones are just a quorum, and a decision must still be possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explore import Step

BLOCKS = ("a", "b")
NIL = "-"
HONEST = 3
QUORUM = 3

RULES = {
    "lock": "who has precommitted a block prepares no other",
    "valid round": "a lock opens only for a prepare quorum of its round or a later one",
    "one prepare": "never two prepares of one member in a round",
    "objective repeat": "what had a prepare quorum is judged by the objective rules alone",
    "lock in hand": "a precommit only upon a prepare quorum of its own round",
}
"""What can be left out, by name."""


class Member(NamedTuple):
    """What an honest member has signed: for each round the block, NIL, or "" for nothing yet."""

    round: int
    prepared: tuple[str, ...]
    precommitted: tuple[str, ...]

    @property
    def lock(self) -> tuple[int, str]:
        """Round and block of the last precommit for a block."""
        for round_ in range(len(self.precommitted) - 1, -1, -1):
            if self.precommitted[round_] not in ("", NIL):
                return round_, self.precommitted[round_]
        return -1, ""


class State(NamedTuple):
    """The honest members, and whether the Byzantine one still signs."""

    members: tuple[Member, ...]
    silent: bool = False


@dataclass(frozen=True)
class Rounds:
    """The model. ``refusals[i]`` are the blocks that member i does not prepare fresh."""

    rounds: int
    refusals: tuple[str, ...] = ("", "", "")
    omitted: frozenset[str] = frozenset()
    noisy: int | None = None
    """The Byzantine member may fall silent until somebody prepares in this round; None: never."""

    def initial(self) -> State:
        """Round 0, nothing signed."""
        nothing = ("",) * self.rounds
        return State((Member(0, nothing, nothing),) * HONEST)

    # what is known

    def _is_prepared(self, state: State, round_: int, block: str) -> bool:
        """Whether a prepare quorum can be shown; a silent member's part only if one holds it."""
        signers = sum(block in member.prepared[round_] for member in state.members)
        shown = any(block == member.precommitted[round_] for member in state.members)
        return signers + int(not state.silent or shown) >= QUORUM

    def decided(self, state: State) -> tuple[str, ...]:
        """The blocks with a precommit certificate."""
        found: dict[str, None] = {}
        for block in BLOCKS:
            for round_ in range(self.rounds):
                signers = sum(member.precommitted[round_] == block for member in state.members)
                if signers and signers + int(not state.silent) >= QUORUM:
                    found[block] = None
        return tuple(found)

    # steps

    def steps(self, state: State) -> Iterator[Step[State]]:
        """What any honest member may do next, and the silence of the other."""
        for index, member in enumerate(state.members):
            for label, after in self._actions(state, index, member):
                members = (*state.members[:index], after, *state.members[index + 1 :])
                if len(set(self.refusals)) == 1:
                    members = tuple(sorted(members))
                yield Step(f"member {index}: {label}", state._replace(members=members))
        if not state.silent and self._is_early(state):
            yield Step("the Byzantine member falls silent", state._replace(silent=True))

    def _actions(self, state: State, index: int, member: Member) -> Iterator[tuple[str, Member]]:
        now = member.round
        prepared = member.prepared[now]
        for block in BLOCKS:
            free = not prepared or ("one prepare" in self.omitted and block not in prepared)
            if free and self._may_prepare(state, index, member, block):
                yield (
                    f"prepares {block} in round {now}",
                    member._replace(prepared=_put(member.prepared, now, prepared + block)),
                )
        if not prepared:
            yield (
                f"prepares nothing in round {now}",
                member._replace(prepared=_put(member.prepared, now, NIL)),
            )
        for block in BLOCKS:
            if self._may_precommit(state, member, block):
                yield (
                    f"precommits {block} in round {now}",
                    member._replace(precommitted=_put(member.precommitted, now, block)),
                )
        if now < self.rounds - 1:
            skipped = member.precommitted[now] or NIL
            yield (
                f"moves to round {now + 1}",
                member._replace(
                    round=now + 1, precommitted=_put(member.precommitted, now, skipped)
                ),
            )

    def _may_prepare(self, state: State, index: int, member: Member, block: str) -> bool:
        locked_round, locked = member.lock
        refused = block in self.refusals[index]
        for valid_round in range(member.round):
            if self._is_prepared(state, valid_round, block) and (
                locked in ("", block)
                or valid_round >= locked_round
                or "valid round" in self.omitted
                or "lock" in self.omitted
            ):
                return not refused or "objective repeat" not in self.omitted or locked == block
        if locked == block:
            return True
        return not refused and (not locked or "lock" in self.omitted)

    def _may_precommit(self, state: State, member: Member, block: str) -> bool:
        if member.precommitted[member.round]:
            return False
        rounds = range(member.round, member.round + 1)
        if "lock in hand" in self.omitted:
            rounds = range(member.round + 1)
        return any(self._is_prepared(state, round_, block) for round_ in rounds)

    # what must hold

    def violation(self, state: State) -> str | None:
        """Two decided blocks."""
        return "two blocks are decided" if len(self.decided(state)) > 1 else None

    def is_decided(self, state: State) -> bool:
        """Whether some block is decided."""
        return bool(self.decided(state))

    def is_asked(self, state: State) -> bool:
        """Liveness is asked of the states in which silence can have begun just now."""
        return state.silent and self._is_early(state)

    def _is_early(self, state: State) -> bool:
        noisy = self.noisy
        return noisy is not None and all(
            member.round < noisy or (member.round == noisy and not member.prepared[noisy])
            for member in state.members
        )


def _put(votes: tuple[str, ...], round_: int, vote: str) -> tuple[str, ...]:
    return (*votes[:round_], vote, *votes[round_ + 1 :])
