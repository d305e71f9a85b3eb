"""The examples of ``deploy/``: they are read by what they are for, and fit together and the docs."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from spinelift.cli.serve import app
from spinelift.serve.node.config import NodeConfig

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCS = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text(encoding="utf-8"))
UNIT = (DEPLOY / "spinelift.service").read_text(encoding="utf-8")


def test_the_node_and_its_archive_know_each_other():
    node = NodeConfig.load(DEPLOY / "node.yaml")
    orthanc = json.loads((DEPLOY / "orthanc.json").read_text(encoding="utf-8"))
    (modality,) = orthanc["DicomModalities"].values()
    assert (modality["AET"], modality["Port"]) == (node.ae_title, node.port)
    assert (node.archive.ae_title, node.archive.port) == (orthanc["DicomAet"], orthanc["DicomPort"])
    assert modality["AllowStorageCommitment"] or not node.archive.storage_commitment
    assert modality["Host"] in COMPOSE["services"]
    assert node.archive.host in COMPOSE["services"]
    (network,) = COMPOSE["networks"]["dicom"]["ipam"]["config"]
    assert node.accepts("ORTHANC", network["subnet"].replace("0/24", "2"))


def test_files_and_options_of_the_services_exist():
    options = {o for p in typer.main.get_command(app).params for o in (*p.opts, *p.secondary_opts)}
    command = COMPOSE["services"]["spinelift"]["command"][1:]
    (unit,) = re.findall(r"^ExecStart=\S+ serve (.*)$", UNIT, re.MULTILINE)
    used = {word.partition("=")[0] for word in (*command, *unit.split()) if word.startswith("--")}
    for text in re.findall(r"^spinelift serve .*$", DOCS, re.MULTILINE):
        used |= set(re.findall(r"--[a-z-]+", text))
    assert used <= options
    build = COMPOSE["services"]["spinelift"]["build"]
    assert set(build["args"]) <= set(
        re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    )
    mounted = {volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one["volumes"]}
    missing = {name for name in mounted if name.startswith("./") and not (DEPLOY / name).is_file()}
    assert missing == {"./data", "./token.txt", "./orthanc-users.json"}
    assert all(name.replace("./", "deploy/") in DOCS for name in missing)


def test_the_docs_have_a_row_for_every_key_of_the_node():
    table = re.findall(r"(?:^\|.*\n)+", DOCS, re.MULTILINE)[0]
    assert set(NodeConfig.model_fields) <= set(re.findall(r"`(\w+)`", table))
    shown = {name: field.default for name, field in NodeConfig.model_fields.items()}
    for name in ("pause_seconds", "keep_minutes"):
        assert f"| `{name}` | {shown[name]} |" in table


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_reads_the_unit(tmp_path):
    unit = tmp_path / "spinelift.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "spinelift.service" not in done.stderr
