"""One exporter: what is written is what torch computes, any size of the free axis, and nothing else."""

import pytest

torch = pytest.importorskip("torch")

from spinelift.bundle.card import Signature  # noqa: E402
from spinelift.bundle.session import OnnxNetwork  # noqa: E402
from spinelift.errors import BundleError  # noqa: E402
from spinelift.learn.export import onnx as exporter  # noqa: E402
from spinelift.learn.export.onnx import export_onnx  # noqa: E402

SIGNATURE = Signature({"features": (None, 3, None)}, {"sum": (None, 4, None), "first": (None, None)})


class Two(torch.nn.Module):
    """Features [N, 3, Z] → a convolution [N, 4, Z] and the mean [N, 3]."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv1d(3, 4, 3, padding=1)

    def forward(self, features):
        return self.layer(features), features.mean(2)


def test_the_free_axis_may_be_any(tmp_path):
    model = Two()
    export_onnx(model, tmp_path / "two.onnx", torch.rand(1, 3, 40), SIGNATURE, free=2)
    network = OnnxNetwork((tmp_path / "two.onnx").read_bytes(), "two", SIGNATURE, 1)
    x = torch.rand(1, 3, 17)
    with torch.inference_mode():
        wanted = model(x)
    for got, want in zip(network(x.numpy()), wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(got), want)
    assert [p.name for p in tmp_path.iterdir()] == ["two.onnx"]


def test_what_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "TOLERANCE", -1.0)
    with pytest.raises(BundleError, match=r"two\.onnx that differs"):
        export_onnx(Two(), tmp_path / "two.onnx", torch.rand(1, 3, 40), SIGNATURE, free=2)
    assert not list(tmp_path.iterdir())


def test_a_network_of_another_shape_is_not_written(tmp_path):
    other = Signature(SIGNATURE.input, {"sum": (None, 5, None), "first": (None, None)})
    with pytest.raises(BundleError, match="two whose outputs are"):
        export_onnx(Two(), tmp_path / "two.onnx", torch.rand(1, 3, 40), other, free=2)
    assert not list(tmp_path.iterdir())
