"""Shell completion, as a shell asks for it."""

from __future__ import annotations

import shutil
import subprocess
import sys

from click.testing import CliRunner
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from timecoin.cli.completion import PROGRAM, VARIABLE
from timecoin.cli.main import main


class CompletionTests(SynchronousTestCase):
    def complete(self, line: str) -> list[str]:
        """What bash would offer for the last word of ``line``."""
        words = line.split(" ")
        environment = {
            VARIABLE: "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        ended = CliRunner().invoke(main, [], env=environment, prog_name=PROGRAM)
        return [item.partition(",")[2] for item in ended.output.splitlines()]

    def test_methods_and_tools(self) -> None:
        self.assertEqual(
            self.complete(f"{PROGRAM} getblockc"), ["getblockchaininfo", "getblockcount"]
        )
        self.assertIn("devnet", self.complete(f"{PROGRAM} de"))

    def test_options_of_a_method(self) -> None:
        self.assertEqual(self.complete(f"{PROGRAM} getblock --verb"), ["--verbosity"])

    def test_values(self) -> None:
        self.assertEqual(self.complete(f"{PROGRAM} --network dev"), ["devnet"])
        self.assertEqual(self.complete(f"{PROGRAM} getblockheader {'ab' * 32} t"), ["true"])
        self.assertEqual(self.complete(f"{PROGRAM} listlabels s"), ["send"])

    def test_scripts(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            ended = CliRunner().invoke(main, ["completion", shell])
            self.assertEqual(ended.exit_code, 0, ended.output)
            self.assertIn(f"{VARIABLE}={shell}_complete", ended.output)
        self.assertEqual(CliRunner().invoke(main, ["completion", "csh"]).exit_code, 2)

    def test_bash_takes_it(self) -> None:
        bash = shutil.which("bash")
        if bash is None:
            raise SkipTest("no bash on this machine")
        cli = f"{sys.executable} -c 'from timecoin.cli.main import main; main()'"
        script = f'eval "$({cli} completion bash)"; complete -p {PROGRAM}'
        ended = subprocess.run([bash, "-c", script], capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn(f"_completion {PROGRAM}", ended.stdout)
