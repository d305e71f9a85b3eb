import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from spinelift.errors import ConfigError
from spinelift.geometry import SPINE_CROP_ROWS
from spinelift.learn.regressor.config import LossConfig, PaperConfig, RegressorConfig, RowsConfig
from spinelift.learn.regressor.head import Prediction
from spinelift.learn.regressor.layers import Block, Normalise
from spinelift.learn.regressor.rows import (
    SLOPE_UNIT,
    row_weights,
    sagittal_from_slopes,
    straighten,
)
from spinelift.learn.regressor.train import make_network, regressor_losses, weights_source

SMALL = PaperConfig(kind="paper", backbone="resnet10t", pretrained=False, bot_width=32, heads=2)


def test_rows_read_where_their_tokens_lie():
    """A curve that is linear in the crop's rows comes back exactly from tokens at rows 4 i + 1.5."""
    tokens = 4 * torch.arange(56) + 1.5
    got = tokens @ row_weights(SPINE_CROP_ROWS.tolist())
    torch.testing.assert_close(got.double(), torch.from_numpy(SPINE_CROP_ROWS), atol=1e-4, rtol=0)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (1, 1)])
def test_blocks_are_centred(stride):
    """With kernels that are symmetric, a mirrored image gives mirrored features."""
    block = Block(3, 4, stride).eval()
    for conv in (block.conv1, block.conv2):
        conv.weight.data = conv.weight.data + conv.weight.data.flip(2, 3)
        conv.weight.data = conv.weight.data + conv.weight.data.flip(3)
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(block(x.flip(2, 3)), block(x).flip(2, 3), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", [RowsConfig(), SMALL, SMALL.model_copy(update={"bot_layers": 0})])
def test_networks_share_one_interface(config):
    mean = torch.randn(6, 209)
    mean[3:] -= mean[4].mean()
    model = make_network(config, mean).eval()
    with torch.inference_mode():
        got = model(torch.rand(2, 1, 224, 224) * 255)
    assert isinstance(got, Prediction)
    assert got.curves.shape == got.scale.shape == (2, 6, 209)
    assert got.features.ndim == 2
    curves, usual = got.curves[0], mean.clone()
    if isinstance(config, RowsConfig):  # which finds the centre in the image: widths are the mean's
        curves, usual = (c - torch.cat([c[1:2].expand(3, -1), torch.zeros(3, 209)]) for c in (curves, usual))
    torch.testing.assert_close(curves, usual, atol=1e-4, rtol=0)
    torch.testing.assert_close(got.scale, torch.full((2, 6, 209), 2.05), atol=1e-3, rtol=0)


def test_the_strip_follows_the_spine():
    """A bright pixel at the centre of its row comes to the middle of the strip, whatever its column."""
    image = torch.zeros(1, 1, 224, 224)
    centre = 80 + 40 * torch.sin(torch.arange(224) / 40)
    columns = centre.round().long()
    image[0, 0, torch.arange(224), columns] = 1.0
    strip = straighten(image, columns[None].float() + 0.5)[0, 0]
    torch.testing.assert_close(strip[:, 31], torch.ones(224), atol=1e-4, rtol=0)
    left_of_it = straighten(image, columns[None].float() + 3.5)[0, 0]
    torch.testing.assert_close(left_of_it[:, 28], torch.ones(224), atol=1e-4, rtol=0)


def test_slopes_add_up_to_the_sagittal_curve():
    heads = torch.zeros(1, 3, 209)
    heads[:, 0], heads[:, 1], heads[:, 2] = -1.0, 2.0, 1.5
    front, centre, back = sagittal_from_slopes(heads)[0]
    torch.testing.assert_close(centre.diff(), torch.full((208,), 2.0 * SLOPE_UNIT), atol=1e-5, rtol=0)
    assert abs(float(centre.mean())) < 1e-4
    torch.testing.assert_close(front, centre - 1.0)
    torch.testing.assert_close(back, centre + 1.5)


def test_the_rows_network_is_small():
    count = sum(p.numel() for p in make_network(RowsConfig()).parameters())
    assert 0.6e6 < count < 1.3e6


def test_the_transformer_layer_is_what_the_ablation_lacks():
    with_bot, without = (make_network(SMALL.model_copy(update={"bot_layers": n})) for n in (1, 0))
    names = set(with_bot.state_dict()) - set(without.state_dict())
    assert any("pos_embed.height_rel" in n for n in names)
    assert all(n.startswith("bot.") for n in names)


def shapes(model, modules):
    """Shapes of what each module is given when an image runs through the network."""
    seen = []
    for module in modules:
        module.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[1:])))
    with torch.inference_mode():
        curves = model.eval()(torch.rand(1, 1, 224, 224) * 255).curves
    return [*seen, tuple(curves.shape[1:])]


@pytest.mark.parametrize(("name", "layers"), [("paper", 1), ("resnet50", 0), ("paper_stack", 3)])
def test_the_shapes_of_the_papers_network(name, layers):
    """7 × 7 × 2048 → 49 tokens (paper, 2.3) → 2048 → 6 × 209."""
    config = RegressorConfig.load(f"{name}.yaml").network
    model = make_network(config)
    inner = [part for layer in model.bot for part in (layer, layer.attention.pos_embed)]
    heads, tokens, width = 4, 49, 128
    expected = [(2048, 7, 7), (tokens, width)] * layers
    assert shapes(model, [*inner, model.curves]) == [*expected, (2048,), (6, 209)]
    assert len(model.bot) == layers
    assert all(layer.attention.num_heads == heads for layer in model.bot)


def test_weights_that_cannot_be_had_stop_the_training(monkeypatch):
    real = timm.create_model

    def offline(name, *, pretrained=False, **kwargs):
        if pretrained:
            raise OSError("the hub is out of reach")
        return real(name, **kwargs)

    monkeypatch.setattr(timm, "create_model", offline)
    wanted = SMALL.model_copy(update={"pretrained": True})
    with pytest.raises(ConfigError, match=r"OSError.*--weights FILE, or --from-scratch"):
        make_network(wanted, load=True)
    make_network(wanted)  # weights of a run follow
    make_network(SMALL, load=True)


def test_weights_of_a_file_are_used_recorded_and_checked(tmp_path):
    """The backbone's own loader expects the arrays of BiT, not a state dict."""
    config = PaperConfig(kind="paper", backbone="resnetv2_50x1_bit.goog_in21k", bot_layers=0)
    given = timm.create_model(config.backbone, num_classes=0)
    save_file(given.state_dict(), tmp_path / "bit.safetensors")
    config = config.model_copy(update={"weights": str(tmp_path / "bit.safetensors")})
    model = make_network(config, load=True)
    assert torch.equal(model.backbone.stem.conv.weight, given.stem.conv.weight)
    assert re.fullmatch(r".*goog_in21k from bit.safetensors, SHA-256 [0-9a-f]{64}", weights_source(config))
    assert weights_source(SMALL) is None
    with pytest.raises(ConfigError, match="no file gone"):
        weights_source(config.model_copy(update={"weights": str(tmp_path / "gone")}))
    (tmp_path / "bit.safetensors").write_bytes(b"no weights at all, but some bytes")
    with pytest.raises(ConfigError, match=r"from bit\.safetensors"):
        make_network(config, load=True)


@pytest.mark.parametrize("config", [RowsConfig(), SMALL])
def test_bfloat16_keeps_curves_precise(config):
    """Coordinates of 200 px have steps of 1 px in bfloat16: they must be computed in float32."""
    torch.manual_seed(0)
    mean = torch.linspace(60, 160, 209).expand(6, 209).clone()
    model = make_network(config, mean).eval()
    image = torch.nn.functional.interpolate(torch.rand(2, 1, 14, 14) * 255, (224, 224), mode="bilinear")
    with torch.inference_mode():
        full = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(image)
    assert half.curves.dtype == torch.float32
    steps = half.curves.diff(dim=2)[:, 0, 60:140]
    torch.testing.assert_close(steps, full.curves.diff(dim=2)[:, 0, 60:140], atol=0.1, rtol=0)
    torch.testing.assert_close(half.curves, full.curves, atol=1.0, rtol=0)


def test_local_contrast_forgets_gain_and_slow_shading():
    normalise = Normalise((15,), floor=0.001)
    x = (100 + 50 * torch.rand(1, 1, 64, 64)).clamp(0, 255)
    shading = torch.linspace(0.6, 1.0, 64)[None, None, :, None]
    plain, shaded = normalise(x), normalise(x * shading)
    inner = (slice(None), 1, slice(10, -10), slice(10, -10))
    torch.testing.assert_close(plain[inner], shaded[inner], atol=0.25, rtol=0)
    assert torch.corrcoef(torch.stack([plain[inner].flatten(), shaded[inner].flatten()]))[0, 1] > 0.99
    assert normalise(torch.zeros(1, 1, 64, 64)).abs().max() < 1e-3


def test_loss_parts():
    curves = torch.zeros(1, 6, 209)
    prediction = Prediction(curves + 2.0, torch.ones(1, 6, 209), torch.zeros(1, 4))
    got = regressor_losses(prediction, curves, LossConfig(nll=0.5, smooth=1.0, sagittal=3.0))
    assert got["l1"] == pytest.approx(2)
    assert got["nll"] == pytest.approx(torch.log(torch.tensor(2.0)).item() + 2)
    assert got["smooth"] == pytest.approx(0, abs=1e-8)
    assert got["loss"] == pytest.approx(2 + 0.5 * (2 + 0.6931), rel=1e-3)


def test_the_likelihood_moves_the_scale_alone():
    curves = torch.ones(1, 6, 209, requires_grad=True)
    scale = torch.ones(1, 6, 209, requires_grad=True)
    prediction = Prediction(curves, scale, torch.zeros(1, 4))
    target = torch.zeros(1, 6, 209)
    regressor_losses(prediction, target, LossConfig(l1=0, smooth=0))["loss"].backward()
    assert curves.grad is None or not curves.grad.any()
    assert scale.grad is not None


def test_unknown_rows_change_neither_loss_nor_gradient():
    torch.manual_seed(0)
    config = LossConfig(nll=0.5, smooth=0.0, slope=0.3, sagittal=2.0)
    valid = torch.zeros(3, 209)
    valid[0, :120], valid[1, 90:], valid[2] = 1, 1, 1
    curves, wrong = torch.randn(3, 6, 209), torch.randn(3, 6, 209)
    spoilt = torch.where(valid[:, None] > 0, curves, curves + 50)
    spoilt[:, 3:] += 7.0  # the sagittal zero of a part of a spine is not known
    spoilt[2] = curves[2]
    losses, slopes = [], []
    for target in (curves, spoilt):
        given = wrong.clone().requires_grad_()
        prediction = Prediction(given, torch.ones(3, 6, 209), torch.zeros(3, 4))
        parts = regressor_losses(prediction, target, config, valid)
        parts["loss"].backward()
        losses.append({k: v.item() for k, v in parts.items()})
        slopes.append(given.grad[:, :3] * valid[:, None])
        assert not (given.grad[:, :3] * (1 - valid[:, None])).any()
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    torch.testing.assert_close(*slopes, atol=1e-6, rtol=1e-4)


def test_known_rows_count_as_if_they_were_all():
    curves, given = torch.zeros(1, 6, 209), torch.zeros(1, 6, 209)
    given[:, :3, :100] = 2.0
    prediction = Prediction(given, torch.ones(1, 6, 209), torch.zeros(1, 4))
    valid = (torch.arange(209) < 100).float()[None]
    got = regressor_losses(prediction, curves, LossConfig(sagittal=1.0), valid)
    assert got["l1"] == pytest.approx(1.0)
    assert got["nll"] == pytest.approx(torch.log(torch.tensor(2.0)).item() + 1.0)
    nothing = regressor_losses(prediction, curves, LossConfig(), torch.zeros(1, 209))
    assert nothing["l1"] == 0
    assert torch.isfinite(nothing["loss"])
