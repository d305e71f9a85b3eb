"""``spine.html``: one self-contained file that shows the spine in 3D with the scan behind it."""

import base64
import io
import json
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from spinelift.curves import SAGITTAL, Curve, ellipses_mm
from spinelift.curves.solid import MIN_HALF_AXIS_MM
from spinelift.geometry.arrays import Float, Float32
from spinelift.report import RESEARCH_USE
from spinelift.report.scene import UNCERTAIN_MM, SpineScene, matrix_y_up, patient_to_y_up, uncertainty_colour
from spinelift.report.shapes import LUMBAR, THORACIC, Mesh, level_ring, shape_of, vertebra
from spinelift.report.vertebrae import place_vertebrae

FADE_PX = 18.0
"""Width of the scan's soft border, pixels."""
OPAQUE_GREY = 24.0
"""Grey value from which the scan is opaque."""


def viewer_html(scene: SpineScene) -> str:
    """The page: three.js, style, scan and spine inlined; ``<html data-state="ready">`` once it is drawn."""
    assets = files("spinelift.report") / "assets"
    names = ("viewer.html", "viewer.css", "three.min.js", "labels.js", "viewer.js")
    page, *parts = ((assets / name).read_text("utf-8") for name in names)
    css, three, *scripts = map(Markup, parts)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(page)
    z = scene.curves.z_mm
    stops = uncertainty_colour(np.linspace(0, UNCERTAIN_MM, 7)).round().astype(int)
    return template.render(
        css=css,
        scripts=scripts,
        three=three,
        data=Markup(json.dumps(scene_data(scene), separators=(",", ":")).replace("<", "\\u003c")),
        scan_id=scene.scan_id,
        height=round(float(z[-1] - z[0])),
        share=scene.share_sentence,
        warnings=scene.warnings,
        made_by=scene.made_by,
        research_use=RESEARCH_USE,
        has_plausible=bool(scene.plausible),
        has_interval=scene.half_width_mm is not None,
        gradient=",".join(f"rgb({r},{g},{b})" for r, g, b in stops),
        scale_max=round(UNCERTAIN_MM),
    )


def scene_data(scene: SpineScene) -> dict[str, object]:
    """Data of the page, mm from the spine's middle: x to the patient's left, y to the head, z to anterior.

    ``ellipses`` are rows of (centre x, centre z, half axis x, half axis z, y), ``depth_half`` the half widths
    of the interval of the depth. ``levels`` have a matrix [16], by rows, that places a shape.
    """
    curves, mm, z, half = scene.curves, scene.curves.mm, scene.curves.z_mm, scene.half_width_mm
    image, (right, left, head, feet) = scene.region()
    depth_mm = (mm[SAGITTAL].min() + mm[SAGITTAL].max()) / 2
    origin = np.array([(right + left) / 2, depth_mm, (z[0] + z[-1]) / 2])
    centres, axes = ellipses_mm(mm)
    axes = np.maximum(axes, MIN_HALF_AXIS_MM)
    rings = patient_to_y_up(np.column_stack([centres, z]) - origin)
    middle = np.array([(right + left) / 2, scene.plane_y_mm, (head + feet) / 2])
    size = [left - right, feet - head]
    depth = float(np.abs(rings[:, 2]).max() + axes[:, 1].max())
    return {
        "ellipses": np.round(np.column_stack([rings[:, 0], rings[:, 2], axes, rings[:, 1]]), 2).tolist(),
        "colours": scene.colours.round().astype(int).tolist(),
        "centreline": _rounded(curves.centreline_mm - origin),
        "plausible": [_rounded((s.centreline_mm - origin)[::4]) for s in scene.plausible],
        "plane": {
            "image": f"data:image/png;base64,{base64.b64encode(_scan_png(image)).decode()}",
            "size": np.round(size, 2).tolist(),
            "centre": _rounded(middle - origin),
        },
        "depth_half": None if half is None else np.round(half[Curve.SAGITTAL], 1).tolist(),
        "levels": _levels(scene, origin),
        "shapes": {
            "ring": _shape(level_ring()),
            **{kind: _shape(vertebra(kind)) for kind in (THORACIC, LUMBAR)},
        },
        "reach": {"x": size[0] / 2 + 18, "y": float(z[-1] - z[0]) / 2 + 28, "z": depth + 45},
    }


def _levels(scene: SpineScene, origin: Float) -> list[dict[str, object]]:
    move = np.eye(4)
    move[:3, 3] = -origin
    return [
        {
            "name": one.level.name,
            "shape": shape_of(one.level),
            "matrix": np.round(matrix_y_up(move @ one.matrix), 4).ravel().tolist(),
        }
        for one in place_vertebrae(scene)
    ]


def _shape(mesh: Mesh) -> dict[str, object]:
    points = np.round(patient_to_y_up(mesh.vertices), 3) + 0.0
    return {"position": points.ravel().tolist(), "index": mesh.faces[:, ::-1].ravel().tolist()}


def _rounded(patient_mm: Float) -> object:
    """Points about the origin as lists in the page's axes, mm rounded to 0.01."""
    return np.round(patient_to_y_up(patient_mm), 2).tolist()


def _scan_png(image: Float32) -> bytes:
    """The scan as PNG with soft borders: grey and opacity."""
    rows, cols = image.shape
    fades = [np.minimum((np.minimum(i, i[::-1]) + 1) / FADE_PX, 1) for i in map(np.arange, (rows, cols))]
    alpha = np.outer(*fades) * np.clip(image / OPAQUE_GREY, 0, 1) * 255
    pixels = np.stack([np.clip(image, 0, 255), alpha], -1).round().astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()
