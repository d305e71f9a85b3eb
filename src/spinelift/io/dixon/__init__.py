"""Dixon MRI: UK Biobank zips of six stations → one ``DixonVolume`` of fat and water."""

from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import DixonVolume

__all__ = ["DixonVolume", "read_dixon"]
