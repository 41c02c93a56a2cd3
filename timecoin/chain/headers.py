"""Certified headers ahead of the tip: what is known of history before its bodies are (PROTOCOL 8).

A header is believed for its precommit certificate, and the certificate for the active sets of the
two blocks before. Where ``avs_root`` differs from the parent's, the set behind it comes along and
must hash to it: so headers alone lead from genesis to the newest block through any change of the
set, without one transaction. What a block has to keep besides is judged when its body is here.

A checkpoint is a hash that the operator trusts at a height. No other history passes that height,
and none is connected before it has been seen to lead there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from timecoin import params
from timecoin.chain.active import retained_blocks
from timecoin.chain.ports import HeaderStore
from timecoin.codec import Wire
from timecoin.consensus.ports import Tip
from timecoin.crypto.keys import Verify
from timecoin.ledger.block import Header
from timecoin.ledger.genesis import Genesis
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import (
    BlockCertificate,
    CertificateError,
    check_precommit_certificate,
)
from timecoin.quorum.snapshots import block_snapshots


class CertifiedHeader(Wire, frozen=True):
    """A header with the proof that it is final, and its active set where that is a new one."""

    header: Header
    certificate: BlockCertificate
    members: ActiveSet | None


class HeaderError(ValueError):
    """Headers that do not continue certified history; the text says why."""


class CheckpointError(HeaderError):
    """Another history than the one that the operator trusts."""


class ForkedHeader(HeaderError):
    """A certified header for another block than the one that history has at its height."""

    def __init__(self, first: BlockCertificate, second: BlockCertificate) -> None:
        super().__init__(f"two blocks are certified at height {first.height}")
        self.first = first
        self.second = second


@dataclass(frozen=True, slots=True)
class Top:
    """The newest header that is known to be final."""

    height: int
    hash: bytes
    slot: int


@dataclass(frozen=True, slots=True)
class CheckedHeaders:
    """Consecutive headers that continue the top, each certified."""

    items: tuple[CertifiedHeader, ...]


class HeaderChain:
    """The headers from the tip up to the newest certified one; they rest in ``store``."""

    def __init__(
        self,
        genesis: Genesis,
        store: HeaderStore,
        verify: Verify,
        tip: Tip,
        checkpoints: Mapping[int, bytes] | None = None,
    ) -> None:
        """Go on from what ``store`` holds above ``tip``, as far as it passes ``checkpoints``.

        ``CheckpointError`` when the blocks up to ``tip`` do not.
        """
        self._genesis = genesis
        self._store = store
        self._verify = verify
        self._checkpoints = dict(checkpoints or {})
        self._retained = retained_blocks(genesis.slot_ms)
        self._last_checkpoint = max(self._checkpoints, default=0)
        for height, trusted in self._checkpoints.items():
            known = store.header(height) if height <= tip.height else None
            if known is not None and known.hash != trusted:
                raise CheckpointError(f"the chain has another block than the checkpoint {height}")
        self._top = Top(tip.height, tip.hash, tip.slot)
        stored = store.header_top()
        if stored > tip.height and self._fits(tip, stored):
            header = store.header(stored)
            assert header is not None
            self._top = Top(stored, header.hash, header.slot)

    def _fits(self, tip: Tip, stored: int) -> bool:
        """Whether the rows above ``tip`` are its continuation, past every checkpoint."""
        first = self._store.header(tip.height + 1)
        checked = {height: self._store.header(height) for height in self._checkpoints}
        return (first is not None and first.prev_hash == tip.hash) and not any(
            tip.height < height <= stored
            and (header is None or header.hash != self._checkpoints[height])
            for height, header in checked.items()
        )

    @property
    def top(self) -> Top:
        """The newest certified header, the tip's or above it."""
        return self._top

    @property
    def trusted(self) -> bool:
        """Whether the headers have reached the last checkpoint: blocks may be connected."""
        return self._top.height >= self._last_checkpoint

    def header(self, height: int) -> Header | None:
        """The certified header at ``height``, up to the top."""
        return self._store.header(height) if height <= self._top.height else None

    def certificate(self, height: int) -> BlockCertificate | None:
        """The certificate of the header at ``height``, up to the top."""
        return self._store.certificate(height) if height <= self._top.height else None

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), up to the top."""
        return self._store.active_set(height) if height <= self._top.height else None

    def follow(self, tip: Tip) -> None:
        """The chain has a new tip: what is ahead stays if it continues that tip."""
        if tip.height < self._top.height:
            following = self._store.header(tip.height + 1)
            if following is not None and following.prev_hash == tip.hash:
                return
        self._top = Top(tip.height, tip.hash, tip.slot)

    def drop_above(self, tip: Tip) -> None:
        """Forget what is ahead of ``tip``."""
        self._top = Top(tip.height, tip.hash, tip.slot)

    def check(self, items: Sequence[CertifiedHeader]) -> CheckedHeaders:
        """``items`` judged as the continuation of the top; ``HeaderError`` if one is none."""
        parent = self._top
        members = self._require_set(parent.height)
        ahead: dict[int, ActiveSet] = {}
        for item in items:
            header = item.header
            self._check_place(header, parent)
            checkpoint = self._checkpoints.get(header.height)
            if checkpoint is not None and header.hash != checkpoint:
                raise CheckpointError(f"not the checkpoint at height {header.height}")
            self._check_certificate(item, _Sets(ahead, self._store))
            members = _next_set(item, members)
            ahead[header.height] = members
            parent = Top(header.height, header.hash, header.slot)
        return CheckedHeaders(tuple(items))

    def append(self, checked: CheckedHeaders) -> None:
        """Keep what :meth:`check` gave; nothing happens if the top has moved on since."""
        items = [item for item in checked.items if item.header.height > self._top.height]
        if not items or items[0].header.prev_hash != self._top.hash:
            return
        self._store.add_headers(items)
        newest = items[-1].header
        self._top = Top(newest.height, newest.hash, newest.slot)

    def compare(self, item: CertifiedHeader) -> None:
        """A header at or below the top, shown against history.

        ``ForkedHeader`` when both are certified; ``HeaderError`` when it proves nothing. Old keys
        prove nothing: who has taken its stake back may sign whatever it likes, at no cost.
        """
        height = item.header.height
        if height <= self._last_checkpoint:
            raise HeaderError(f"another history below the checkpoint {self._last_checkpoint}")
        if height <= self._top.height - self._retained:
            raise HeaderError(f"the keys of height {height} count no more")
        known = self.certificate(height)
        if known is None or known.block_hash == item.header.hash:
            raise HeaderError("no other block than ours")
        self._check_certificate(item, self._store)
        raise ForkedHeader(known, item.certificate)

    def _check_place(self, header: Header, parent: Top) -> None:
        if (header.version, header.chain_id) != (params.BLOCK_VERSION, self._genesis.chain_id):
            raise HeaderError("a header of another network or version")
        if header.height != parent.height + 1 or header.prev_hash != parent.hash:
            raise HeaderError(f"header {header.height} does not continue {parent.height}")
        if header.slot <= parent.slot or header.slot_time != header.slot * self._genesis.slot_ms:
            raise HeaderError(f"the slot of header {header.height} is not after its parent's")

    def _check_certificate(self, item: CertifiedHeader, sets: _Sets | HeaderStore) -> None:
        header, certificate = item.header, item.certificate
        if (certificate.height, certificate.block_hash) != (header.height, header.hash):
            raise HeaderError("a certificate of another block")
        snapshots = block_snapshots(sets, header.height)
        if snapshots is None:
            raise HeaderError(f"no active sets for height {header.height}")
        try:
            check_precommit_certificate(
                certificate, snapshots, self._genesis.chain_id, self._verify
            )
        except CertificateError as error:
            raise HeaderError(f"block certificate: {error}") from error

    def _require_set(self, height: int) -> ActiveSet:
        found = self._store.active_set(height)
        if found is None:
            raise LookupError(f"no active set at height {height}")
        return found


class _Sets:
    """The sets of headers under judgement over those in the store."""

    def __init__(self, ahead: Mapping[int, ActiveSet], store: HeaderStore) -> None:
        self._ahead = ahead
        self._store = store

    def active_set(self, height: int) -> ActiveSet | None:
        return self._ahead.get(height) or self._store.active_set(height)


def _next_set(item: CertifiedHeader, parent: ActiveSet) -> ActiveSet:
    """avs(h) that the header commits to: the parent's, or the one that comes along."""
    root = item.header.avs_root
    if root == parent.root:
        if item.members is not None:
            raise HeaderError("an active set that has not changed")
        return parent
    if item.members is None or item.members.root != root:
        raise HeaderError("the active set that avs_root commits to is not there")
    return item.members
