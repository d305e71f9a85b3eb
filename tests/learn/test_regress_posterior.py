from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spinelift.bundle import PredictionCard, shipped
from spinelift.bundle.kinds import DxaPreprocessing
from spinelift.bundle.session import OnnxNetwork
from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.learn.export.onnx import export_onnx, smooth_images
from spinelift.learn.loop.checkpoint import load_weights
from spinelift.learn.regressor.calibrate import Gains, Shrunk
from spinelift.learn.regressor.config import RowsConfig
from spinelift.learn.regressor.posterior import (
    LEAST_NOISE,
    LEVELS,
    NOISE,
    PosteriorHead,
    combine,
    invert,
    level_means,
    level_slopes,
    visible,
)
from spinelift.learn.regressor.rows import SLOPE_UNIT
from spinelift.learn.regressor.train import fit_prior, make_network

SMALL = RowsConfig(
    channels=(8, 8, 12, 16), windows=[15], width=32, layers=1, heads=2, head="posterior", modes=5
)


@pytest.fixture
def slopes(tmp_path):
    """Weights of the shipped network without its posterior head."""
    path = tmp_path / "slopes.safetensors"
    shipped_weights = load_file(shipped(PredictionCard) / "regressor.safetensors")
    save_file({k: v for k, v in shipped_weights.items() if not k.startswith("posterior.")}, path)
    return path


def people(n=300, seed=0):
    """Curves [n, 6, 209] with five sagittal modes, more forward at the top than at the bottom."""
    rng = np.random.default_rng(seed)
    z = np.linspace(-1, 1, 209)
    centre = 9 * np.sin(2 * z) + 4 * np.exp(3 * (z - 1))
    for k in range(1, 6):
        wave = np.cos(np.pi * k * (z + 1) / 2 + 0.4)
        centre = centre + 8 / k**1.5 * rng.normal(size=(n, 1)) * (wave - wave.mean())
    curves = np.zeros((n, 6, 209))
    curves[:, :3] = 112 + np.array([9.0, 0.0, -9.0])[:, None]
    curves[:, 3:] = (centre - centre.mean(1, keepdims=True))[:, None] + np.array([-12.0, 0.0, 17.0])[:, None]
    return torch.from_numpy(curves).float()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = make_network(SMALL).eval()
    fit_prior(model, people())
    torch.nn.init.normal_(model.curves.weight, std=0.05)
    torch.nn.init.normal_(model.posterior.noise.weight, std=0.2)
    return model


def test_it_is_the_posterior_of_a_direct_solution():
    rng = np.random.default_rng(1)
    basis, reading, sd = rng.normal(size=(LEVELS, 6)), rng.normal(size=(3, LEVELS)), rng.uniform(0.1, 3, 26)
    weight = np.tile(1 / sd**2, (3, 1))
    got = combine(*(torch.from_numpy(a).float() for a in (reading, weight, basis.T)))
    precision = np.eye(6) + basis.T @ np.diag(1 / sd**2) @ basis
    mean = np.linalg.solve(precision, basis.T @ np.diag(1 / sd**2) @ reading.T).T
    np.testing.assert_allclose(got.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.covariance[0], np.linalg.inv(precision), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(got.log_det[0], np.linalg.slogdet(precision)[1], rtol=1e-5)
    true = torch.from_numpy(rng.normal(size=(3, 6))).float()
    normal = torch.distributions.MultivariateNormal(got.mean, precision_matrix=got.precision)
    constant = 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(got.nll(true) + constant, -normal.log_prob(true) / 6)


@pytest.mark.parametrize("size", [1, 4, 12])
def test_the_inverse_holds_for_sharp_readings(size):
    """Precisions of noise near the least one, whose eigenvalues span four orders."""
    generator = torch.Generator().manual_seed(0)
    axes, _ = torch.linalg.qr(torch.randn(5, size, size, dtype=torch.float64, generator=generator))
    matrix = axes @ torch.diag(torch.logspace(0, 4, size, dtype=torch.float64)) @ axes.mT
    inverse, log_det = invert(matrix)
    torch.testing.assert_close(inverse, torch.linalg.inv(matrix), atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(log_det, torch.logdet(matrix))


def test_levels_take_slopes_as_the_sum_over_rows_gives_them():
    rows = torch.randn(2, 209)
    torch.testing.assert_close(level_slopes(rows.cumsum(1)), level_means(rows), atol=1e-5, rtol=0)
    assert level_means(rows).shape == (2, LEVELS)


def test_the_prior_holds_the_people_it_was_fitted_to(network):
    curves, head = people(), network.posterior
    true = network.coefficients(curves)
    torch.testing.assert_close(true.T @ true / len(true), torch.eye(5), atol=1e-3, rtol=0)
    deviation = (curves - network.mean_curves)[:, Curve.SAGITTAL]
    torch.testing.assert_close(true @ head.modes, deviation, atol=1e-2, rtol=0)
    assert head.rest_px.max() < 1e-4


def posterior_of(head, curve, log_noise):
    """What is made of exact readings of a curve [209], with the same noise at all levels."""
    slope = torch.cat([torch.zeros(1), curve.diff()])[None]
    return head.curve(head(slope, torch.full((1, 209), log_noise), torch.ones(1, LEVELS)))


def test_between_no_noise_and_no_reading(network):
    """Exact readings give the projection on the modes; endless noise gives mean and variance of the prior."""
    head, curves = network.posterior, people(seed=3)[0]
    deviation = (curves - network.mean_curves)[Curve.SAGITTAL]
    exact, sure = posterior_of(head, deviation, -50.0)
    torch.testing.assert_close(exact[0], deviation, atol=0.2, rtol=0)
    nothing, unsure = posterior_of(head, deviation, 50.0)
    assert nothing.abs().max() < 0.02 * deviation.abs().max()
    torch.testing.assert_close(unsure[0], head.modes.square().sum(0), rtol=1e-2, atol=1e-3)
    assert (sure < 0.01 * unsure).all()
    wave = 3 * torch.sin(torch.linspace(0, 60, 209))  # of no person: exact readings do not make it one
    assert posterior_of(head, wave, -50.0)[0].abs().max() < 1.5


def test_levels_with_more_noise_weigh_less(network):
    """Sure readings of the lower half, unsure ones above; the errors are those that the variance says."""
    torch.manual_seed(0)
    head = network.posterior
    deviation = (people(seed=4) - network.mean_curves)[:, Curve.SAGITTAL]
    slope = torch.cat([torch.zeros(len(deviation), 1), deviation.diff()], 1)
    noise = torch.where(torch.arange(209) < 105, 3.0, -3.0).expand_as(slope)
    sd = (LEAST_NOISE**2 + NOISE**2 * level_means(noise).exp()).sqrt()
    slope[:, 1:] += (sd * torch.randn_like(sd)).repeat_interleave(8, 1)
    got, variance = head.curve(head(slope, noise, torch.ones(len(slope), LEVELS)))
    error = level_slopes(got - deviation).square().mean(0).sqrt()
    assert error[14:].mean() < 0.3 * error[:12].mean()
    assert variance.shape == deviation.shape
    assert (got - deviation).square().mean() == pytest.approx(float(variance.mean()), rel=0.2)


@pytest.mark.parametrize("sign", [1, -1])
def test_front_and_back_are_kept_apart(network, sign):
    """An uneven profile keeps its sign and its ends; the posterior curve lies behind the anterior one."""
    model, steps = network, torch.linspace(-0.2, 0.4, 209)
    slope = sign * steps.expand(1, -1)
    with torch.inference_mode():
        mean, _ = model.posterior.curve(
            model.posterior(slope, torch.full((1, 209), -4.0), torch.ones(1, LEVELS))
        )
        out = model(smooth_images(2, (224, 224)))
    given = (sign * steps).cumsum(0)
    assert np.corrcoef(mean[0], given)[0, 1] > 0.95
    front, centre, back = out.curves[0, 3:]
    assert (front < centre).all()
    assert (back > centre).all()
    assert abs(float(centre.mean())) < 1e-3


def test_a_blank_image_gives_the_mean_curve_and_the_prior_s_interval(network):
    with torch.inference_mode():
        blank = network(torch.full((2, 1, 224, 224), 80.0))
        read = network(smooth_images(2, (224, 224)))
    usual = network.mean_curves[Curve.SAGITTAL].expand(2, -1)
    torch.testing.assert_close(blank.curves[:, Curve.SAGITTAL], usual, atol=1e-3, rtol=0)
    assert (read.curves[:, Curve.SAGITTAL] - usual).abs().max() > 0.1
    prior = network.posterior.modes.square().sum(0)
    assert (blank.scale[:, Curve.SAGITTAL].square() >= prior / 2).all()
    assert blank.scale[:, Curve.SAGITTAL].mean() > read.scale[:, Curve.SAGITTAL].mean()
    assert visible(torch.zeros(1, 3, 224, 64)).max() == 0


def test_half_a_blank_strip_is_half_a_reading():
    strip = torch.randn(1, 3, 224, 64)
    strip[:, :, :112] = 0.0
    seen = visible(strip)[0]
    assert seen[:13].max() == 0
    assert seen[13:].min() > 0.9


def test_onnx_and_torch_agree(network, tmp_path):
    signature = DxaPreprocessing().signatures()["regressor"]
    images = smooth_images(3, (224, 224))
    images[2] = 0.0
    model = Shrunk(network, network.mean_curves.double().numpy(), Gains(0.8, 0.9)).eval()
    export_onnx(model, tmp_path / "regressor.onnx", images, signature)
    got = OnnxNetwork((tmp_path / "regressor.onnx").read_bytes(), "regressor", signature)(images.numpy())
    with torch.inference_mode():
        wanted = model(images)
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


def test_it_starts_from_weights_of_the_slopes_head(slopes):
    """Its slopes become readings, and only the new head keeps its first values."""
    model = make_network(RowsConfig(head="posterior")).eval()
    new = load_weights(model, slopes, new=("posterior.",))
    assert set(new) == {name for name in model.state_dict() if name.startswith("posterior.")}
    old = make_network(RowsConfig()).eval()
    assert load_weights(old, slopes) == []
    fit_prior(model, people())
    old.mean_curves.copy_(model.mean_curves)
    image = smooth_images(2, (224, 224))
    with torch.inference_mode():
        now, before = model(image).curves, old(image).curves
    torch.testing.assert_close(now[:, :3], before[:, :3])
    sides = [c[:, 3::2] - c[:, 4:5] for c in (now, before)]
    torch.testing.assert_close(*sides, atol=1e-4, rtol=1e-4)
    # sure readings of the same slopes give the old curve, as far as the prior has it
    rows = (before - model.mean_curves)[:, Curve.SAGITTAL]
    slope = torch.cat([rows[:, :1] * 0, rows.diff()], 1)
    assert slope.abs().max() < 50 * SLOPE_UNIT


def test_a_part_is_new_as_a_whole_or_not_at_all(slopes, tmp_path):
    whole = make_network(SMALL)
    state = {k: v.clone() for k, v in whole.state_dict().items()}
    path = Path(tmp_path / "cut.safetensors")
    save_file({k: v for k, v in state.items() if k != "posterior.noise.bias"}, path)
    with pytest.raises(ConfigError, match="another network"):
        load_weights(make_network(SMALL), path, new=("posterior.",))
    save_file(state, path)
    assert load_weights(make_network(SMALL), path, new=("posterior.",)) == []
    with pytest.raises(ConfigError, match="another network"):
        load_weights(make_network(SMALL.model_copy(update={"head": "slopes"})), path, new=("posterior.",))
    with pytest.raises(ConfigError, match="another network"):
        load_weights(make_network(RowsConfig(head="posterior")), slopes)


def test_the_likelihood_learns_which_levels_are_read():
    """Readings with noise of 0.02 in the lower half and 0.6 in the upper: the noise is found again."""
    torch.manual_seed(0)
    model = make_network(SMALL)
    fit_prior(model, people())
    head: PosteriorHead = model.posterior
    deviation = (people(seed=5) - model.mean_curves)[:, Curve.SAGITTAL]
    true = head.coefficients(deviation)
    size = torch.where(torch.arange(LEVELS) < 13, 0.6, 0.02)
    raw = torch.zeros(LEVELS, requires_grad=True)
    optimizer = torch.optim.Adam([raw], 0.2)
    for _ in range(150):
        slope = level_slopes(deviation) + size * torch.randn(len(deviation), LEVELS)
        rows = torch.cat([torch.zeros(1), raw.repeat_interleave(8)]).expand(len(deviation), -1)
        slopes = torch.cat([torch.zeros(len(slope), 1), slope.repeat_interleave(8, 1)], 1)
        loss = head(slopes, rows, torch.ones(len(slope), LEVELS)).nll(true).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = (raw.detach() / 2).exp() * 0.1
    assert found[:13].median() == pytest.approx(0.6, rel=0.5)
    assert found[13:].median() == pytest.approx(0.02, rel=0.6)
