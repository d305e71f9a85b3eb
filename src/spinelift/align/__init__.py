"""DXA and MRI of one person brought together: image level, spine level, and which pairs to reject."""
