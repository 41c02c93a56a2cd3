"""The pool's verdict as an RPC error."""

from __future__ import annotations

from timecoin.mempool.entry import Verdict
from timecoin.rpc.errors import MISSING_INPUTS, REJECTED, RpcError

RULE_MISSING_INPUTS = "bad-txns-inputs-missingorspent"


def refusal(verdict: Verdict) -> RpcError:
    """The error for a transaction that the pool did not take; its message names the rule."""
    code = MISSING_INPUTS if verdict.rule == RULE_MISSING_INPUTS else REJECTED
    return RpcError(code, f"{verdict.rule}: {verdict.detail}", {"rule": verdict.rule})
