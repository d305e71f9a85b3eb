"""STOW-RS in and out, and WADO-RS of the results."""

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import ClassVar

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_cases import encoded
from node_cases import RESULTS, config, free_port, held, image, quick, until
from pydicom.uid import generate_uid
from serve_cases import browser

from spinelift.errors import ConfigError
from spinelift.serve import pool
from spinelift.serve.app import create_app
from spinelift.serve.dicomweb import _Parts
from spinelift.serve.job import Result
from spinelift.serve.node.archive import ArchiveError
from spinelift.serve.node.config import NodeConfig, WebArchive
from spinelift.serve.node.objects import SOP_CLASSES, RefusedObjectError, read_object
from spinelift.serve.node.stow import WebSender
from spinelift.serve.settings import Settings

__all__ = ["quick"]
STUDIES = "/dicom-web/studies"
KIND = 'multipart/related; type="application/dicom"; boundary=XX'
STORED, FAILED, OTHER, INSTANCE, REASON = "00081199", "00081198", "0008119A", "00081155", "00081197"


def predict(task):
    """Stands for the prediction: one small object of each kind, of the study of the input."""
    path, *_ = sorted((task.folder / "input").iterdir())
    study = pydicom.dcmread(path).StudyInstanceUID
    folder = task.folder / "result" / "scan"
    folder.mkdir(parents=True)
    for name, sop_class in RESULTS.items():
        (folder / name).write_bytes(encoded(image(study, sop_class=sop_class)))
    return Result("scan", files={name: (folder / name).stat().st_size for name in RESULTS})


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "predict", predict)
    monkeypatch.setattr(pool, "warm_up", lambda *_: None)
    monkeypatch.setattr("spinelift.serve.node.node.PAUSE_S", 0.05)

    def make(node=None):
        return create_app(Settings(data=tmp_path, workers=0, node=node))

    return make


def body(*parts):
    head = b"--XX\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--XX--\r\n"


def post(client, *parts, url=STUDIES, kind=KIND, content=None):
    return client.post(url, content=content or body(*parts), headers={"Content-Type": kind})


def of(document, sequence, tag):
    return [item[tag]["Value"][0] for item in document.get(sequence, {}).get("Value", [])]


def test_a_study_is_stored_predicted_and_its_results_are_retrieved_by_its_session_alone(app):
    study = generate_uid()
    images = [image(study) for _ in range(2)]
    with browser(app()) as client:
        reply = post(client, *map(encoded, images))
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/dicom+json"
        assert of(reply.json(), STORED, INSTANCE) == [data.SOPInstanceUID for data in images]
        url = reply.json()["00081190"]["Value"][0]
        until(lambda: client.get(url).status_code == 200)
        results = client.get(url)
        boundary = results.headers["content-type"].partition("boundary=")[2]
        parts = results.content.split(f"--{boundary}".encode())[1:-1]
        found = [pydicom.dcmread(io.BytesIO(part.partition(b"\r\n\r\n")[2][:-2])) for part in parts]
        assert {data.SOPClassUID for data in found} == set(RESULTS.values())
        assert {data.StudyInstanceUID for data in found} == {study}
        (job,) = client.get("/v1/predictions").json()
        assert job["status"] == "done"
        with_cookie = dict(client.cookies)
        client.cookies.clear()
        assert client.get(url).status_code == 404
        client.cookies.update(with_cookie)
        assert client.get(f"{STUDIES}/{generate_uid()}").status_code == 404


def test_what_is_not_stored_is_named_with_its_reason(app):
    good, other = image("1.2.3"), image("1.2.4")
    mesh = image("1.2.3", sop_class=RESULTS["stl.dcm"])
    with browser(app()) as client:
        reply = post(client, *map(encoded, (good, other, mesh)), b"no DICOM", url=f"{STUDIES}/1.2.3")
        assert reply.status_code == 202
        document = reply.json()
        assert of(document, STORED, INSTANCE) == [good.SOPInstanceUID]
        assert of(document, FAILED, INSTANCE) == [other.SOPInstanceUID, mesh.SOPInstanceUID]
        assert of(document, FAILED, REASON) == [0xA900, 0x0122]
        assert of(document, OTHER, REASON) == [0xC000]
        assert post(client, b"no DICOM").status_code == 409


def test_a_result_that_comes_back_is_acknowledged_and_not_kept(app, tmp_path):
    mesh = image("1.2.3", sop_class=RESULTS["stl.dcm"])
    mesh.Manufacturer = "spinelift"
    with browser(app()) as client:
        reply = post(client, encoded(mesh))
        assert reply.status_code == 200
        assert of(reply.json(), STORED, INSTANCE) == [mesh.SOPInstanceUID]
        assert held(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("multipart/form-data; boundary=XX", None, 415),
        ('multipart/related; type="application/dicom+json"; boundary=XX', None, 415),
        ("multipart/related", None, 415),
        ("application/dicom", b"", 415),
        (KIND, b"--XX\r\nContent-Type: application/dicom\r\n\r\nDICM", 400),
        (KIND, b"nothing of the kind", 400),
        (KIND, b"--XX--\r\n", 400),
    ],
)
def test_other_bodies_are_refused(app, kind, content, status):
    with browser(app()) as client:
        reply = post(client, b"x", kind=kind, content=content)
        assert reply.status_code == status
        assert reply.headers["content-type"] == "application/problem+json"


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_parts_do_not_depend_on_how_a_body_is_cut(contents, cuts):
    contents = [data.replace(b"\r\n--XX", b"") for data in contents]
    data, parts = body(*contents), _Parts(b"XX", most=4)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [one for a, b in pairwise(edges) if b > a for one in parts.write(data[a:b])]
    assert (found, parts.ended) == (contents, True)


@given(st.binary(max_size=400), st.integers(0, 300), st.integers(0, 255))
def test_any_bytes_are_an_object_or_refused(junk, place, value):
    whole = bytearray(encoded(image("1.2.3", instance="1.2.3.4")))
    whole[place % len(whole)] = value
    for data in (junk, bytes(128) + b"DICM" + junk, bytes(whole)):
        said, received = "", None
        try:
            received = read_object(data)
        except RefusedObjectError as error:
            said = str(error)
        assert (received is None) == bool(said)
        assert "Ashdown" not in said
        assert received is None or (
            received.study_instance and (received.is_result or received.sop_class in SOP_CLASSES)
        )


class Service(BaseHTTPRequestHandler):
    """A STOW-RS service; ``stored``: what it has."""

    stored: ClassVar[dict[str, pydicom.Dataset]]
    refused: ClassVar[set[str]]
    status: ClassVar[int]

    def do_POST(self):
        kind = self.headers["Content-Type"].partition("boundary=")[2].encode()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        parts = [p.partition(b"\r\n\r\n")[2][:-2] for p in data.split(b"--" + kind)[1:-1]]
        sets = [pydicom.dcmread(io.BytesIO(part)) for part in parts]
        good = [one for one in sets if one.SOPClassUID not in self.refused]
        self.stored.update({one.SOPInstanceUID: one for one in good})
        document = {STORED: {"vr": "SQ", "Value": [self.item(one) for one in good]}}
        bad = [self.item(one) | {REASON: {"vr": "US", "Value": [0x0122]}} for one in sets if one not in good]
        document |= {FAILED: {"vr": "SQ", "Value": bad}} if bad else {}
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    @staticmethod
    def item(one):
        return {INSTANCE: {"vr": "UI", "Value": [one.SOPInstanceUID]}}

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    Service.stored, Service.refused, Service.status = {}, set(), 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dicom-web/studies"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def files(tmp_path):
    for name, sop_class in RESULTS.items():
        (tmp_path / name).write_bytes(encoded(image("1.2.3", sop_class=sop_class)))
    return [tmp_path / name for name in RESULTS]


def test_results_of_a_stored_study_go_to_the_archive_by_stow_rs(app, service):
    node = config(free_port(), 1, archive={"stow_url": service})
    with browser(app(node)) as client:
        assert post(client, encoded(image("1.2.3"))).status_code == 200
        until(lambda: len(Service.stored) == len(RESULTS))
        until(lambda: not len(client.app.state.server.node.outbox))
        assert client.get("/v1/predictions").json() == [], "a client without a session has no list"


def test_the_reply_decides_what_is_stored(service, files):
    Service.refused = {RESULTS["stl.dcm"]}
    sender = WebSender(WebArchive(stow_url=service))
    sent = sender.send(files)
    assert [file.name for file in sent.stored] == list(RESULTS)[:-1]
    assert sent.is_unsupported(files[-1])
    Service.status = 409
    assert sender.send(files[-1:]).is_unsupported(files[-1])
    for status in (302, 401, 500):
        Service.status = status
        with pytest.raises(ArchiveError, match=str(status)):
            sender.send(files)
    with pytest.raises(ArchiveError, match="cannot be reached"):
        WebSender(WebArchive(stow_url=f"http://127.0.0.1:{free_port()}/studies")).send(files)


def test_a_token_is_sent_by_https_alone(tmp_path):
    with pytest.raises(ValueError, match="https"):
        WebArchive(stow_url="http://archive/studies", token_file=tmp_path / "token")
    with pytest.raises(ConfigError, match="no token"):
        WebSender(WebArchive(stow_url="https://archive/studies", token_file=tmp_path / "token"))


def test_a_configuration_says_what_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match="no file"):
        NodeConfig.load(tmp_path / "none.yaml")
    file = tmp_path / "node.yaml"
    file.write_text("peers: []\narchive: {host: x, port: 1}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"peers(.|\n)*archive\.dicom\.ae_title"):
        NodeConfig.load(file)
