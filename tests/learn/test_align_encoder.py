"""Encoders, contrast, training and the same features without torch; seconds on one core."""

import json

import numpy as np
import pytest
from scipy import signal

torch = pytest.importorskip("torch")

from spinelift.align.onnx import canvas_pixels, load_encoders  # noqa: E402
from spinelift.align.plane import MRI, PlaneImage  # noqa: E402
from spinelift.align.search import search  # noqa: E402
from spinelift.errors import BundleError, ConfigError  # noqa: E402
from spinelift.geometry import PixelGrid, Spacing  # noqa: E402
from spinelift.learn.aligner.config import AlignerConfig  # noqa: E402
from spinelift.learn.aligner.encoder import Aligner, info_nce, pair_scores  # noqa: E402
from spinelift.learn.aligner.pairs import load_pairs, save_pairs  # noqa: E402
from spinelift.learn.aligner.train import augment_pairs, load_aligner, train_aligner  # noqa: E402
from spinelift.learn.random import Random  # noqa: E402

NETWORKS = ("card.json", "dxa.onnx", "mri.onnx")
CONFIG = AlignerConfig.model_validate(
    {
        "encoder": {"channels": [4, 8, 8], "features": 8},
        "canvas": {"pixel_mm": 8.0, "dxa": [64, 48], "mri": [48, 32]},
        "augment": {"rotation_deg": 1.0, "shift_px": 1, "gamma": 0.1, "noise": 0.01},
        "optim": {"rate": 1.0e-2},
        "loop": {"seed": 1, "batch": 4, "steps": 30, "ema": 0.5, "threads": 1, "log_every": 10},
    }
)


def pair(seed):
    """Blobs of one person: bright on the DXA, dark in water and bright in fat, 16 mm further left."""
    rng = np.random.default_rng(seed)
    blobs = np.column_stack([rng.uniform(80, 400, 5), rng.uniform(60, 300, 5), rng.uniform(20, 50, 5)])

    def image(shape, x_mm, z_mm):
        rows, cols = np.meshgrid(*(8.0 * np.arange(n) for n in shape), indexing="ij")
        return sum(np.exp(-((rows + z_mm - z) ** 2 + (cols + x_mm - x) ** 2) / 2 / s**2) for z, x, s in blobs)

    def plane(pixels):
        pixels = np.asarray(pixels, np.float32)
        grid = PixelGrid((0.0, 0.0), Spacing(8.0, 8.0), pixels.shape[1:])
        return PlaneImage(pixels, grid, np.ones(grid.shape, bool))

    mri = image((48, 32), 64.0, 64.0)
    return plane(20 + 200 * image((64, 48), 0.0, 0.0)[None]), plane([900 / (1 + mri), 20 + 300 * mri])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligner")
    train = save_pairs(folder / "train.npz", [pair(k) for k in range(12)], CONFIG.canvas)
    held_out = save_pairs(folder / "val.npz", [pair(100 + k) for k in range(6)], CONFIG.canvas)
    outcome = train_aligner(CONFIG, data=[train], validation=held_out, out=folder / "run")
    return folder, outcome


def test_the_packaged_config_has_the_numbers_of_the_paper():
    config = AlignerConfig.load("align.yaml")
    assert config.temperature == 0.1
    assert config.canvas.dxa[0] % 8 == 0


def test_canvases_of_broken_cells_are_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        AlignerConfig.model_validate(
            {"canvas": {"dxa": [63, 48]}, "optim": {"rate": 1}, "loop": {"steps": 1}}
        )


def test_features_have_length_one_and_empty_cells_none():
    torch.manual_seed(0)
    image = torch.rand(1, 2, 48, 32)
    image[:, :, :16] = 0
    with torch.inference_mode():
        length = Aligner(CONFIG.encoder).eval().mri(image).norm(dim=1)[0]
    assert length.shape == (6, 4)
    assert (length[:2] == 0).all()
    torch.testing.assert_close(length[2:], torch.ones(4, 4), atol=1e-4, rtol=0)


def test_the_score_is_the_largest_correlation():
    generator = torch.Generator().manual_seed(2)
    dxa = torch.nn.functional.normalize(torch.randn(2, 3, 8, 6, generator=generator), dim=1)
    mri = torch.stack([dxa[0, :, 1:7, 2:6], dxa[1, :, 2:8, 0:4]])
    scores = pair_scores(dxa, mri)
    torch.testing.assert_close(scores.diagonal(), torch.ones(2))
    assert scores[0, 1] < 0.9
    largest = sum(signal.correlate(d, m) for d, m in zip(dxa[1].numpy(), mri[0].numpy(), strict=True)).max()
    assert scores[1, 0] == pytest.approx(largest / 24, abs=0.2)


@pytest.mark.parametrize(("dxa", "mri"), [((20, 9), (13, 6)), ((8, 6), (6, 4)), ((7, 7), (9, 9))])
def test_scores_by_fft_are_those_of_a_plain_correlation(dxa, mri):
    generator = torch.Generator().manual_seed(4)
    a, b = (torch.randn(n, 5, *shape, generator=generator) for n, shape in ((3, dxa), (2, mri)))
    spare = tuple(m - (min(d, m) + 1) // 2 for d, m in zip(dxa, mri, strict=True))
    plain = torch.nn.functional.conv2d(a, b, padding=spare).amax((2, 3)) / (mri[0] * mri[1])
    torch.testing.assert_close(pair_scores(a, b), plain)


def test_info_nce_is_least_where_pairs_match():
    right, blind = info_nce(torch.eye(4), 0.1), info_nce(torch.ones(4, 4), 0.1)
    assert right < 0.001
    assert blind == pytest.approx(np.log(4), abs=1e-5)


def test_augmentation_turns_the_feet_where_the_config_says_and_can_do_nothing():
    off = CONFIG.augment.model_copy(update={"rotation_deg": 0.0, "shift_px": 0, "gamma": 0.0, "noise": 0.0})
    dxa, mri = torch.rand(3, 1, 64, 48), torch.rand(3, 2, 48, 32)
    got = augment_pairs(dxa, mri, off, Random("cpu", 1))
    torch.testing.assert_close(got[0], dxa, atol=2e-4, rtol=0)
    torch.testing.assert_close(got[1], mri, atol=2e-4, rtol=0)
    turned = off.model_copy(update={"rotation_deg": 20.0})
    spot = torch.zeros(8, 2, 48, 32)
    spot[:, :, 40:43, 15:18] = 1.0
    _, moved = augment_pairs(dxa[:1].expand(8, 1, 64, 48), spot, turned, Random("cpu", 1))
    rows, cols = torch.meshgrid(torch.arange(48.0), torch.arange(32.0), indexing="ij")
    mass = moved[:, 0].sum((1, 2))
    z, x = ((moved[:, 0] * v).sum((1, 2)) / mass for v in (rows, cols))
    distance = torch.hypot(z - 23.5, x - 15.5)
    torch.testing.assert_close(distance, torch.full((8,), 17.5), atol=0.4, rtol=0)


def test_training_brings_pairs_together_and_leaves_networks(run):
    folder, outcome = run
    assert outcome.validation["info_nce"] < 1.6  # log 6 = 1.79 knows nothing
    names = {p.name for p in (folder / "run").iterdir()}
    assert {*NETWORKS, "weights.safetensors", "config.yaml", "run.json"} <= names


def test_onnx_gives_what_torch_gives_and_can_be_searched_with(run):
    folder, _ = run
    features = load_encoders(folder / "run")
    dxa, mri = pair(7)
    got = features.dxa(PlaneImage(dxa.pixels, dxa.grid, dxa.valid))
    model, _ = load_aligner(folder / "run")
    with torch.inference_mode():
        wanted = model.dxa(torch.from_numpy(canvas_pixels(dxa))[None])[0]
    np.testing.assert_allclose(got.values, wanted.numpy(), atol=1e-3)
    assert (got.cell_px, got.first_px) == (8, 3.5)
    found = search(features, dxa, mri)
    assert found.source == MRI


def test_what_is_altered_or_missing_is_refused(run, tmp_path):
    folder, _ = run
    for name in NETWORKS:
        (tmp_path / name).write_bytes((folder / "run" / name).read_bytes())
    load_encoders(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["training"]["people"] == 12
    for lacking in ("pixel_mm", "dxa_shape"):
        part = {k: v for k, v in card["preprocessing"].items() if k != lacking}
        (tmp_path / "card.json").write_text(json.dumps({**card, "preprocessing": part}))
        with pytest.raises(BundleError, match=lacking):
            load_encoders(tmp_path)
    other = {**card["preprocessing"], "dxa_shape": [72, 48]}
    (tmp_path / "card.json").write_text(json.dumps({**card, "preprocessing": other}))
    with pytest.raises(BundleError, match="dxa whose inputs are"):
        load_encoders(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "mri.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"mri\.onnx with SHA-256"):
        load_encoders(tmp_path)


def test_pairs_of_another_canvas_are_refused(run, tmp_path):
    folder, _ = run
    with pytest.raises(ConfigError, match=r"train\.npz"):
        load_pairs([folder / "train.npz"], AlignerConfig.load("align.yaml").canvas)
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"bad\.npz"):
        load_pairs([tmp_path / "bad.npz"], CONFIG.canvas)
