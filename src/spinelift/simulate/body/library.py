"""Whose vertebrae a simulated person has: one donor's, a blend of several, or the template's."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.bones import make_mesh
from spinelift.simulate.body.donors import DonorVertebra
from spinelift.simulate.body.morphometry import LOG_SIZE
from spinelift.simulate.body.prior import N_LEVELS

TEMPLATE_SHARE = 0.12
"""Share of people who have no donors, where there is a library."""
TEMPLATE_WEIGHT = 0.35
"""Weight of the template among the donors of a level; a donor with that very level has 1."""
STAND_IN_WEIGHT = 0.35
"""Weight of a donor who has a neighbouring level only."""
CHANGE_SHARE = 0.08
"""Probability that the next level has another donor though this one has it."""
STAND_IN_LEVELS = 2
"""Farthest level, of the same region, whose vertebra may stand in for another."""
BLEND_SHARE = 0.6
"""Share of people with blends, of those with donors."""
BLEND_EVENNESS = 0.7
"""Of the Dirichlet distribution of a blend's weights: below 1 one or two donors outweigh the others."""
BLEND = "blend"
"""Stands for the name of a blend's person."""


@dataclass(frozen=True)
class DonorLibrary:
    """Vertebrae to draw from, each person's levels once.

    Parameters
    ----------
    vertebrae
        Of all donors.
    blend_share
        Share of people with blends, of those with donors. Vertebrae that share a topology are blended.
    """

    vertebrae: tuple[DonorVertebra, ...] = ()
    blend_share: float = BLEND_SHARE
    _by_person: dict[str, dict[int, DonorVertebra]] = field(init=False, repr=False, compare=False)
    _usual: dict[tuple[str, int], DonorVertebra] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_person: dict[str, dict[int, DonorVertebra]] = {name: {} for name in self.people}
        for vertebra in self.vertebrae:
            by_person[vertebra.person][int(vertebra.level)] = vertebra
        usual = {
            (name, level): _resized(v, np.exp(LOG_SIZE[level] - _log_size(own.values())))
            for name, own in by_person.items()
            for level, v in own.items()
            if v.topology
        }
        object.__setattr__(self, "_by_person", by_person)
        object.__setattr__(self, "_usual", usual)

    @property
    def people(self) -> tuple[str, ...]:
        """Names of the donors, in order."""
        return tuple(sorted({vertebra.person for vertebra in self.vertebrae}))

    def without(self, people: Collection[str]) -> "DonorLibrary":
        """The library without some donors."""
        return replace(self, vertebrae=tuple(v for v in self.vertebrae if v.person not in people))

    def joined(self, others: Iterable["DonorLibrary"]) -> "DonorLibrary":
        """This library and others; of a person's level that several have, the last one's is taken."""
        found = {(v.person, v.level): v for library in (self, *others) for v in library.vertebrae}
        return replace(self, vertebrae=tuple(found.values()))

    def nearest(self, person: str, level: int) -> DonorVertebra | None:
        """A person's vertebra for a level: that level's, or one of the same region that is near enough."""
        own = self._by_person[person]
        near = [k for k in own if _serves(k, level)]
        return own[min(near, key=lambda k: (abs(k - level), k))] if near else None

    def draw(self, rng: np.random.Generator) -> list[DonorVertebra | None]:
        """The vertebra that serves for each of the 17 levels of a random person; None for the template."""
        if rng.random() < TEMPLATE_SHARE or not self.vertebrae:
            return [None] * N_LEVELS
        return self._blends(rng) if rng.random() < self.blend_share else self._one_by_one(rng)

    def _one_by_one(self, rng: np.random.Generator) -> list[DonorVertebra | None]:
        """A donor is kept along the spine, from either end, while he has a vertebra for the level."""
        out: list[DonorVertebra | None] = [None] * N_LEVELS
        upwards = rng.random() < 0.5
        current: str | None = None
        for k, level in enumerate(reversed(range(N_LEVELS)) if upwards else range(N_LEVELS)):
            serving = {name: v for name in self.people if (v := self.nearest(name, level)) is not None}
            if not k or rng.random() < CHANGE_SHARE or (current is not None and current not in serving):
                names: list[str | None] = [*serving, None]
                weight = [1.0 if v.level == level else STAND_IN_WEIGHT for v in serving.values()]
                share = np.array([*weight, TEMPLATE_WEIGHT])
                current = names[rng.choice(len(names), p=share / share.sum())]
            out[level] = serving[current] if current is not None else None
        return out

    def _blends(self, rng: np.random.Generator) -> list[DonorVertebra | None]:
        """Convex mixtures of registered vertebrae, with the same weights of donors along the spine.

        Each donor's vertebrae of the level and of its neighbours take part, brought to the size of the
        level. A region has the template's vertebrae as often as where donors are drawn one by one.
        """
        out: list[DonorVertebra | None] = [None] * N_LEVELS
        steps = range(-STAND_IN_LEVELS, STAND_IN_LEVELS + 1)
        parts = {
            (name, step): rng.gamma(BLEND_EVENNESS) * (STAND_IN_WEIGHT if step else 1.0)
            for name in self.people
            for step in steps
        }
        for region in (range(Vertebra.L1), range(Vertebra.L1, N_LEVELS)):
            donors = {name for name, level in self._usual if level in region}
            if rng.random() < TEMPLATE_WEIGHT / (TEMPLATE_WEIGHT + len(donors)):
                continue
            for level in region:
                serving: dict[str, list[tuple[float, DonorVertebra]]] = {}
                for (name, step), weight in parts.items():
                    if level + step in region and (v := self._usual.get((name, level + step))) is not None:
                        v = _resized(v, np.exp(LOG_SIZE[level] - LOG_SIZE[level + step]))
                        serving.setdefault(v.topology, []).append((weight, v))
                if serving:
                    best = max(serving.values(), key=lambda own: sum(weight for weight, _ in own))
                    out[level] = blend(Vertebra(level), [v for _, v in best], np.array([w for w, _ in best]))
        return out


def blend(level: Vertebra, bones: list[DonorVertebra], weight: Float) -> DonorVertebra:
    """The mean, with weights [n], of vertebrae that share a topology.

    Vertices, sizes and, where it is known, mineral and cortex are averaged.
    """
    share = weight / weight.sum()
    points = np.tensordot(share, np.stack([v.mesh.vertices for v in bones]), 1)
    mineral = np.array([v.arch_mineral for v in bones])
    known = np.isfinite(mineral) & (share > 0)
    return replace(
        bones[int(share.argmax())],
        person=BLEND,
        level=level,
        mesh=make_mesh(points, bones[0].mesh.faces),
        size=share @ np.stack([v.size for v in bones]),
        arch_mineral=float(np.average(mineral[known], weights=share[known])) if known.any() else np.nan,
    )


def _serves(own: int, level: int) -> bool:
    """Whether a vertebra of one level may stand for another: near enough, and of the same region."""
    return abs(own - level) <= STAND_IN_LEVELS and (own <= Vertebra.T12) == (level <= Vertebra.T12)


def _log_size(own: Collection[DonorVertebra]) -> float:
    """Log of a person's size over the mean adult's, added to the mean adult's at none of the levels."""
    return float(np.median([np.log(v.size).mean() - LOG_SIZE[v.level] for v in own]))


def _resized(bone: DonorVertebra, factor: float) -> DonorVertebra:
    """A vertebra with all lengths times ``factor``."""
    mesh = replace(bone.mesh, vertices=bone.mesh.vertices * factor)
    return replace(bone, mesh=mesh, size=bone.size * factor)
