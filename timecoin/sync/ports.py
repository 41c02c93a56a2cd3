"""What synchronization needs of the chain."""

from __future__ import annotations

from typing import Protocol

from timecoin.chain.accept import CheckedBlock
from timecoin.consensus.ports import FindBody, Tip
from timecoin.ledger.block import Block
from timecoin.quorum.certificate import BlockCertificate


class SyncChain(Protocol):
    """Port: history to serve and to extend."""

    @property
    def tip(self) -> Tip:
        """The newest final block."""

    @property
    def fork_height(self) -> int | None:
        """The height at which two blocks are certified; such a chain takes no more blocks."""

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""

    def block(self, height: int) -> Block | None:
        """The block at ``height``; genesis has none."""

    def certificate(self, height: int) -> BlockCertificate | None:
        """The precommit certificate of the block at ``height``."""

    def check_certificate(self, certificate: BlockCertificate) -> None:
        """``CertificateError`` unless it finalizes a block up to the tip's successor."""

    def check(self, block: Block, find: FindBody) -> CheckedBlock:
        """``block`` judged as the tip's successor; ``RuleBroken`` or ``MissingBodies``."""
