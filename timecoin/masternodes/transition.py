"""From one snapshot to the next: what a block may do to the active set (PROTOCOL 4, 6).

Pure bookkeeping: whether a join, a leave or evidence holds by itself is checked before
(``admission``, ``quorum.evidence``). Here is what they do together: the churn bound, the bound of
Free members, expiry, jail, and that the set is never empty. Each step either happens or raises and
changes nothing, so that a producer can try one change after the other.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from timecoin import params
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet, Departed, Member, Tier
from timecoin.masternodes.jailing import is_punishable


@dataclass(frozen=True, slots=True)
class Terms:
    """Parameters of the chain, in blocks."""

    jail_blocks: int
    """How long an offender stays out."""
    evidence_blocks: int
    """How far back an offence can be proved: as long as snapshots are kept."""


class Churn:
    """Joining plus leaving weight of one kind of member in one block, against its bound."""

    def __init__(self, total: int) -> None:
        """``total``: the weight of that kind in the parent's set."""
        self._total = total
        self._weight_of: dict[bytes, int] = {}

    def fits(self, pubkey: bytes, weight: int) -> bool:
        """Whether ``weight`` more of ``pubkey`` keeps the bound: 1/20, or else a single member."""
        if not weight:
            return True
        changed = sum(self._weight_of.values()) + weight
        alone = not self._weight_of or list(self._weight_of) == [pubkey]
        return alone or changed * params.CHURN_DIVISOR <= self._total

    def add(self, pubkey: bytes, weight: int) -> None:
        """Count ``weight``, which fits."""
        if weight:
            self._weight_of[pubkey] = self._weight_of.get(pubkey, 0) + weight


class Transition:
    """avs(h) in the making. In this order: spend, jail, expire, then joins and exits."""

    def __init__(self, parent: ActiveSet, height: int, terms: Terms) -> None:
        """``parent`` is avs(height - 1)."""
        self._parent = parent
        self._height = height
        self._terms = terms
        self._members = dict(parent.by_pubkey)
        self._departed = {(row.pubkey, row.stake): row for row in parent.departed}
        self._staked_weight = parent.total_weight
        self._staked_count = len(parent.staked)
        self._free_count = len(parent.members) - len(parent.staked)
        self._staked_churn = Churn(parent.total_weight)
        self._free_churn = Churn(self._free_count)
        self._jailed: dict[bytes, None] = {}
        self._changed = False

    def member(self, pubkey: bytes) -> Member | None:
        """The member ``pubkey`` as the set stands now."""
        return self._members.get(pubkey)

    # what a block does to members, whether they like it or not

    def spend(self, spent: Container[Outpoint]) -> None:
        """Members whose stake the block spends are out; exempt from the churn bound.

        Only a spend that was certified before its stake joined again comes to that. The last
        member of all stays even so: what is certified must be archived, and somebody must do it.
        """
        for stake, member in self._parent.stakes.items():
            if stake in spent and self._refusal(member.pubkey, None, exempt=True) is None:
                self._replace(member.pubkey, None, exempt=True)

    def jail(self, pubkey: bytes, offence_height: int) -> None:
        """Out of the set, and its stakes frozen; exempt from the churn bound.

        ``RuleBroken`` ("bad-evidence") when it is neither a member nor just departed, or was
        jailed at or after ``offence_height`` already.
        """
        if pubkey in self._jailed or not is_punishable(self._parent, pubkey, offence_height):
            raise RuleBroken("bad-evidence", f"{pubkey.hex()} is not to be jailed (again)")
        if pubkey in self._members:
            self._replace(pubkey, None, exempt=True)
        self._changed = True
        self._jailed[pubkey] = None
        until = self._height + self._terms.jail_blocks
        for key, row in self._departed.items():
            if row.pubkey == pubkey:
                self._departed[key] = Departed(
                    pubkey, row.stake, row.left_height, self._height, until
                )

    def expire(self) -> None:
        """Genesis members whose time is over leave, oldest first, as far as the bound allows."""
        due = sorted(
            (member.expiry_height, member.pubkey)
            for member in self._members.values()
            if member.tier == Tier.GENESIS and member.expiry_height <= self._height
        )
        for _, pubkey in due:
            if self._refusal(pubkey, None, exempt=False) is not None:
                return
            self._replace(pubkey, None)

    # what a block carries

    def join(self, member: Member, tip_height: int) -> None:
        """``member`` enters, or takes the place of its membership with less than this stake.

        ``tip_height`` is that of its heartbeat, which must not be older than its last leaving:
        so nobody can bring it back by a join of before.
        """
        pubkey, old = member.pubkey, self._members.get(member.pubkey)
        if any(
            row.pubkey == pubkey and (row.jailed_until > self._height)
            for row in self._departed.values()
        ):
            raise RuleBroken("bad-join", f"{pubkey.hex()} is jailed")
        if any(
            row.pubkey == pubkey and row.left_height > tip_height for row in self._parent.departed
        ):
            raise RuleBroken("bad-join", "the heartbeat is older than the last leaving")
        if old is not None and (not member.stake or member.stake == old.stake):
            raise RuleBroken("bad-join", f"{pubkey.hex()} is a member")
        if not member.staked and self._free_count >= self._staked_count:
            raise RuleBroken("bad-join", "there are as many Free members as staked ones")
        self._replace(pubkey, member)

    def exit(self, pubkey: bytes) -> None:
        """The member ``pubkey`` leaves or is removed."""
        if pubkey not in self._members:
            raise RuleBroken("bad-avs-change", f"{pubkey.hex()} is no member")
        self._replace(pubkey, None)

    def finish(self) -> ActiveSet:
        """avs(h): ``parent`` itself when nothing has changed."""
        self._drop_free()
        if not self._changed and all(self._is_needed(row) for row in self._parent.departed):
            return self._parent
        members = tuple(self._members[pubkey] for pubkey in sorted(self._members))
        rows = (self._departed[key] for key in sorted(self._departed))
        return ActiveSet(members, tuple(row for row in rows if self._is_needed(row)))

    def _drop_free(self) -> None:
        """Free members are at most as many as staked ones: who joined last goes."""
        surplus = self._free_count - self._staked_count
        if surplus <= 0:
            return
        free = (member for member in self._members.values() if not member.staked)
        newest = sorted(free, key=lambda member: (member.joined_height, member.pubkey))
        for member in newest[-surplus:]:
            self._replace(member.pubkey, None, exempt=True)

    def _refusal(self, pubkey: bytes, new: Member | None, exempt: bool) -> RuleBroken | None:
        """Why ``new`` may not take the place of what ``pubkey`` is now; nothing changes."""
        old = self._members.get(pubkey)
        if self._staked_weight - _staked(old) + _staked(new) <= 0:
            return RuleBroken("empty-avs", "no quorum weight would be left")
        staked, free = _staked(old) + _staked(new), _free(old) + _free(new)
        if exempt or (
            self._staked_churn.fits(pubkey, staked) and self._free_churn.fits(pubkey, free)
        ):
            return None
        return RuleBroken("avs-churn", "more joins and leaves than a block may have")

    def _replace(self, pubkey: bytes, new: Member | None, exempt: bool = False) -> None:
        refusal = self._refusal(pubkey, new, exempt)
        if refusal is not None:
            raise refusal
        self._changed = True
        old = self._members.pop(pubkey, None)
        if not exempt:
            self._staked_churn.add(pubkey, _staked(old) + _staked(new))
            self._free_churn.add(pubkey, _free(old) + _free(new))
        if old is not None:
            self._depart(old)
        if new is not None:
            self._members[pubkey] = new
            row = self._departed.get((pubkey, new.stake))
            if row is not None and not row.jailed_height:
                del self._departed[pubkey, new.stake]
        self._staked_weight += _staked(new) - _staked(old)
        self._staked_count += int(_staked(new) > 0) - int(_staked(old) > 0)
        self._free_count += _free(new) - _free(old)

    def _depart(self, member: Member) -> None:
        rows = [row for row in self._departed.values() if row.pubkey == member.pubkey]
        self._departed[member.pubkey, member.stake] = Departed(
            member.pubkey,
            member.stake,
            self._height,
            max((row.jailed_height for row in rows), default=0),
            max((row.jailed_until for row in rows), default=0),
        )

    def _is_needed(self, row: Departed) -> bool:
        """Whether a rule may still ask for ``row`` after this block."""
        height = self._height
        waits = row.left_height + params.STAKE_WAIT_BLOCKS > height
        provable = row.jailed_height + self._terms.evidence_blocks >= height
        return waits or row.jailed_until > height or (row.jailed_height > 0 and provable)


def _staked(member: Member | None) -> int:
    """Weight that counts for quorums."""
    return member.weight if member is not None and member.staked else 0


def _free(member: Member | None) -> int:
    """Weight of a Free member."""
    return member.weight if member is not None and not member.staked else 0
