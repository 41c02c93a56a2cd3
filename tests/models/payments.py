"""Model: votes, certificates, receipts and block resolution of two conflicting spends, x and y.

Honest members act in any order; the Byzantine one has always signed everything. Proposals are
everywhere and of every kind, as if the Byzantine member made them. Block agreement is abridged to
what the payments rest on: prepare and precommit quorums over rounds, locks, repeated proposals.
PROTOCOL 4 (who votes where), 5 and 6; :mod:`tests.models.rounds` looks at the locks more closely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explore import Step

X, Y = 1, 2
NAMES = {X: "x", Y: "y"}

NOTHING, ARCHIVE_X, ARCHIVE_Y, RESOLVE_X, RESOLVE_Y = "N", "x", "y", "Rx", "Ry"
ARCHIVED = {NOTHING: 0, ARCHIVE_X: X, ARCHIVE_Y: Y, RESOLVE_X: X, RESOLVE_Y: Y}
RESOLVED = {RESOLVE_X: X, RESOLVE_Y: Y}
CERTIFIED = {ARCHIVE_X: X, ARCHIVE_Y: Y}

RULES = {
    "one vote": "never two votes for conflicting transactions",
    "durable votes": "the locks and the vote are durable before the vote leaves",
    "one receipt": "never a receipt for each of two conflicting transactions",
    "held certificate": "no fresh proposal prepared that resolves against a stored certificate",
    "receipted": "no fresh proposal prepared that archives against one's receipt",
    "ban": "no receipt against a resolution that one has prepared",
    "durable ban": "the ban is durable before the prepare leaves",
    "inclusion": "a certificate receipted below the parent's height is not left out",
    "block snapshots": "block votes need a quorum in avs(h-1) and in avs(h-2)",
}
"""What can be left out of the model, by name: each omission has to be found."""

PROMISES = {
    "two final": "two conflicting transactions are final",
    "final lost": "one is final and the other archived",
    "held lost": "a certificate was held in time and is overruled",
    "late": "final at tip 0 and not archived two blocks later",
}
"""What must never be seen."""


class Member(NamedTuple):
    """What an honest member has done. Everything it signed is known to whoever should know it."""

    votes: int = 0
    held: int = 0
    receipts: tuple[tuple[int, int], ...] = ()
    tip: int = 0
    round: int = 0
    lock: str = ""
    prepared: tuple[tuple[int, int, str], ...] = ()
    precommitted: tuple[tuple[int, int, str], ...] = ()
    banned: int = 0
    """Spends that it must not receipt while it is at this tip."""


class State(NamedTuple):
    """All honest members, and the block that was decided at each height."""

    members: tuple[Member, ...]
    decided: tuple[str, ...] = ()
    kept: int = 0
    """Spends whose certificate a blocking part of avs(0) stored before any prepare against it."""


@dataclass(frozen=True)
class Payments:
    """The model: who is in which snapshot, how far it is searched, and which rules are left out.

    ``sets[h]`` names the honest members of avs(h) by their index; one Byzantine member is in each.
    """

    sets: tuple[frozenset[int], ...]
    honest: int
    heights: int
    rounds: int
    values: tuple[str, ...] = (NOTHING, ARCHIVE_X, RESOLVE_X, RESOLVE_Y)
    omitted: frozenset[str] = frozenset()
    byzantine: int = 1
    spends: tuple[int, ...] = (X, Y)
    """Those that honest members vote for: with one Byzantine member x alone stands for either."""
    symmetric: tuple[tuple[int, ...], ...] = ()
    """Groups of members that are in the same snapshots: their states may be exchanged."""

    def only_x(self) -> Payments:
        """The same with votes for x alone and no blocks that could not matter then."""
        return dataclasses.replace(self, spends=(X,), values=(NOTHING, ARCHIVE_X, RESOLVE_Y))

    def initial(self) -> State:
        """Nobody has done anything."""
        return State(tuple(Member() for _ in range(self.honest)))

    # quorums

    def _has_quorum(self, signers: frozenset[int], heights: tuple[int, ...]) -> bool:
        for height in heights:
            if height >= 0:
                members = self.sets[min(height, len(self.sets) - 1)]
                total = len(members) + self.byzantine
                if 3 * (len(signers & members) + self.byzantine) < 2 * total:
                    return False
        return True

    def _is_voter(self, index: int, heights: tuple[int, ...]) -> bool:
        return any(
            index in self.sets[min(height, len(self.sets) - 1)] for height in heights if height >= 0
        )

    def is_certified(self, state: State, spend: int) -> bool:
        """Whether a certificate can be made; votes are anchored at height 0."""
        voters = frozenset(i for i, member in enumerate(state.members) if member.votes & spend)
        return self._has_quorum(voters, (0,))

    def is_final(self, state: State, spend: int) -> bool:
        """Whether receipts of one tip have their quorums."""
        for tip in range(self.heights + 1):
            signers = frozenset(
                i for i, member in enumerate(state.members) if (tip, spend) in member.receipts
            )
            if signers and self._has_quorum(signers, (tip, tip - 1)):
                return True
        return False

    def _block_heights(self, height: int) -> tuple[int, ...]:
        if "block snapshots" in self.omitted:
            return (height - 1,)
        return (height - 1, height - 2)

    def _prepare_quorum(self, state: State, height: int, round_: int, value: str) -> bool:
        signers = frozenset(
            i for i, item in enumerate(state.members) if (height, round_, value) in item.prepared
        )
        return self._has_quorum(signers, self._block_heights(height))

    # steps

    def steps(self, state: State) -> Iterator[Step[State]]:
        """What any honest member may do next."""
        for index, member in enumerate(state.members):
            for label, after in self._actions(state, index, member):
                members = list(state.members)
                members[index] = after
                following = state._replace(members=tuple(members))
                following = self._keep(self._decide(following))
                yield Step(f"member {index}: {label}", self._canonical(following))

    def _actions(self, state: State, index: int, member: Member) -> Iterator[tuple[str, Member]]:
        chain = {ARCHIVED[value] for value in state.decided[: member.tip]} - {0}
        if not chain:
            yield from self._payment_actions(state, index, member)
        if member.tip < self.heights:
            yield from self._block_actions(state, index, member, chain)
            if member.tip < len(state.decided):
                yield f"moves to tip {member.tip + 1}", self._advanced(member)
        if "durable votes" in self.omitted and member.votes in (X, Y):
            yield "crashes and forgets its lock", member._replace(votes=member.votes | 4)
        if "durable ban" in self.omitted and member.banned:
            yield "crashes and forgets its ban", member._replace(banned=0)

    @staticmethod
    def _advanced(member: Member) -> Member:
        """At a new tip rounds begin anew, and the ban of the height before is over."""
        return member._replace(
            tip=member.tip + 1, round=0, lock="", prepared=(), precommitted=(), banned=0
        )

    def _payment_actions(
        self, state: State, index: int, member: Member
    ) -> Iterator[tuple[str, Member]]:
        for spend in self.spends:
            name, other = NAMES[spend], X + Y - spend
            may_vote = not member.votes & 3 or "one vote" in self.omitted or member.votes & 4
            if may_vote and not member.votes & spend and self._is_voter(index, (0,)):
                yield f"votes for {name}", member._replace(votes=member.votes | spend)
            if not member.held & spend and self.is_certified(state, spend):
                yield f"stores {name}'s certificate", member._replace(held=member.held | spend)
            receipt = (member.tip, spend)
            if (
                member.held & spend
                and receipt not in member.receipts
                and self._is_voter(index, (member.tip, member.tip - 1))
                and ("one receipt" in self.omitted or not self._receipted(member, other))
                and ("ban" in self.omitted or not member.banned & spend)
            ):
                receipts = tuple(sorted((*member.receipts, receipt)))
                yield f"receipts {name} at tip {member.tip}", member._replace(receipts=receipts)

    @staticmethod
    def _receipted(member: Member, spend: int) -> bool:
        return any(item == spend for _, item in member.receipts)

    def _block_actions(
        self, state: State, index: int, member: Member, chain: set[int]
    ) -> Iterator[tuple[str, Member]]:
        height = member.tip + 1
        if not self._is_voter(index, self._block_heights(height)):
            return
        if not any(round_ == member.round for _, round_, _ in member.prepared):
            for value in self.values:
                if self._is_valid(state, value, chain) and self._may_prepare(state, member, value):
                    yield (
                        f"prepares {value} in round {member.round} of height {height}",
                        self._with_prepare(member, height, value),
                    )
        if not any(round_ == member.round for _, round_, _ in member.precommitted):
            for value in self.values:
                if self._prepare_quorum(state, height, member.round, value):
                    vote = (height, member.round, value)
                    yield (
                        f"precommits {value} in round {member.round} of height {height}",
                        member._replace(lock=value, precommitted=(*member.precommitted, vote)),
                    )
        if member.round < self.rounds - 1:
            yield f"moves to round {member.round + 1}", member._replace(round=member.round + 1)

    def _is_valid(self, state: State, value: str, chain: set[int]) -> bool:
        """The objective rules: nothing spent twice, a certificate for what needs one."""
        if value == NOTHING:
            return True
        spend = CERTIFIED.get(value)
        return not chain and (spend is None or self.is_certified(state, spend))

    def _may_prepare(self, state: State, member: Member, value: str) -> bool:
        height = member.tip + 1
        for earlier in range(member.round):
            if self._prepare_quorum(state, height, earlier, value) and self._unlocks(
                member, earlier, value
            ):
                return True
        return member.lock == value or (not member.lock and self._accepts(member, value))

    @staticmethod
    def _unlocks(member: Member, round_: int, value: str) -> bool:
        locked = max((item for _, item, _ in member.precommitted), default=-1)
        return member.lock == value or locked <= round_

    def _accepts(self, member: Member, value: str) -> bool:
        """The subjective rules on a fresh proposal (PROTOCOL 6)."""
        archived = ARCHIVED[value]
        other = {0: 0, X: Y, Y: X}[archived]
        if value in RESOLVED and member.held & other and "held certificate" not in self.omitted:
            return False
        if other and self._receipted(member, other) and "receipted" not in self.omitted:
            return False
        due = {spend for tip, spend in member.receipts if tip < member.tip}
        return "inclusion" in self.omitted or not due or bool(archived)

    @staticmethod
    def _with_prepare(member: Member, height: int, value: str) -> Member:
        banned = {X: Y, Y: X}.get(RESOLVED.get(value, 0), 0)
        return member._replace(
            prepared=(*member.prepared, (height, member.round, value)),
            banned=member.banned | banned,
        )

    def _decide(self, state: State) -> State:
        """Note a block that has a precommit quorum by now."""
        height = len(state.decided) + 1
        if height > self.heights:
            return state
        for round_ in range(self.rounds):
            for value in self.values:
                signers = frozenset(
                    i
                    for i, item in enumerate(state.members)
                    if (height, round_, value) in item.precommitted
                )
                if signers and self._has_quorum(signers, self._block_heights(height)):
                    return state._replace(decided=(*state.decided, value))
        return state

    def _canonical(self, state: State) -> State:
        """The same state for every exchange of members that are in the same snapshots."""
        members = list(state.members)
        for group in self.symmetric:
            ordered = sorted(members[index] for index in group)
            for index, member in zip(group, ordered, strict=True):
                members[index] = member
        return state._replace(members=tuple(members))

    # what must hold

    def _keep(self, state: State) -> State:
        """Note a certificate that is safe from now on, if nobody has prepared against it yet."""
        kept = state.kept
        if state.decided:
            return state
        for spend, resolution in ((X, RESOLVE_Y), (Y, RESOLVE_X)):
            others = frozenset(
                i for i, member in enumerate(state.members) if not member.held & spend
            )
            if not self._has_quorum(others, (0,)) and not any(
                value == resolution for member in state.members for _, _, value in member.prepared
            ):
                kept |= spend
        return state._replace(kept=kept)

    def violation(self, state: State, promises: Collection[str]) -> str | None:
        """The first of ``promises`` that ``state`` breaks."""
        return next((PROMISES[name] for name in self._broken(state) if name in promises), None)

    def _broken(self, state: State) -> Iterator[str]:
        archived = [ARCHIVED[value] for value in state.decided]
        final = [spend for spend in self.spends if self.is_final(state, spend)]
        if len(final) == 2:
            yield "two final"
        if any(X + Y - spend in archived for spend in final):
            yield "final lost"
        if any(state.kept & (X + Y - spend) for spend in archived if spend):
            yield "held lost"
        if len(archived) >= 2 and not any(archived[:2]) and self._was_final_early(state):
            yield "late"

    def _was_final_early(self, state: State) -> bool:
        for spend in (X, Y):
            signers = frozenset(
                i for i, member in enumerate(state.members) if (0, spend) in member.receipts
            )
            if signers and self._has_quorum(signers, (0,)):
                return True
        return False
