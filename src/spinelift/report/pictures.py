"""All pictures of one result."""

from spinelift.report import GLB, OVERLAY, STL, TURNTABLE, VIEWER
from spinelift.report.meshes import glb_bytes, stl_bytes
from spinelift.report.overlay import overlay_png
from spinelift.report.scene import SpineScene
from spinelift.report.turntable import turntable_gif
from spinelift.report.viewer import viewer_html


def make_pictures(scene: SpineScene) -> dict[str, bytes]:
    """Overlay, turning spine, page and meshes of a scene: bytes by file name."""
    return {
        OVERLAY: overlay_png(scene),
        TURNTABLE: turntable_gif(scene),
        VIEWER: viewer_html(scene).encode(),
        STL: stl_bytes(scene.curves),
        GLB: glb_bytes(scene),
    }
