"""Text of others on a terminal: it must show, not command."""

from __future__ import annotations


def visible(text: str) -> str:
    """``text`` with control and other unprintable characters written as escapes.

    A peer's name or a label could hold sequences that move the cursor or rewrite the screen.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
