"""How the ledger says no."""

from __future__ import annotations


class RuleBroken(ValueError):
    """A transaction or block breaks a rule of the ledger; nothing was changed.

    ``rule`` is a short stable name (Bitcoin's where one fits) for programs, ``detail`` a line
    for people.
    """

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail
