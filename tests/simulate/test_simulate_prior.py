from pathlib import Path

import numpy as np
import pytest

from spinelift.errors import ConfigError
from spinelift.geometry import Vertebra
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import (
    N_STEPS,
    PRONE,
    ShapePrior,
    features_of,
    fit,
    fit_table,
    read_centres,
    usable,
)
from spinelift.simulate.body.spine import sample_spine

PEOPLE = 400


@pytest.fixture(scope="module")
def shapes(prior):
    out = []
    for n in range(PEOPLE):
        rng = np.random.default_rng([5, n])
        physique = sample_physique(rng)
        out.append((physique, sample_spine(prior, physique, rng).centres))
    return out


def sagittal_deg(centres):
    """Angle of the tangent at every level; positive where the spine runs backwards on its way down."""
    return np.degrees(np.arctan2(np.gradient(centres[:, 1]), np.gradient(centres[:, 2])))


def test_centres_and_features_are_inverse(prior):
    rng = np.random.default_rng(3)
    features = prior.sample(rng)
    centres = prior.centres(features, scale=1.1)
    again = features_of(centres, prior.step_mm)
    np.testing.assert_allclose(again[: 2 * N_STEPS], features[: 2 * N_STEPS], atol=1e-9)
    length = features[2 * N_STEPS :]
    np.testing.assert_allclose(again[2 * N_STEPS :], length - length.mean(), atol=1e-9)
    np.testing.assert_allclose(centres.mean(0), 0, atol=1e-9)
    scale = np.exp(length.mean() / 100) * 1.1
    np.testing.assert_allclose(prior.centres(again, scale=scale), centres, atol=1e-8)


def test_distance_is_one_for_a_typical_spine(prior):
    rng = np.random.default_rng(0)
    q = prior.modes.shape[1]
    noise = rng.normal(size=(300, 48)) * prior.noise
    d = [prior.distance(prior.mean + prior.modes @ rng.normal(size=q) + e) for e in noise]
    assert np.mean(np.square(d)) == pytest.approx(1, abs=0.05)
    assert prior.distance(prior.mean) == 0


def test_kyphosis_and_lordosis_are_those_of_supine_people(shapes):
    tangents = np.array([sagittal_deg(c) for _, c in shapes])
    kyphosis = tangents[:, Vertebra.T4] - tangents[:, Vertebra.T12]
    lordosis = tangents[:, Vertebra.L5] - tangents[:, Vertebra.L1]
    assert kyphosis.mean() == pytest.approx(31, abs=4)
    assert 7 < kyphosis.std() < 15
    assert lordosis.mean() == pytest.approx(27, abs=5)
    assert 8 < lordosis.std() < 17


def test_both_sides_both_sexes_and_all_heights(shapes):
    height = np.array([p.height_mm for p, _ in shapes])
    assert height.min() < 1500
    assert height.max() > 1900
    assert 0.42 < np.mean([p.female for p, _ in shapes]) < 0.62
    side = np.array(
        [c[:, 0][np.argmax(np.abs(c[:, 0] - c[:, 0].mean()))] > c[:, 0].mean() for _, c in shapes]
    )
    assert 0.4 < side.mean() < 0.6
    length = np.array([np.linalg.norm(np.diff(c, axis=0), axis=1).sum() for _, c in shapes])
    assert np.corrcoef(length, height)[0, 1] > 0.8
    assert all((np.diff(c[:, 2]) > 8).all() for _, c in shapes)


def test_em_finds_a_known_model_with_missing_ends():
    rng = np.random.default_rng(1)
    k = np.linspace(0, 1, N_STEPS)
    mode = np.concatenate([4 * np.cos(np.pi * k), 6 * np.cos(2 * np.pi * k), 0 * k])
    mean = np.concatenate([0 * k, 20 * np.cos(3 * k), 2 * k])
    features = mean + rng.normal(size=(400, 1)) * mode + rng.normal(0, 0.5, (400, 48))
    for row in features:
        first = rng.integers(0, 6)
        gone = np.r_[0:first, N_STEPS - rng.integers(0, 5) : N_STEPS]
        row[np.concatenate([gone, gone + N_STEPS, gone + 2 * N_STEPS])] = np.nan
    found = fit(features, np.full(N_STEPS, 25.0), modes_per_kind=2, iterations=60)
    np.testing.assert_allclose(found.mean, mean, atol=1.2)
    largest = found.modes[:, np.argmax((found.modes**2).sum(0))]
    cosine = largest @ mode / np.linalg.norm(largest) / np.linalg.norm(mode)
    assert abs(cosine) > 0.98
    assert found.noise == pytest.approx(0.5, rel=0.15)


def write_table(path, spines):
    rows = ["spine_id,level,x_mm,y_mm,z_mm"]
    for name, centres in spines.items():
        rows += [
            f"{name},{Vertebra(i).name},{x},{y},{-z}" for i, (x, y, z) in enumerate(centres) if np.isfinite(x)
        ]
    path.write_text("\n".join([*rows, "s0,C7,0,0,0"]))
    return path


def test_fitting_from_a_table_leaves_complete_spines_out(prior, tmp_path):
    rng = np.random.default_rng(4)
    spines = {f"s{n}": prior.centres(prior.sample(rng)) for n in range(30)}
    for n in range(24):
        gone = 1 + n % 5
        spines[f"s{n}"][slice(gone) if n % 2 else slice(-gone, None)] = np.nan
    table = write_table(tmp_path / "centres.csv", spines)
    read = read_centres(table)
    np.testing.assert_allclose(read["s7"], spines["s7"])
    fitted, used = fit_table(table, tmp_path / "prior.json")
    assert used == 24
    np.testing.assert_allclose(ShapePrior.load(tmp_path / "prior.json").mean, fitted.mean, atol=1e-4)
    assert fit_table(table, tmp_path / "prior.json", keep_complete=True)[1] == 30


def test_prone_spines_are_left_out(prior, tmp_path):
    """Colonographies outnumbered the others, and drew the thorax, of which they show nothing, aside."""
    rng = np.random.default_rng(5)
    rows = ["spine_id,source,level,x_mm,y_mm,z_mm"]
    for n in range(40):
        centres, source = prior.centres(prior.sample(rng)), "verse19" if n < 25 else PRONE
        seen = [i for i in range(17) if (i < 16 if n % 2 else i > 0)]
        xyz = ((Vertebra(i).name, *centres[i]) for i in seen)
        rows += [f"s{n},{source},{level},{x},{y},{-z}" for level, x, y, z in xyz]
    table = tmp_path / "centres.csv"
    table.write_text("\n".join(rows))
    assert len(read_centres(table)) == 40
    assert fit_table(table, tmp_path / "prior.json")[1] == 25


TABLE = Path(__file__).parents[3] / "shared" / "data" / "ct_spine_centroids.csv"


@pytest.mark.skipif(not TABLE.is_file(), reason="needs the table of vertebral centres")
def test_the_mean_is_that_of_complete_spines_which_it_was_not_fitted_to(prior):
    complete = [c for c in read_centres(TABLE).values() if np.isfinite(c).all()]
    angles = np.array([features_of(c, prior.step_mm)[N_STEPS : 2 * N_STEPS] for c in complete])
    assert np.abs(prior.mean[N_STEPS : 2 * N_STEPS] - angles.mean(0)).max() < 3.5


def test_gaps_short_spines_and_odd_steps_are_not_usable(prior):
    centres = prior.centres(prior.mean)
    assert usable(centres, prior.step_mm)
    gap, short, odd = centres.copy(), centres.copy(), centres.copy()
    gap[8] = np.nan
    short[5:] = np.nan
    odd[9:, 2] += 30
    assert not any(usable(c, prior.step_mm) for c in (gap, short, odd))


def test_a_table_without_the_columns_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,level\n1,T1\n")
    with pytest.raises(ConfigError, match=r"a\.csv"):
        read_centres(tmp_path / "a.csv")
