"""Statistics of simulated pictures, beside the real scan's."""

from benchmarks.yardsticks.statistics import PictureStatistics, picture_statistics
from spinelift.geometry import SpineFrame
from spinelift.simulate.body.body import sample_body
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.dxa.scan import take_scan
from spinelift.simulate.identity import person_rng


def simulated_statistics(people: int = 12, *, seed: int = 44) -> list[PictureStatistics]:
    """Grey-level statistics of ``people`` simulated trunks."""
    prior = ShapePrior.load()
    out = []
    for k in range(people):
        rng = person_rng(seed, k)
        scan = take_scan(sample_body(prior, rng, whole=False), rng, whole=False)
        top, bottom = scan.ends
        frame = SpineFrame.from_ends(scan.spacing, top_xz_mm=top, bottom_xz_mm=bottom)
        out.append(picture_statistics(scan.bone, frame))
    return out
