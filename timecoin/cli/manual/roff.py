"""A manual page in roff, man(7): the few requests that our pages need."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from timecoin import __version__

_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga"})


class Page:
    """One page, from its head to its last line."""

    def __init__(self, name: str, section: int, purpose: str, made_s: int) -> None:
        """``made_s``: the moment whose date the page bears, in seconds since 1970."""
        date = datetime.fromtimestamp(made_s, UTC).date().isoformat()
        self.file_name = f"{name}.{section}"
        self._lines = [f'.TH {escape(name.upper())} {section} {date} "timecoin {__version__}"']
        self.section("NAME")
        self.paragraph(f"{name} - {purpose}")

    def section(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f'.SH "{escape(title)}"')

    def subsection(self, title: str) -> None:
        """Begin a part of a section."""
        self._lines.append(f'.SS "{escape(title)}"')

    def paragraph(self, text: str) -> None:
        """Running text; empty lines in it part paragraphs."""
        for part in text.strip().split("\n\n"):
            if not self._lines[-1].startswith((".SH", ".SS")):
                self._lines.append(".PP")
            self._lines.append(_flowing(part))

    def item(self, term: str, text: str) -> None:
        """A term in bold, and what it means."""
        self._lines += [".TP", rf"\fB{escape(term)}\fR"]
        first, *more = text.strip().split("\n\n")
        self._lines.append(_flowing(first) or r"\&")
        for part in more:
            self._lines += [".IP", _flowing(part)]

    def items(self, named: Iterable[tuple[str, str]]) -> None:
        """Several terms."""
        for term, text in named:
            self.item(term, text)

    def example(self, text: str) -> None:
        """Lines that stay as they are."""
        self._lines += [".PP", ".RS 4", ".nf", *map(_protected, text.splitlines()), ".fi", ".RE"]

    @property
    def text(self) -> str:
        """The whole page."""
        return "\n".join(self._lines) + "\n"


def escape(text: str) -> str:
    """``text`` as the formatter shows it again, character for character."""
    return text.translate(_ESCAPES).replace('"', r"\(dq")


def _flowing(text: str) -> str:
    return _protected(" ".join(text.split()))


def _protected(line: str) -> str:
    """A line that does not begin a request."""
    escaped = escape(line)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
