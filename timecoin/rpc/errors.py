"""Error numbers of the JSON-RPC interface and the exception that carries one.

-32700 to -32600 are JSON-RPC 2.0's own (specification, section 5.1), -32005 is this project's;
the others mean what they mean in Bitcoin Core (its ``rpc/protocol.h``).
"""

from __future__ import annotations

from txjsonrpc_ng.jsonrpclib import Fault

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RATE_LIMITED = -32005

MISC_ERROR = -1
TYPE_ERROR = -3
WALLET_ERROR = -4
NOT_FOUND = -5
"""Bitcoin's RPC_INVALID_ADDRESS_OR_KEY: a bad address, or nothing known by that name."""
INSUFFICIENT_FUNDS = -6
INVALID_PARAMETER = -8
FINALITY_TIMEOUT = -11
PASSPHRASE_NEEDED = -13
WRONG_PASSPHRASE = -14
WRONG_ENCRYPTION_STATE = -15
"""The wallet has a passphrase already, or has none."""
DECODE_ERROR = -22
NODE_ALREADY_ADDED = -23
NODE_NOT_ADDED = -24
MISSING_INPUTS = -25
REJECTED = -26
"""Refused by a rule of validity or policy; the message names the rule."""
ALREADY_IN_CHAIN = -27
WARMING_UP = -28
"""The node is starting or catching up."""
NODE_NOT_CONNECTED = -29
INVALID_SUBNET = -30


class RpcError(Fault):  # type: ignore[misc]  # txjsonrpc_ng is not typed
    """A refusal that reaches the client as ``{code, message, data?}``.

    ``data`` is any JSON value; None leaves it out.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(code, message)
        self.data = data

    @property
    def code(self) -> int:
        """One of the numbers of this module."""
        return int(self.faultCode)

    @property
    def message(self) -> str:
        """One line for a person."""
        return str(self.faultString)

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"
