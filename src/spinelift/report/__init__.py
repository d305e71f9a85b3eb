"""Pictures, meshes and the 3D page of one result: the names of the files."""

OVERLAY, TURNTABLE, VIEWER, STL, GLB = "overlay.png", "spine.gif", "spine.html", "spine.stl", "spine.glb"
PICTURE_NAMES = (OVERLAY, TURNTABLE, VIEWER, STL, GLB)
RESEARCH_USE = "Research use only. Not a medical device."
