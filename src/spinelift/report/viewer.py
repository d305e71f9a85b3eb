"""``spine.html``: one self-contained file that shows the spine in 3D with the scan behind it."""

import base64
import io
import json
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from spinelift.curves import SAGITTAL, ellipses_mm
from spinelift.curves.solid import MIN_HALF_AXIS_MM
from spinelift.geometry.arrays import Float, Float32
from spinelift.report.names import RESEARCH_USE
from spinelift.report.scene import UNCERTAIN_MM, SpineScene, uncertainty_colour

FADE_PX = 18.0
"""Width of the scan's soft border, pixels."""
OPAQUE_GREY = 24.0
"""Grey value from which the scan is opaque."""


def viewer_html(scene: SpineScene) -> str:
    """The page: three.js, style, scan and spine inlined; ``<html data-state="ready">`` once it is drawn."""
    assets = files("spinelift.report") / "assets"
    css, js, three = (
        Markup((assets / name).read_text("utf-8")) for name in ("viewer.css", "viewer.js", "three.min.js")
    )
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (assets / "viewer.html").read_text("utf-8")
    )
    z = scene.curves.z_mm
    stops = uncertainty_colour(np.linspace(0, UNCERTAIN_MM, 7)).round().astype(int)
    return template.render(
        css=css,
        js=js,
        three=three,
        data=Markup(json.dumps(scene_data(scene), separators=(",", ":")).replace("<", "\\u003c")),
        scan_id=scene.scan_id,
        height=round(float(z[-1] - z[0])),
        warnings=scene.warnings,
        made_by=scene.made_by,
        research_use=RESEARCH_USE,
        has_plausible=bool(scene.plausible),
        has_interval=scene.half_width_mm is not None,
        gradient=",".join(f"rgb({r},{g},{b})" for r, g, b in stops),
        scale_max=round(UNCERTAIN_MM),
    )


def page_origin(scene: SpineScene) -> Float:
    """The point of the patient (x, y, z_feet) in mm that is the page's origin: the spine's middle [3]."""
    mm, z = scene.curves.mm, scene.curves.z_mm
    _, (right, left, _, _) = scene.region()
    depth = (mm[SAGITTAL].min() + mm[SAGITTAL].max()) / 2
    return np.array([(right + left) / 2, depth, (z[0] + z[-1]) / 2])


def patient_to_page(xyz_mm: Float, origin: Float) -> Float:
    """(left, posterior, feet) → the page's (left, head, anterior) about its origin, mm [..., 3]."""
    d = np.asarray(xyz_mm, np.float64) - origin
    return np.stack([d[..., 0], -d[..., 2], -d[..., 1]], -1)


def scene_data(scene: SpineScene) -> dict[str, object]:
    """Data of the page, mm in its own axes: x to the patient's left, y to the head, z to anterior.

    ``ellipses`` are rows of (centre x, centre z, half axis x, half axis z, y).
    """
    origin = page_origin(scene)
    curves, z = scene.curves, scene.curves.z_mm
    centres, axes = ellipses_mm(curves.mm)
    rings = patient_to_page(np.column_stack([centres, z]), origin)
    axes = np.maximum(axes, MIN_HALF_AXIS_MM)
    image, (right, left, head, feet) = scene.region()
    middle = np.array([(right + left) / 2, scene.plane_y_mm, (head + feet) / 2])
    plausible = [patient_to_page(other.centreline_mm, origin)[::4] for other in scene.plausible]
    size = [left - right, feet - head]
    depth = float(np.abs(rings[:, 2]).max() + axes[:, 1].max())
    return {
        "ellipses": np.round(np.column_stack([rings[:, 0], rings[:, 2], axes, rings[:, 1]]), 2).tolist(),
        "colours": scene.colours.round().astype(int).tolist(),
        "centreline": np.round(patient_to_page(curves.centreline_mm, origin), 2).tolist(),
        "plausible": [np.round(points, 2).tolist() for points in plausible],
        "plane": {
            "image": f"data:image/png;base64,{base64.b64encode(_scan_png(image)).decode()}",
            "size": np.round(size, 2).tolist(),
            "centre": np.round(patient_to_page(middle, origin), 2).tolist(),
        },
        "reach": {"x": size[0] / 2 + 18, "y": float(z[-1] - z[0]) / 2 + 28, "z": depth + 45},
    }


def _scan_png(image: Float32) -> bytes:
    """The scan as PNG with soft borders: grey and opacity."""
    rows, cols = image.shape
    edge = FADE_PX
    fade_r = np.clip(np.minimum(np.arange(rows) + 1, rows - np.arange(rows)) / edge, 0, 1)
    fade_c = np.clip(np.minimum(np.arange(cols) + 1, cols - np.arange(cols)) / edge, 0, 1)
    alpha = np.outer(fade_r, fade_c) * np.clip(image / OPAQUE_GREY, 0, 1) * 255
    pixels = np.stack([np.clip(image, 0, 255), alpha], -1).round().astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()
