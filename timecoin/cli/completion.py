"""``timecoin-cli completion``: what a shell needs to complete commands, methods and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "timecoin-cli"
VARIABLE = "_TIMECOIN_CLI_COMPLETE"
"""With it in the environment, the program answers what could come next (click's convention)."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  eval "$(timecoin-cli completion bash)"    in ~/.bashrc
    zsh   eval "$(timecoin-cli completion zsh)"     in ~/.zshrc
    fish  timecoin-cli completion fish > ~/.config/fish/completions/timecoin-cli.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # click knows all three
    click.echo(made(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
