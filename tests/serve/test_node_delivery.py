"""What the node holds survives kills, restarts and an archive that is absent or refuses."""

import shutil
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from node_cases import RESULTS, Archive, held, image, quick, send, until, waiting, work, world
from pydicom.uid import generate_uid
from pynetdicom.sop_class import EncapsulatedSTLStorage, MRImageStorage

from spinelift.errors import ConfigError
from spinelift.serve.node import outbox
from spinelift.serve.node.archive import ArchiveError, DicomSender, Sent
from spinelift.serve.node.config import DicomArchive, Tls
from spinelift.serve.node.objects import SOP_CLASSES
from spinelift.serve.node.tables import Tables

__all__ = ["quick", "world"]


def test_a_restart_between_receiving_and_predicting_loses_nothing(world):
    world.start(pause_seconds=60)
    images = world.images(2)
    assert send(world.port, images) == [0x0000, 0x0000]
    world.stop()
    world.start(with_archive=False)
    world.node.inbox._clock = lambda: 1e12
    (job,) = work(world.jobs)
    assert job.parts == 2
    until(world.is_done)


def test_an_absent_archive_gets_the_results_when_it_is_back_also_after_a_restart(world, caplog):
    world.start(with_archive=False)
    send(world.port, world.images())
    work(world.jobs)
    until(lambda: "cannot be reached" in caplog.text)
    world.stop()
    world.start(with_archive=False)
    assert len(world.node.outbox) == 1
    world.archive.start()
    until(world.is_done)


def test_a_refusing_archive_gets_the_results_again(world, caplog):
    world.archive.status = 0xA700
    world.start()
    send(world.port, world.images())
    work(world.jobs)
    until(lambda: "status 0xa700" in caplog.text)
    assert len(world.node.outbox) == 1
    world.archive.status = 0x0000
    until(world.is_done)


def test_a_kill_between_sending_and_noting_it_sends_again(world, monkeypatch):
    """The archive has everything, but the node dies before it has noted that."""
    world.start()

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    unlink = outbox.Path.unlink

    def unlink_or_die(path, **options):
        return killed() if path.suffix == ".dcm" else unlink(path, **options)

    monkeypatch.setattr(outbox.Path, "unlink", unlink_or_die)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    send(world.port, world.images())
    work(world.jobs)
    until(lambda: len(world.archive.stored) == len(RESULTS))
    assert len(world.node.outbox) == 1
    world.stop()
    monkeypatch.undo()
    world.start(with_archive=False)
    until(lambda: not len(world.node.outbox))
    assert len(world.archive.stored) == len(RESULTS), "they are the same objects"


def box(folder, send):
    """An outbox of two results, whose archive is a function."""
    tables = Tables(folder)
    sender = SimpleNamespace(commitment_s=None, send=send)
    made = outbox.Outbox(tables, folder / "out", sender, names=["sr.dcm"], pause_after=lambda _: 60.0)
    (folder / "sr.dcm").write_bytes(b"x")
    for name in ("a", "b"):
        made.add(name, SimpleNamespace(study=name, name=f"study-{name}"), folder)
    return made, tables


def test_a_delivery_of_which_nothing_is_left_to_send_has_ended(tmp_path):
    """The node was killed after the last file was acknowledged, and before it had noted the delivery."""

    def send(files, _):
        assert files, "pynetdicom requests no association without a class"
        return Sent(stored=list(files))

    made, tables = box(tmp_path, send)
    (tmp_path / "out" / "a" / "sr.dcm").unlink()
    made.advance()
    assert (len(made), list((tmp_path / "out").iterdir())) == (0, [])
    tables.close()


def test_a_result_that_cannot_be_sent_does_not_keep_the_others(tmp_path, caplog):
    tries = []

    def send(files, _):
        tries.append(files[0].parent.name)
        if tries[-1] == "a":
            raise ValueError("Zzyzx")
        return Sent(stored=list(files))

    made, tables = box(tmp_path, send)
    made.advance()
    made.advance()
    assert (tries, len(made)) == (["a", "b"], 1)
    assert "Zzyzx" not in caplog.text
    tables.close()


def test_an_archive_whose_name_is_not_known_is_one_that_cannot_be_reached(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    archive = DicomArchive(ae_title="ARCHIVE", host="archive.test", port=104)
    sender = DicomSender(archive, "SPINELIFT", lambda *_: True)
    monkeypatch.setattr("spinelift.serve.node.archive.class_uid", lambda _: EncapsulatedSTLStorage)
    with pytest.raises(ArchiveError):
        sender.send(["x"], None)


def test_stopping_does_not_wait_for_an_archive_that_hangs(world, monkeypatch):
    monkeypatch.setattr("spinelift.serve.node.node.STOP_S", 0.1)
    hangs, go = threading.Event(), threading.Event()

    def send(*_):
        hangs.set()
        go.wait(10)
        raise ArchiveError

    world.start()
    world.node.outbox._archive = SimpleNamespace(commitment_s=None, send=send)
    thread = world.node._threads[1]
    _send_one(world)
    assert hangs.wait(10)
    began = time.monotonic()
    world.stop()
    assert time.monotonic() - began < 5
    go.set()
    thread.join(10)
    assert not thread.is_alive()


def _send_one(world):
    send(world.port, world.images())
    work(world.jobs)


def test_a_job_that_is_gone_is_added_again(world):
    world.start()
    send(world.port, world.images())
    until(lambda: waiting(world.jobs))
    (job,) = world.jobs.of("dicom:DXA")
    until(world.node.inbox.predicting)
    world.jobs.remove(job)
    work(world.jobs)
    until(world.is_done)


def test_a_mesh_is_left_out_where_the_archive_does_not_take_its_class(world, caplog):
    world.archive = Archive(world.archive.port, without=EncapsulatedSTLStorage)
    world.start()
    send(world.port, world.images())
    work(world.jobs)
    until(lambda: "stl.dcm, which is left out" in caplog.text)
    until(lambda: not len(world.node.outbox))
    assert len(world.archive.stored) == len(RESULTS) - 1


@pytest.mark.parametrize("kept", [True, False])
def test_results_are_kept_until_the_archive_has_reported_that_it_keeps_them(world, kept):
    archive = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": world.archive.port}
    world.start(
        archive=archive | {"storage_commitment": True},
        peers=[{"ae_title": name, "addresses": ["127.0.0.1"]} for name in ("DXA", "ARCHIVE")],
    )
    send(world.port, world.images())
    work(world.jobs)
    until(lambda: world.archive.commitments)
    assert len(world.node.outbox) == 1
    if not kept:
        world.archive.loses = {next(iter(world.archive.stored))}
        assert world.archive.report() == 0x0000
        until(lambda: len(world.archive.commitments) == 2)
        world.archive.loses = set()
    assert world.archive.report() == 0x0000
    until(world.is_done)
    assert world.archive.report() == 0x0110, "it is not awaited"


@pytest.mark.parametrize("maker", ["spinelift", "another"])
def test_a_result_that_comes_back_is_acknowledged_and_not_kept(world, maker):
    """An archive that forwards everything tries again without end what is refused."""
    world.start()
    results = [image(generate_uid(), sop_class=sop_class) for sop_class in RESULTS.values()]
    for one in results:
        one.Manufacturer = maker
    refused = [one.SOPClassUID not in SOP_CLASSES and maker != "spinelift" for one in results]
    assert send(world.port, results) == [0x0122 if no else 0x0000 for no in refused]
    assert len(held(world.folder)) == (maker != "spinelift")
    assert len(world.node.inbox._select("1")) == (maker != "spinelift")


def test_an_object_of_another_class_has_no_presentation_context(world):
    world.start()
    assert send(world.port, [image(generate_uid(), sop_class=MRImageStorage)]) == [None]


def test_an_object_without_a_study_is_refused(world):
    world.start()
    (one,) = world.images()
    del one.StudyInstanceUID
    assert send(world.port, [one]) == [0xC000]


def test_what_is_too_large_ends_the_connection(world):
    world.start(limits={"object_mb": 1})
    (one,) = world.images()
    one.PixelData = bytes(2 << 20)
    one["PixelData"].VR = "OW"
    assert send(world.port, [one]) == [None]
    assert send(world.port, []) == [0x0000]


def test_a_huge_length_is_not_read(world):
    world.start()
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as connection:
        connection.sendall(b"\x01\0\xff\xff\xff\xff" + bytes(100))
        connection.settimeout(5)
        assert connection.recv(100) == b""
    assert send(world.port, []) == [0x0000]


def test_as_many_images_are_held_as_may_be(world):
    world.start(limits={"held_mb": 1})
    first, second = world.images(2)
    for one in (first, second):
        one.PixelData = bytes(700 << 10)
        one["PixelData"].VR = "OW"
    assert send(world.port, [first, second]) == [0x0000, 0xA700]


def test_a_full_queue_delays_a_study(world, monkeypatch):
    world.start()
    world.jobs.limits = type(world.jobs.limits)(queued=0)
    tries, added = [], world.jobs.add
    monkeypatch.setattr(world.jobs, "add", lambda *given: (tries.append(given), added(*given))[1])
    send(world.port, world.images())
    until(lambda: tries)
    time.sleep(0.2)
    assert not waiting(world.jobs)
    assert len(tries) == 1, "each try copies the study"
    world.node.studies._paused.clear()
    world.jobs.limits = type(world.jobs.limits)()
    work(world.jobs)
    until(world.is_done)


def test_a_node_and_its_archive_with_tls(world, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*make, *name, "-keyout", key, "-out", certificate, "-days", "2"], check=True, capture_output=True
    )
    ours = Tls(certificate=certificate, key=key, ca=certificate)
    world.archive.tls = ours.context(server=True)
    archive = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": world.archive.port}
    tls = ours.model_dump(mode="json")
    world.start(tls=tls, archive=archive | {"tls": tls})
    images = world.images()
    assert send(world.port, images) == [], "without TLS"
    assert send(world.port, images, tls=Tls(ca=certificate).context(server=False)) == [], "no certificate"
    assert send(world.port, images, tls=ours.context(server=False)) == [0x0000]
    work(world.jobs)
    until(world.is_done)
    for wrong in (Tls(), Tls(certificate=tmp_path / "none.pem"), Tls(certificate=certificate)):
        with pytest.raises(ConfigError, match="tls"):
            wrong.context(server=True)
