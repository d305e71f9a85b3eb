"""The table of exit codes in docs/formats.md, from the classes of errors.py. Run it to write the table."""

import inspect
from pathlib import Path

from spinelift import errors

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- exit codes:", "<!-- end of exit codes -->"


def table() -> str:
    """Markdown rows, by code."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.SpineliftError) and kind is not errors.SpineliftError
    ]
    rows = ["| code | error | cause |", "|---|---|---|"]
    for kind in sorted(kinds, key=lambda k: k.exit_code):
        rows.append(f"| {kind.exit_code} | `{kind.__name__}` | {inspect.getdoc(kind)} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """The document with the table as it should be."""
    start = text.index("\n", text.index(BEGIN))
    return f"{text[:start]}\n\n{table()}\n\n{text[text.index(END) :]}"


if __name__ == "__main__":
    FORMATS.write_text(with_table(FORMATS.read_text(encoding="utf-8")), encoding="utf-8")
