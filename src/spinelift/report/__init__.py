"""Pictures, meshes and the 3D page of one result."""
