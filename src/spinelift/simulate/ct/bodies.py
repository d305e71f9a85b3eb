"""The spine of a CT from its labelled vertebrae: bodies without arches, their endplates, the whole T1 to L5.

Seen along its own axis a vertebra is a ring around the vertebral foramen; what lies in front of the foramen
is the body. Its endplates are planes fitted to the top and the bottom of its middle. Levels that the CT does
not show are the most likely ones of the shape prior, given those that it shows.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.ndimage import gaussian_filter1d

from spinelift.errors import NoSpineError
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Bool, Float
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.prior import N_LEVELS, N_STEPS, ShapePrior, features_of, usable
from spinelift.simulate.body.spine import PosedSpine, frames_along, frames_of
from spinelift.simulate.ct.volume import CtVolume

LEAST_LEVELS = 5
"""Fewest whole vertebrae in a row."""
CUT_SHARE = 0.25
"""Largest share of a whole vertebra's widest slice that is in the CT's first or last one."""
LEAST_FORAMEN_MM2 = 40.0
PITCHES_DEG, PITCH_SCALE, NEAR_MM = range(-30, 31, 6), 1.0, 5.0
"""Pitches that are tried, the pitch (radians) that no foramen is wide enough for, and half
the width of the part of the foramen whose front edge counts."""
LEAST_VOXELS, ASIDE_MM = 20, 2.0
ROUNDS = 4
"""Times that body and frame are found again, each from the other."""
CORE = 0.3
"""Part of the body's width and depth, each way, over which the endplates are fitted."""
LEAST_BODY_MM = 9.0
"""Least height of a body; less is a part of one."""


@dataclass(frozen=True)
class CtSpine:
    """The spine of a CT: ``spine`` T1 to L5, of which ``first`` to ``last`` are seen whole."""

    spine: PosedSpine
    first: Vertebra
    last: Vertebra

    @property
    def levels(self) -> range:
        """The levels that are seen whole."""
        return range(self.first, self.last + 1)

    def valid_rows(self, spine: PosedSpine) -> Bool:
        """Rows [209] of the curves of ``spine``, a pose of this one, between the outer endplates."""
        z, _ = spine.curves_mm()
        top = spine.centres[self.first] - spine.size[self.first, 2] / 2 * spine.frames[self.first, :, 2]
        end = spine.centres[self.last] + spine.size[self.last, 2] / 2 * spine.frames[self.last, :, 2]
        return np.asarray((z >= top[2] - 1e-6) & (z <= end[2] + 1e-6))


def find_spine(volume: CtVolume) -> CtSpine:
    """Find the bodies of a CT's whole vertebrae, and complete the spine.

    Raises NoSpineError if fewer than ``LEAST_LEVELS`` in a row are whole, or they stand implausibly.
    """
    clouds = _clouds(volume)
    run = _longest_run([len(c) > 0 for c in clouds])
    if len(run) < LEAST_LEVELS:
        raise _no_spine(f"{len(run)} whole vertebrae in a row", f"at least {LEAST_LEVELS} between T1 and L5")
    centres, frames, sizes = _fit([clouds[k] for k in run], run, volume)
    whole = sizes[:, 2] > LEAST_BODY_MM
    whole[1:] &= np.diff(centres[:, 2]) > 0
    if not whole.all():
        names = ", ".join(Vertebra(k).name for k in np.array(run)[~whole])
        raise _no_spine(f"no plausible body of {names}", "bodies of whole vertebrae, from head to feet")
    full = np.full((N_LEVELS, 3), np.nan)
    full[run] = centres
    prior = ShapePrior.load()
    if not usable(full, prior.step_mm) and len(run) > LEAST_LEVELS:
        raise _no_spine("vertebrae at implausible distances", "every level labelled once, in order")
    return _completed(prior, full, frames, sizes, run)


def _clouds(volume: CtVolume) -> list[Float]:
    """Voxels [n, 3] of each vertebra in mm; none of one that reaches an end of the CT."""
    out = []
    boxes = ndimage.find_objects(volume.levels, max_label=N_LEVELS)
    last = len(volume.levels)
    for level, box in zip(Vertebra, boxes, strict=True):
        if box is None or _is_cut(volume.levels[box] == level + 1, box[0].start == 0, box[0].stop == last):
            out.append(np.empty((0, 3)))
            continue
        corner = [side.start for side in box]
        out.append(volume.xyz_mm(np.argwhere(volume.levels[box] == level + 1) + corner))
    return out


def _is_cut(inside: Bool, top: bool, bottom: bool) -> bool:
    """Whether more than a process of a vertebra is in the first or last slice, where the CT ends."""
    area = inside.sum((1, 2))
    return bool((top and area[0] > CUT_SHARE * area.max()) or (bottom and area[-1] > CUT_SHARE * area.max()))


def _longest_run(seen: list[bool]) -> list[int]:
    best: list[int] = []
    run: list[int] = []
    for k, there in enumerate(seen):
        run = [*run, k] if there else []
        best = run if len(run) > len(best) else best
    return best


def _fit(clouds: list[Float], run: list[int], volume: CtVolume) -> tuple[Float, Float, Float]:
    """Centres [n, 3], frames [n, 3, 3] from the endplates, and sizes [n, 3] of the bodies."""
    pixel = max(1.0, 1.1 * max(volume.spacing[1:]))
    middles = np.array([c.mean(0) for c in clouds])
    centres, axial = middles, np.zeros(len(clouds))
    frames, bodies = _tangent_frames(centres, axial), clouds
    for turn in range(ROUNDS + 1):
        pitches = PITCHES_DEG
        if turn == ROUNDS:  # the last time along the bodies' own axes
            pitches = range(1)
            frames = np.array(
                [
                    _endplates(b, c, f, volume.spacing)[1]
                    for b, c, f in zip(bodies, centres, frames, strict=True)
                ]
            )
        seen = [_foramen(c, m, f, pixel, pitches) for c, m, f in zip(clouds, middles, frames, strict=True)]
        found = {k: s for k, s in enumerate(seen) if s is not None}
        if not found:  # the labels are of bodies alone
            break
        front = np.interp(np.arange(len(clouds)), list(found), [s.front for s in found.values()])
        pitched = np.array([f if s is None else s.frame for s, f in zip(seen, frames, strict=True)])
        bodies = [_before(c, m, f, y) for c, m, f, y in zip(clouds, middles, pitched, front, strict=True)]
        if any(len(b) < LEAST_VOXELS for b in bodies):
            name = Vertebra(run[int(np.argmin([len(b) for b in bodies]))]).name
            raise _no_spine(f"no body of {name}", "whole vertebrae")
        centres = np.array([b.mean(0) for b in bodies])
        if turn == ROUNDS:
            break
        turns = [
            float(np.degrees(np.arctan2(-q[0], q[1])))
            for q in ((s.middle - centres[k]) @ frames[k] for k, s in found.items())
        ]
        axial = gaussian_filter1d(
            axial + np.interp(np.arange(len(clouds)), list(found), turns), 1.0, mode="nearest"
        )
        frames = _tangent_frames(centres, axial)
    fitted = [_endplates(b, c, f, volume.spacing) for b, c, f in zip(bodies, centres, frames, strict=True)]
    centres, frames, sizes = (np.array(part) for part in zip(*fitted, strict=True))
    return centres, frames, sizes


def _before(cloud: Float, mean: Float, frame: Float, front: float) -> Float:
    """What lies in front of a foramen, without transverse processes, which stand beside the back half."""
    q = (cloud - mean) @ frame
    before = q[:, 1] < front
    if before.sum() < LEAST_VOXELS:
        return cloud[before]
    y, x = q[before, 1], q[before, 0]
    ahead = x[y < np.median(y)]
    low, high = np.percentile(ahead, [1, 99])
    return np.asarray(cloud[before][(x > low - ASIDE_MM) & (x < high + ASIDE_MM)])


def _tangent_frames(centres: Float, axial_deg: Float) -> Float:
    """`frames_along` for fewer than 17 levels: the missing ones are added straight on."""
    more = N_LEVELS - len(centres)
    on = centres[-1] + (centres[-1] - centres[-2]) * np.arange(1, more + 1)[:, None]
    return frames_along(np.concatenate([centres, on]), np.pad(axial_deg, (0, more), "edge"))[: len(centres)]


@dataclass(frozen=True)
class _Foramen:
    """``front`` edge along the back axis of ``frame``, mm from the vertebra's mean; ``middle`` [3]."""

    front: float
    middle: Float
    frame: Float


def _foramen(cloud: Float, mean: Float, frame: Float, pixel: float, pitches_deg: range) -> _Foramen | None:
    """The vertebral foramen, seen along the axis of ``frame``, pitched so that it is widest."""
    best, found = LEAST_FORAMEN_MM2 / pixel**2, None
    for pitch in np.radians(pitches_deg):
        doubt = 1 - (pitch / PITCH_SCALE) ** 2
        back = np.cos(pitch) * frame[:, 1] + np.sin(pitch) * frame[:, 2]
        down = np.cos(pitch) * frame[:, 2] - np.sin(pitch) * frame[:, 1]
        turned = np.stack([frame[:, 0], back, down], 1)
        q = ((cloud - mean) @ turned)[:, :2]
        low = q.min(0) - 2 * pixel
        cell = np.round((q - low) / pixel).astype(int)
        seen = np.zeros(cell.max(0) + 3, bool)
        seen[tuple(cell.T)] = True
        holes, count = ndimage.label(ndimage.binary_fill_holes(seen) & ~seen)
        sizes = np.bincount(holes.ravel())[1:]
        if not count or sizes.max() * doubt < best:
            continue
        best = float(sizes.max() * doubt)
        x, y = np.nonzero(holes == 1 + int(sizes.argmax()))
        near = np.abs(x - x.mean()) * pixel < NEAR_MM
        front = np.median([y[near & (x == column)].min() for column in np.unique(x[near])])
        middle = mean + turned[:, :2] @ (np.array([x.mean(), y.mean()]) * pixel + low)
        found = _Foramen(float((front - 1.0) * pixel + low[1]), middle, turned)
    return found


def _endplates(
    body: Float, centre: Float, frame: Float, spacing: tuple[float, float, float]
) -> tuple[Float, Float, Float]:
    """Centre [3], frame [3, 3] and size (width, depth at the endplates, height) of a body's voxels [n, 3].

    Width and depth are those of the middle: a filled ellipse is 4 standard deviations wide, and its depth is
    that beside the plane of symmetry, where no pedicle is. Mid-height is narrower by the waist.
    """
    q = (body - centre) @ frame
    middle = q[np.abs(q[:, 2]) < 4]
    width = 4 * middle[:, 0].std()
    inner = middle[np.abs(middle[:, 0]) < NEAR_MM]
    front, back = np.percentile(inner[:, 1], [1, 99]) + np.array([-0.5, 0.5]) * spacing[1]
    depth = back - front
    centre = centre + frame[:, 1] * (front + back) / 2
    order = np.lexsort(body.T[[2, 1, 0]])
    ahead = np.abs(np.diff(body[order, :2], axis=0)).max(1) > 1e-6  # another column of voxels begins
    planes = []
    for side, new in ((-0.5, np.r_[True, ahead]), (0.5, np.r_[ahead, True])):
        edge = (body[order][new] + [0, 0, side * spacing[0]] - centre) @ frame
        core = edge[(np.abs(edge[:, 0]) < CORE * width) & (np.abs(edge[:, 1]) < CORE * depth)]
        planes.append(_plane(core[:, :2], core[:, 2]))
    (top, *up), (low, *down) = planes
    slope = (np.array(up) + down) / 2
    axis = frame @ np.array([-slope[0], -slope[1], 1.0])
    axis /= np.linalg.norm(axis)
    (turned,) = frames_of(frame[None, :, 0], axis[None])
    size = np.array([width, depth, 0.0]) / (1 - morphometry.WAIST)
    size[2] = (low - top) * float(axis @ frame[:, 2])
    return centre + frame[:, 2] * (top + low) / 2, turned, size


def _plane(xy: Float, z: Float) -> Float:
    """Offset and slopes of z = a + b x + c y, fitted twice, without outliers the second time [3]."""
    design = np.column_stack([np.ones(len(z)), xy])
    fit = np.linalg.lstsq(design, z, rcond=None)[0]
    error = np.abs(z - design @ fit)
    good = error <= max(2.0, 2.5 * float(np.median(error)))
    return np.asarray(np.linalg.lstsq(design[good], z[good], rcond=None)[0])


def _completed(prior: ShapePrior, centres: Float, frames: Float, sizes: Float, run: list[int]) -> CtSpine:
    """The whole spine; unseen levels [17, 3] follow from the prior, given the features of the seen steps."""
    features = features_of(centres, prior.step_mm)
    seen = np.isfinite(features)
    steps = np.linalg.norm(np.diff(centres[run], axis=0), axis=1)
    scale = float(steps.sum() / prior.step_mm[run[0] : run[-1]].sum())
    modes = prior.modes[seen]
    weight = modes.T @ modes + prior.noise**2 * np.eye(modes.shape[1])
    score = np.linalg.solve(weight, modes.T @ (features - prior.mean)[seen])
    likely = np.where(seen, features, prior.mean + prior.modes @ score)
    likely[2 * N_STEPS :] = np.where(seen[2 * N_STEPS :], 0.0, likely[2 * N_STEPS :])
    guess = prior.centres(likely, scale=scale)
    full = centres.copy()
    full[: run[0]] = guess[: run[0]] + centres[run[0]] - guess[run[0]]
    full[run[-1] + 1 :] = guess[run[-1] + 1 :] + centres[run[-1]] - guess[run[-1]]
    size = morphometry.BODY_SIZE.copy()
    size[: run[0]] *= sizes[0] / size[run[0]]
    size[run[-1] + 1 :] *= sizes[-1] / size[run[-1]]
    size[run] = sizes
    left = frames[:, :, 0]
    turn = np.degrees(np.arctan2(left[:, 1], left[:, 0]))
    axial = np.interp(np.arange(N_LEVELS), run, turn)
    own = frames_along(full, axial)
    own[run] = frames
    spine = PosedSpine(full, own, size)
    if not spine.descends:
        raise _no_spine("a spine that turns upwards", "a spine from head to feet")
    return CtSpine(spine, Vertebra(run[0]), Vertebra(run[-1]))


def _no_spine(found: str, expected: str) -> NoSpineError:
    do = "Look at the label map, check --label-scheme, or leave this person out."
    return NoSpineError(found=found, expected=expected, do=do)
