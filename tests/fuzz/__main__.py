"""Coverage-guided fuzzing: ``python -m tests.fuzz TARGET CORPUS [libFuzzer options]``.

``python -m tests.fuzz --seeds CORPUS`` writes the first inputs of every target below CORPUS;
``make fuzz`` does both, for every target.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris


def write_seeds(corpus: Path) -> None:
    """A file for each seed, named by its hash."""
    from tests.fuzz.corpus import seeds

    for name, inputs in seeds().items():
        folder = corpus / name
        folder.mkdir(parents=True, exist_ok=True)
        for data in inputs:
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"{name}: {len(inputs)} seeds")


def main(arguments: list[str]) -> None:
    """Run libFuzzer; it ends the process itself."""
    if arguments[:1] == ["--seeds"]:
        write_seeds(Path(arguments[1]))
        return
    target, corpus, *options = arguments
    with atheris.instrument_imports(include=["timecoin", "tests.fuzz"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], corpus, *options], TARGETS[target])
    atheris.Fuzz()


main(sys.argv[1:])
