"""Stages without networks."""

from types import SimpleNamespace

import pytest

from spinelift.geometry import Spacing, SpineFrame


@pytest.fixture
def no_networks(monkeypatch):
    """Stages whose DXA always shows a spine, and which have no network for the MRI."""
    frame = SpineFrame(Spacing(2.4, 2.4), 0.0, 0.0, 2.4)
    location = SimpleNamespace(frame=frame, warnings=[], confidence=0.9)
    networks = SimpleNamespace(locate=lambda _: location), None, None
    for name, value in {"_networks": networks, "located_mask": None, "ferguson": 3.0}.items():
        monkeypatch.setattr(f"spinelift.cohort.stages.{name}", lambda *_, value=value: value)
