"""One exporter: what is written is what torch computes, any size of the free axis, and nothing else."""

import pytest

torch = pytest.importorskip("torch")

from spinelift.bundle import MriSegmenterCard, add_metrics, load_bundle  # noqa: E402
from spinelift.bundle.card import Signature  # noqa: E402
from spinelift.bundle.session import OnnxNetwork  # noqa: E402
from spinelift.errors import BundleError  # noqa: E402
from spinelift.files import write_json  # noqa: E402
from spinelift.learn.export import onnx as exporter  # noqa: E402
from spinelift.learn.export.onnx import export_onnx  # noqa: E402
from spinelift.learn.mri_segmenter.config import MriNetworkConfig  # noqa: E402
from spinelift.learn.mri_segmenter.evaluate import card_metrics  # noqa: E402
from spinelift.learn.mri_segmenter.network import EndsNetwork, SliceNetwork  # noqa: E402
from spinelift.learn.mri_segmenter.train import export_mri_segmenter  # noqa: E402
from spinelift.segment.mri import MriSegmenter  # noqa: E402

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


def test_equal_constants_are_stored_once(tmp_path):
    class Same(Two):
        def forward(self, features):
            wave = torch.arange(40.0).cos()
            return self.layer(features) * wave.clone(), (features * torch.arange(40.0).cos()).mean(2)

    model, x = Same(), torch.rand(1, 3, 40)
    signature = Signature({"features": (None, 3, 40)}, {"sum": (None, 4, 40), "first": (None, None)})
    export_onnx(model, tmp_path / "same.onnx", x, signature)
    graph = exporter.onnx.load(tmp_path / "same.onnx").graph
    stored = [exporter.onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer]
    assert len(stored) == len(set(stored))
    network = OnnxNetwork((tmp_path / "same.onnx").read_bytes(), "same", signature, 1)
    torch.testing.assert_close(torch.from_numpy(network(x.numpy())[0]), model(x)[0].detach())


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


def test_the_mri_segmenter_of_a_run_can_be_loaded_and_its_figures_added(tmp_path):
    config = MriNetworkConfig(channels=(4, 4, 8, 8), features=5, ends_width=4)
    record = {"people": 3, "steps": 2, "seconds": 1.5, "seed": 1, "data": ["people"], "init_from": None}
    write_json(tmp_path / "run.json", {**record, "validation": {"dice": 0.5}, "versions": {"torch": "2"}})
    card = export_mri_segmenter(SliceNetwork(config), EndsNetwork(config), config, tmp_path, labels="truth")
    assert card.training.details["validation_dice"] == 0.5
    assert MriSegmenter.load(tmp_path).digest == load_bundle(MriSegmenterCard, tmp_path).ref.sha256
    figures = {"people": 2, "not_found": 1, "upper_end_mm": {"value": 2.5, "interval95": [2.0, 3.0]}}
    card = add_metrics(MriSegmenterCard, tmp_path, card_metrics(figures, "others"))
    assert [(m.name, m.value, m.unit, m.spines) for m in card.metrics] == [
        ("not_found", 1, "people", 3), ("upper_end", 2.5, "mm", 2),
    ]  # fmt: skip
    assert [m.value for m in card_metrics({"people": 0, "not_found": 0}, "none")] == [0]
