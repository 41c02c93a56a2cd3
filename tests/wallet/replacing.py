"""Run as a program: replaces the wallet file again and again, and says so each time.

Its next receiving key counts up; the test kills it and looks at what is there.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import msgspec

from timecoin.params import Network
from timecoin.wallet.walletfile import read_wallet, replace_wallet


def main(path: Path) -> None:
    content = read_wallet(path, Network.DEVNET)
    hashes = (bytes(20 * 100_000), b"")
    for number in count(1):
        # Label and lock carry the number, too: the test sees that the fields belong together.
        labels = ((bytes(20), str(number)),)
        locked = (number.to_bytes(36, "big"),)
        replace_wallet(
            path,
            msgspec.structs.replace(
                content, next=(number, 0), hashes=hashes, labels=labels, locked=locked
            ),
        )
        print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
