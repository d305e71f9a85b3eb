"""curves.json against the JSON Schema that ships, and what the schema refuses."""

import json
from importlib.resources import files

import jsonschema
import pytest
from predict_cases import spine_scan, write_bundle

from spinelift.bundle.card import Calibration
from spinelift.inference import load_model

SCHEMA = json.loads((files("spinelift") / "schemas" / "curves.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    model = load_model(write_bundle(tmp_path_factory.mktemp("bundle")), threads=1)
    return json.loads(model.predict(spine_scan()).curves_json())


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_results_fit_with_and_without_calibration(document, tmp_path):
    VALIDATOR.validate(document)
    bare = load_model(write_bundle(tmp_path, Calibration()), threads=1).predict(spine_scan())
    VALIDATOR.validate(json.loads(bare.curves_json()))


def test_the_schema_names_exactly_the_fields(document):
    assert set(SCHEMA["properties"]) == set(document)
    assert all("description" in SCHEMA["properties"][name] for name in set(document) - {"warnings"})


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1}, {"scan_id": ""}, {"z_mm": [0.0]}, {"mm_per_px": 0}, {"more": 1}, {"coronal_mm": {}},
        {"centreline_mm": [[0.0, 0.0]] * 209}, {"bundle": {"name": "a"}}, {"warnings": "none"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_other_documents_do_not_fit(document, change):
    assert not VALIDATOR.is_valid({**document, **change})
    assert not VALIDATOR.is_valid({k: v for k, v in document.items() if k != "scan_id"})
