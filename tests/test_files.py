"""Whole or absent: links, concurrent writers, failures in the middle, kills, folders, tables, hashes."""

import hashlib
import multiprocessing
import os
import signal
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.errors import DamagedFileError, OutputError
from spinelift.files import (
    UNSEALED,
    file_sha256,
    is_sealed,
    make_folder,
    read_sealed,
    remove_files,
    remove_unfinished,
    seal,
    whole_file,
    whole_folder,
    write_csv,
    write_json,
    write_whole,
)

posix = pytest.mark.skipif(os.name != "posix", reason="links, bits and signals of POSIX")


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("data", [b"\0bytes\r\n", "text × line\n"])
def test_what_is_written_is_there_and_nothing_else(tmp_path, data):
    write_whole(tmp_path / "a.txt", "old")
    write_whole(tmp_path / "a.txt", data)
    assert (tmp_path / "a.txt").read_bytes() == (data if isinstance(data, bytes) else data.encode())
    assert names(tmp_path) == ["a.txt"]


def test_libraries_write_into_the_open_file(tmp_path):
    with whole_file(tmp_path / "a.zip") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", "y")
    with whole_file(tmp_path / "a.npz") as file:
        np.savez_compressed(file, x=np.arange(3))
    assert zipfile.ZipFile(tmp_path / "a.zip").read("x") == b"y"
    assert np.load(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]
    assert names(tmp_path) == ["a.npz", "a.zip"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ValueError, OSError])
def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, problem):
    path = tmp_path / "a"
    path.write_text("old")

    def fail():
        with whole_file(path) as file:
            file.write(b"half")
            raise problem

    with pytest.raises(OutputError if problem is OSError else problem):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_nobody_sees_a_part_of_it(tmp_path):
    path = tmp_path / "a"
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        (part,) = tmp_path.iterdir()
        assert part.name.startswith(".a.")
        assert part.suffix == ".part"
    assert path.read_bytes() == b"half"


@posix
def test_links_are_neither_followed_nor_replaced(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "folder").mkdir()
    for name, target in (("a", "elsewhere"), ("b", "nowhere"), ("c", "folder")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(OutputError, match=f"something at {name}"):
            write_whole(tmp_path / name, "theirs")
        with pytest.raises(OutputError, match=f"something at {name}"), whole_folder(tmp_path / name) as new:
            new.mkdir()
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert names(tmp_path) == ["a", "b", "c", "elsewhere", "folder"]


@posix
def test_a_link_in_the_place_of_the_temporary_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f".a.{'0' * 16}.part").symlink_to("mine")
    with pytest.raises(OutputError):
        write_whole(tmp_path / "a", "theirs")
    assert (tmp_path / "mine").read_text() == "mine"


@posix
def test_devices_and_folders_are_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OutputError, match="not a plain file"):
            write_whole(tmp_path / name, "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_of_writers_at_once_one_wins_whole(tmp_path):
    path = tmp_path / "a"
    contents = [bytes([k]) * 200_000 for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: write_whole(path, data), contents * 4))
    assert path.read_bytes() in contents
    assert names(tmp_path) == ["a"]


def _write_often(path, data):
    for _ in range(30):
        write_whole(path, data)


def test_of_processes_at_once_one_wins_whole(tmp_path):
    path = tmp_path / "a"
    context = multiprocessing.get_context("spawn")
    contents = [b"x" * 100_000, b"y" * 100_000]
    workers = [context.Process(target=_write_often, args=(path, data)) for data in contents]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        assert not path.exists() or path.read_bytes() in contents
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert names(tmp_path) == ["a"]


def _write_and_die(path):
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


@posix
def test_what_a_killed_run_leaves_can_be_removed_and_is_all_that_is(tmp_path):
    path = tmp_path / "scan.npz"
    path.write_text("old")
    worker = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    worker.start()
    worker.join()
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    assert list(tmp_path.glob("*.npz")) == [path]
    (tmp_path / f".folder.{'a' * 16}.part").mkdir()
    for kept in (".mine.part", "other.part", ".hidden"):
        (tmp_path / kept).write_text("")
    remove_unfinished(tmp_path, tmp_path / "absent")
    assert names(tmp_path) == [".hidden", ".mine.part", "other.part", "scan.npz"]


def test_files_of_one_stem_do_not_share_a_temporary(tmp_path):
    """The old name, ``with_suffix(".part")``, was the same for both."""
    with whole_file(tmp_path / "run.pt") as a, whole_file(tmp_path / "run.safetensors") as b:
        a.write(b"a")
        b.write(b"b")
    assert (tmp_path / "run.pt").read_bytes() == b"a"
    assert (tmp_path / "run.safetensors").read_bytes() == b"b"


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "bundle"
    for content in ("one", "two"):
        with whole_folder(path) as new:
            (new / "deep").mkdir(parents=True)
            (new / "deep" / content).write_text(content)
            assert not (path / "deep" / content).exists()
    assert names(path / "deep") == ["two"]

    def interrupted():
        with whole_folder(path) as new:
            new.mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(path / "deep") == ["two"]
    assert names(tmp_path) == ["bundle"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").write_text("")
    with pytest.raises(OutputError, match="bundle"), whole_folder(path):
        pass  # nothing was made
    assert names(path) == ["old"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"), whole_folder(tmp_path / "file") as new:
        new.mkdir()
    assert names(tmp_path) == ["bundle", "file"]


def test_where_nothing_can_be_written_the_user_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"no way to write a \("):
        write_whole(tmp_path / "file" / "a", "x")
    with pytest.raises(OutputError, match="no way to write a"):
        write_whole(tmp_path / "absent" / "a", "x")
    with pytest.raises(OutputError, match="no way to write new"), whole_folder(tmp_path / "file" / "new"):
        pass
    with pytest.raises(OutputError, match="no way to write below"):
        make_folder(tmp_path / "file" / "below")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder"):
        remove_files([tmp_path / "absent", tmp_path / "folder"])


def test_long_names_leave_room_for_the_temporary(tmp_path):
    write_whole(tmp_path / ("x" * 255), "x")
    write_whole(tmp_path / ("×" * 127), "x")
    assert len(names(tmp_path)) == 2


def test_json_and_tables(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n "a": [\n  1\n ]\n}\n'
    write_csv(tmp_path / "a.csv", ["a", "b"], [[1, "x,y"], [2, ""]])
    assert (tmp_path / "a.csv").read_bytes() == b'a,b\n1,"x,y"\n2,\n'


@given(st.binary(max_size=5000))
def test_hash_is_that_of_the_bytes(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "hashed"
    write_whole(path, data)
    assert file_sha256(path) == hashlib.sha256(data).hexdigest()


@given(st.binary(max_size=200), st.binary(max_size=200), st.data())
def test_a_seal_finds_every_change(before, after, data):
    sealed = seal(before + UNSEALED + after)
    assert is_sealed(sealed)
    assert len(sealed) == len(before) + len(UNSEALED) + len(after)
    k, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(sealed)
    changed[k] ^= 1 << bit
    assert not is_sealed(bytes(changed))
    assert not is_sealed(sealed[:k])
    assert not is_sealed(sealed + b"x")
    assert not is_sealed(b"")


def test_a_sealed_file_that_was_changed_is_named_without_its_folder(tmp_path):
    path = tmp_path / "a.json"
    for data in (b"{}", b"", UNSEALED):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=r"damaged a\.json .* Do this\.") as caught:
            read_sealed(path, do="Do this.")
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(DamagedFileError, match="No such file"):
        read_sealed(tmp_path / "none", do="Do this.")
    path.write_bytes(seal(UNSEALED))
    assert read_sealed(path, do="") == seal(UNSEALED)
