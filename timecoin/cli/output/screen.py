"""Where results go, and in which form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from timecoin.cli.output.jsontext import json_text
from timecoin.cli.output.tables import shown


class PipedConsole(Console):
    """Leaves a pipe that was closed to the caller: rich would end the process itself."""

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles the ``BrokenPipeError``."""
        raise


@dataclass(frozen=True, slots=True)
class Screen:
    """Standard output, and standard error for what is no result."""

    out: Console
    err: Console
    tables: bool
    """For a person; else JSON."""
    raw: bool = False
    """A text result without quotation marks."""

    @classmethod
    def of_process(cls, tables: bool | None, raw: bool) -> Screen:
        """This process's own; ``tables`` None means: if standard output is a terminal."""
        out = PipedConsole(highlight=False)
        return cls(
            out,
            Console(stderr=True, highlight=False),
            out.is_terminal if tables is None else tables,
            raw,
        )

    def show(self, value: object) -> None:
        """Write the result ``value``, a JSON value."""
        if self.raw and isinstance(value, str):
            click.echo(value, file=self.out.file)
        elif not self.tables:
            click.echo(json_text(value), file=self.out.file)
        elif value is not None:
            self.out.print(shown(value, self.out), soft_wrap=True)

    def note(self, text: str) -> None:
        """A line for a person, beside the result."""
        click.echo(text, file=self.err.file)

    @contextlib.contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """The time that passes, on a terminal, while the body waits; nothing elsewhere."""
        if not self.err.is_terminal or self.err.is_dumb_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.err, transient=True) as progress:
            progress.add_task(for_what, total=None)
            yield
