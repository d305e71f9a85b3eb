"""What ``spinelift evaluate lva`` writes: a table, a row a scan, and pictures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from spinelift.evaluate.lva import METRICS, PREDICTED, LvaCheck, LvaJob, find_spine, table
from spinelift.evaluate.table import Row, to_markdown
from spinelift.files import make_folder, remove_files, write_csv, write_json, write_whole
from spinelift.report.lateral import lateral_png

PICTURES = ("best", "median", "worst")
ROWS, SUMMARY, TABLE = "lva.csv", "lva.json", "lva.md"


def write_results(job: LvaJob, checks: Sequence[LvaCheck], out: Path) -> list[Row]:
    """Write ``lva.csv``, ``lva.json``, ``lva.md`` and pictures into a folder; returns the table."""
    make_folder(out)
    rows = table(checks)
    bundle, network = job.check()
    done = [check for check in checks if check.aligned]
    causes = Counter(f"{check.stage}: {check.error}" for check in checks if not check.aligned)
    document = {
        "format": 1, "bundle": asdict(bundle), "lva_network": asdict(network), "scans": len(checks),
        "compared": len(done), "failed": dict(sorted(causes.items())), "metrics": METRICS,
        "rows": [row.to_json() for row in rows],
    }  # fmt: skip
    write_csv(out / ROWS, *_rows(checks))
    write_json(out / SUMMARY, document)
    write_whole(out / TABLE, to_markdown(rows) + "\n" if rows else "No scan could be compared.\n")
    remove_files(out / f"{name}.png" for name in PICTURES)
    ranked = sorted(done, key=lambda check: check.values(PREDICTED)["lva_rigid_mae_mm"])
    chosen = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1} if ranked else {}
    for name, k in chosen.items():
        write_whole(out / f"{name}.png", _picture(job, ranked[k], name))
    return rows


def _rows(checks: Sequence[LvaCheck]) -> tuple[list[str], list[list[object]]]:
    """Heading and a row a scan."""
    labels = list(dict.fromkeys(label for check in checks for label in check.aligned))
    names = list(METRICS)[:3]
    head = ["scan_id", "status", "stage", "error", "message", "confidence", "slide_mm"]
    head += [f"{name}_{label.replace(' ', '_')}" for label in labels for name in names]
    body: list[list[object]] = []
    for check in checks:
        status = "compared" if check.aligned else "failed"
        row: list[object] = [check.scan_id, status, check.stage, check.error, check.message]
        if check.aligned:
            row += [check.confidence, round(check.aligned[PREDICTED].slide_mm, 2)]
            row += [round(check.values(label)[name], 3) for label in labels for name in names]
            body.append([*row, "; ".join(check.warnings)])
        else:
            body.append([*row, *[""] * (len(head) - len(row)), ""])
    return [*head, "warnings"], body


def _picture(job: LvaJob, check: LvaCheck, name: str) -> bytes:
    lateral, spine = find_spine(job, check.path)
    curves = {
        label: aligned.rigid.inverse().apply(aligned.turned[0]) for label, aligned in check.aligned.items()
    }
    error = check.values(PREDICTED)["lva_rigid_mae_mm"]
    title = f"{check.scan_id}   {name} of the scans that were compared, {error:.1f} mm"
    return lateral_png(lateral.image, lateral.spacing, spine.line_mm, curves, title=title)
