"""The node between senders and an archive, by pynetdicom on both sides."""

import threading

from io_cases import encoded
from node_cases import RESULTS, held, quick, send, until, waiting, work, world

from spinelift.serve.job import Problem
from spinelift.serve.node.objects import read_object

__all__ = ["quick", "world"]
NO_DXA = Problem("NoDxaInArchiveError", "no DICOM image", "the DXA images of a visit", "Check.", 13)


def test_echo_and_whitelist(world):
    world.start()
    (one,) = world.images()
    assert send(world.port, []) == [0x0000]
    assert send(world.port, [one], calling="OTHER") == []
    assert send(world.port, [one], called="OTHER") == []
    assert not held(world.folder)


def test_an_address_that_is_no_peers_is_closed_before_anything_is_read(world):
    world.start(peers=[{"ae_title": "DXA", "addresses": ["192.0.2.1"]}])
    assert send(world.port, []) == []


def test_an_ae_title_counts_from_its_own_addresses_alone(world):
    peers = [
        {"ae_title": "DXA", "addresses": ["192.0.2.1"]},
        {"ae_title": "CT", "addresses": ["127.0.0.0/8"]},
    ]
    world.start(peers=peers)
    assert send(world.port, []) == []
    assert send(world.port, [], calling="CT") == [0x0000]


def test_two_images_of_one_study_are_one_job_and_its_results_reach_the_archive(world):
    world.start(keep_minutes=0.001)
    images = world.images(2)
    assert send(world.port, images) == [0x0000, 0x0000]
    (job,) = work(world.jobs)
    assert job.owner == "dicom:DXA"
    assert job.parts == 2
    until(world.is_done)
    assert {data.StudyInstanceUID for data in world.archive.stored.values()} == {images[0].StudyInstanceUID}
    until(lambda: not held(world.folder))
    assert world.jobs.get(job.id, job.owner) is None


def test_the_same_object_twice_is_one_object(world):
    world.start()
    images = world.images()
    assert send(world.port, images * 2) == [0x0000, 0x0000]
    (job,) = work(world.jobs)
    assert job.parts == 1
    until(world.is_done)
    assert send(world.port, images) == [0x0000]
    until(lambda: not waiting(world.jobs), 0.3)
    assert not world.node.inbox.due()


def test_a_further_image_has_the_study_predicted_again_once(world):
    world.start()
    first, second, third = world.images(3)
    send(world.port, [first])
    work(world.jobs)
    until(world.is_done)
    send(world.port, [second, third])
    (job,) = work(world.jobs)
    assert job.parts == 3
    until(lambda: len(world.archive.stored) == 2 * len(RESULTS))
    assert not waiting(world.jobs)


def test_a_study_is_not_predicted_while_its_connection_is_open(world):
    world.start()
    (first,) = world.images()
    stop = threading.Event()
    held_open = threading.Thread(target=stop.wait)
    held_open.start()
    world.node.inbox.store("dicom:DXA", read_object(encoded(first)), thread=held_open)
    stop.wait(0.2)
    assert not waiting(world.jobs)
    stop.set()
    held_open.join()
    (job,) = work(world.jobs)
    assert job.parts == 1


def test_a_study_without_a_dxa_fails_and_is_removed_when_it_expires(world, caplog):
    world.start()
    send(world.port, world.images())
    (job,) = work(world.jobs, problem=NO_DXA)
    until(lambda: "NoDxaInArchiveError" in caplog.text)
    until(lambda: not world.node.inbox.predicting())
    assert held(world.folder)
    world.node.inbox._clock = lambda: job.expires + 1e6
    until(lambda: not held(world.folder))
    assert world.archive.attempts == []
