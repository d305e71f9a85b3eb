"""All pictures of one result."""

from collections.abc import Callable

from spinelift.report import GLB, MARKUPS, OVERLAY_STEM, PAGE, PARTS_STL, STL, TURNTABLE, VIEWER
from spinelift.report.markups import markups_json
from spinelift.report.meshes import glb_bytes, parts_stl_bytes, stl_bytes
from spinelift.report.overlay import overlay_files
from spinelift.report.page import page_html
from spinelift.report.scene import SpineScene
from spinelift.report.turntable import turntable_gif
from spinelift.report.viewer import viewer_html


def make_pictures(
    scene: SpineScene,
    formats: tuple[str, ...] = ("png",),
    *,
    on_viewer: Callable[[bytes], None] = lambda _: None,
) -> dict[str, bytes]:
    """Page, overlay in each of the formats, turning spine, 3D page, meshes, markups: bytes by file name.

    ``on_viewer`` is called with the 3D page, which is made first.
    """
    viewer = viewer_html(scene).encode()
    on_viewer(viewer)
    overlays = overlay_files(scene, formats)
    return {
        PAGE: page_html(scene).encode(),
        **{f"{OVERLAY_STEM}.{kind}": data for kind, data in overlays.items()},
        TURNTABLE: turntable_gif(scene),
        VIEWER: viewer,
        STL: stl_bytes(scene),
        PARTS_STL: parts_stl_bytes(scene),
        GLB: glb_bytes(scene),
        MARKUPS: markups_json(scene).encode(),
    }
