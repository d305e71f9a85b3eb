"""A decoder that crashes, hangs or takes all memory ends alone, and the next image is decoded."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from io_cases import dataset, encoded, phantom, saved, zip_of
from pydicom.uid import RLELossless

from spinelift.errors import SpineliftError, UnsupportedImageError
from spinelift.io import decoder, read_dxa

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and process ids of POSIX")
FAKE = """
import os, time, runpy
import pydicom.pixels.decoders.base as base

real = base.get_decoder

class Fake:
    def __init__(self, syntax):
        self.syntax = syntax

    def as_array(self, pixels, **options):
        if b"hang" in pixels:
            while True:
                pass
        if b"abort" in pixels:
            os.abort()
        if b"memory" in pixels:
            return bytearray(8 << 30), {}
        if b"prints" in pixels:
            os.write(1, b"noise")
        return real(self.syntax).as_array(pixels.removesuffix(b"prints"), **options)

base.get_decoder = Fake
runpy.run_path(CHILD, run_name="__main__")
"""


def compressed(folder, more: bytes = b""):
    data = dataset(folder)
    data.compress(RLELossless)
    data.PixelData += more
    return encoded(data)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """A child whose decoder misbehaves where the pixels say so."""
    script = tmp_path / "child.py"
    script.write_text(f"CHILD = {str(decoder._CHILD)!r}\n{FAKE}", encoding="utf-8")
    decoder._end_all()
    monkeypatch.setattr(decoder, "_CHILD", script)
    monkeypatch.setattr(decoder, "SECONDS", 2)
    yield
    decoder._end_all()


@pytest.mark.parametrize(
    ("harm", "cause"),
    [(b"hang", r"time \(2 s\)"), (b"abort!", "it crashed"), (b"memory", "cut or damaged")],
)
def test_harm_ends_the_child_alone(tmp_path, child, harm, cause):
    start = time.monotonic()
    with pytest.raises(SpineliftError, match=cause):
        read_dxa(compressed(tmp_path, harm))
    assert time.monotonic() - start < 20
    np.testing.assert_array_equal(read_dxa(compressed(tmp_path)).bone, phantom())


def test_what_a_decoder_prints_does_not_reach_the_reply(tmp_path, child):
    np.testing.assert_array_equal(read_dxa(compressed(tmp_path, b"prints")).bone, phantom())


def test_a_child_serves_many_images_and_is_replaced_when_it_died(tmp_path):
    decoder._end_all()
    data = compressed(tmp_path)
    read_dxa(data)
    (first,) = decoder._idle
    read_dxa(data)
    assert decoder._idle == [first]
    first.kill()
    first.wait()
    np.testing.assert_array_equal(read_dxa(data).bone, phantom())
    assert decoder._idle[0] is not first


def test_threads_have_a_child_each(tmp_path):
    data, bones = compressed(tmp_path), []
    threads = [threading.Thread(target=lambda: bones.append(read_dxa(data).bone)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bones) == 3
    assert all((bone == phantom()).all() for bone in bones)


def test_uncompressed_pixels_start_no_child(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "_take", lambda: pytest.fail("a child was started"))
    np.testing.assert_array_equal(read_dxa(encoded(dataset(tmp_path))).bone, phantom())


def test_a_child_that_cannot_start_is_named(tmp_path, monkeypatch):
    decoder._end_all()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(UnsupportedImageError, match="cannot be started"):
        read_dxa(compressed(tmp_path))


USE = """
import multiprocessing, os, sys
from spinelift.io import decoder, read_dxa

def use(path, queue=None):
    read_dxa(path)
    ids = [child.pid for child in decoder._idle]
    return queue.put(ids) if queue else ids

print(*use(sys.argv[1]))
if hasattr(os, "fork"):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=use, args=(sys.argv[1], queue), daemon=True)
    process.start()
    print(*queue.get(timeout=60))
    process.join()
print(*use(sys.argv[1]))
if sys.argv[2] == "die":
    os._exit(3)
"""


@POSIX
@pytest.mark.parametrize("end", ["return", "die"])
def test_scripts_without_a_main_guard_and_daemons_leave_no_child(tmp_path, end):
    path = tmp_path / "a.dcm"
    path.write_bytes(compressed(tmp_path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-", str(path), end],
        input=USE, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    own, forked, again = (line.split() for line in done.stdout.splitlines())
    assert own == again
    assert own != forked
    until = time.monotonic() + 10
    while any(alive(number) for number in own + forked) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(number) for number in own + forked)


def alive(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{number}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_harmful_member_beside_the_pair_is_not_decoded(tmp_path, child):
    pair = {}
    for name, number in (("a.dcm", 1), ("b.dcm", 2)):
        data = dataset(tmp_path)
        data.InstanceNumber = number
        saved(data, tmp_path / name)
        pair[name] = (tmp_path / name).read_bytes()
    other = dataset(tmp_path)
    other.ProtocolName, other.InstanceNumber = "AP Spine", 3
    other.compress(RLELossless)
    other.PixelData += b"hang"
    scan = read_dxa(zip_of(tmp_path / "a.zip", {**pair, "c.dcm": encoded(other)}))
    np.testing.assert_array_equal(scan.bone, phantom())
