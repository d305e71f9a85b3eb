"""The drawing of docs/images/rooms.svg, from the table of docs/architecture.md. Run it to write the drawing.

A room stands one layer above the highest room that it imports. An arrow points to an imported room; imports
that follow from others are left out.
"""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = DOCS / "images" / "rooms.svg"
WIDTH, LAYER, BOX, HIGH = 960, 84, 96, 30
ASIDE = (-30, 30, 0)
"""Shifts of neighbouring layers, so that fewer arrows pass behind a box."""


def table() -> dict[str, set[str]]:
    """Room → rooms that it may import."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", text, re.MULTILINE)
    return {room: {name.strip() for name in names.split(",") if name.strip()} for room, names in rows}


def direct(rooms: dict[str, set[str]]) -> dict[str, set[str]]:
    """Imports without those that another imported room has as well."""
    reach: dict[str, set[str]] = {}
    for room, names in rooms.items():  # a row names only rooms above it in the table
        reach[room] = names.union(*(reach[name] for name in names))
    return {
        room: {n for n in names if not any(n in reach[m] for m in names)} for room, names in rooms.items()
    }


def drawing() -> str:
    """The SVG, the lowest layer at the bottom."""
    rooms = table()
    layer: dict[str, int] = {}
    for room, names in rooms.items():
        layer[room] = max((layer[name] + 1 for name in names), default=0)
    rows = [[room for room in rooms if layer[room] == k] for k in range(max(layer.values()) + 1)]
    height = LAYER * len(rows)
    place = {
        room: (WIDTH * (2 * k + 1) / (2 * len(row)) + ASIDE[n % 3], height - LAYER * (n + 0.5))
        for n, row in enumerate(rows)
        for k, room in enumerate(row)
    }
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for room, names in direct(rooms).items():
        for name in sorted(names):
            (x, y), (u, v) = place[room], place[name]
            lines.append(
                f'<line x1="{x:.0f}" y1="{y + HIGH / 2:.0f}" x2="{u:.0f}" y2="{v - HIGH / 2 - 1:.0f}" '
                'stroke="#777" marker-end="url(#a)"/>'
            )
    for room, (x, y) in place.items():
        lines.append(
            f'<rect x="{x - BOX / 2:.0f}" y="{y - HIGH / 2:.0f}" width="{BOX}" height="{HIGH}" rx="5" '
            f'fill="#eef3f8" stroke="#456"/><text x="{x:.0f}" y="{y + 5:.0f}" font-size="15" '
            f'text-anchor="middle" fill="#123">{room}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
