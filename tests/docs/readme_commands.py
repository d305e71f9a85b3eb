"""The commands of README.md: every fenced ```sh block. With --run each block is run in a shell of its own."""

import argparse
import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(language: str = "sh") -> list[str]:
    """Fenced blocks of one language, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block.strip() for block in found]


def commands() -> list[str]:
    """Every line of every block, lines that go on joined."""
    joined = "\n".join(blocks()).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def run(leave_out: list[str]) -> None:
    """Run block after block from the root of the repository; the first failure ends it."""
    for block in blocks():
        lines = [line for line in block.splitlines() if line.strip() not in leave_out]
        print("\n".join(f"$ {line}" for line in lines), flush=True)
        start = time.monotonic()
        subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], cwd=ROOT, check=True)
        print(f"({time.monotonic() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true", help="run them instead of listing them")
    parser.add_argument("--except", dest="leave_out", action="append", default=[], metavar="LINE")
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.leave_out)
    else:
        print("\n".join(commands()))
