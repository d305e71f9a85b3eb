"""``python -m tests.fuzz``: run the harness, print its table, replay a failure."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

for _folder in ("tests/cases", "src"):
    sys.path.insert(0, str(Path(__file__).parents[2] / _folder))

from tests.fuzz.kinds import KINDS, keys  # noqa: E402 - after the folders of what it imports
from tests.fuzz.runner import FAILURES, RESULT, Outcome, run, run_one, save  # noqa: E402


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown table of outcomes by kind."""
    heads = ("kind", "inputs", "results", "refused", *FAILURES, "peak, MB", "slowest, s")
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for kind in [*KINDS, "all"]:
        of_kind = [o for o in outcomes if kind in ("all", o.kind)]
        if not of_kind:
            continue
        count = Counter(o.outcome for o in of_kind)
        cells = [len(of_kind), *(count[name] for name in (RESULT, "refused", *FAILURES))]
        cells += [round(max(o.peak_mb for o in of_kind)), f"{max(o.seconds for o in of_kind):.1f}"]
        lines.append(f"| {kind} | " + " | ".join(map(str, cells)) + " |")
    errors = Counter(o.error for o in outcomes if o.outcome == "refused")
    lines += ["", "Refusals: " + ", ".join(f"{name} {n}" for name, n in errors.most_common()) + "."]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000, help="inputs of all kinds together")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="folder for inputs that fail")
    parser.add_argument("--report", type=Path, help="Markdown file whose measured part is written anew")
    parser.add_argument("--replay", metavar="KIND:SEED:NUMBER", help="one input, in this process")
    args = parser.parse_args()
    if args.replay:
        kind, seed, number = args.replay.split(":")
        one = run_one((kind, int(seed), int(number)), args.keep / args.replay.replace(":", "-"))
        print(
            one.what,
            one.outcome,
            one.error,
            one.detail,
            f"{one.seconds:.2f} s, {one.peak_mb:.0f} MB",
            sep="\n",
        )
        return int(one.failed)
    began, outcomes = time.perf_counter(), []
    for one in run(keys(args.seed, args.count, args.kinds), args.keep, args.workers):
        outcomes.append(one)
        if one.failed:
            save(one, args.keep)
            last = one.detail.strip().splitlines()[-1:]
            print(f"{one.kind}:{one.seed}:{one.number} {one.outcome}: {one.what}: {''.join(last)[:300]}")
    minutes = (time.perf_counter() - began) / 60
    text = f"Seed {args.seed}, {len(outcomes)} inputs, {minutes:.1f} minutes.\n\n{table(outcomes)}"
    print(text)
    if args.report:
        write_report(args.report, text)
    return int(any(o.failed for o in outcomes))


BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write_report(path: Path, text: str) -> None:
    """Put the text between the two marks of a Markdown file."""
    before, rest = path.read_text().split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    sys.exit(main())
