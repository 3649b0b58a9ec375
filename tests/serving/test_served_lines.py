"""Lines of answers: in a file before the answer, landed once it is old or large, or its process gone."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse.errors import ConfigurationError
from lakehouse.ingest.landing.listing import listing_of
from lakehouse.serving.served_lines import Rotation, ServedLines
from lakehouse.storage.folders import Folder


def opened(landing, **rotation):
    lines = ServedLines(landing, "reading", Rotation(**rotation))
    lines.open()
    return lines


def landed(landing):
    return [file.read_bytes() for file in sorted((landing / "reading").rglob("*.jsonl"))]


def unfinished(landing):
    return sorted((landing / "_served").glob("*.part"))


def test_a_line_is_in_its_file_when_append_returns_and_no_ingest_sees_it_yet(tmp_path):
    lines = opened(tmp_path)
    lines.append(b'{"a":1}\n', 1)
    (part,) = unfinished(tmp_path)
    assert part.read_bytes() == b'{"a":1}\n'
    listing = listing_of(Folder(str(tmp_path / "reading")))
    assert (listing.files, listing.left_alone) == ({}, [])


@pytest.mark.parametrize("rotation", [{"seconds": 0}, {"seconds": 1e9, "size": 8}])
def test_a_file_that_is_old_or_large_enough_lands_where_ingest_looks(tmp_path, rotation):
    lines = opened(tmp_path, **rotation)
    lines.append(b'{"a":1}\n', 1)
    lines.land_due()
    assert landed(tmp_path) == [b'{"a":1}\n']
    assert unfinished(tmp_path) == []
    assert len(listing_of(Folder(str(tmp_path / "reading"))).files) == 1
    lines.append(b'{"a":2}\n', 1)
    lines.close()
    assert sorted(landed(tmp_path)) == [b'{"a":1}\n', b'{"a":2}\n']


def test_a_file_that_is_young_and_small_does_not_land(tmp_path):
    lines = opened(tmp_path, seconds=1e9)
    lines.append(b'{"a":1}\n', 1)
    lines.land_due()
    assert landed(tmp_path) == []
    lines.close()
    assert landed(tmp_path) == [b'{"a":1}\n']


def test_what_a_process_that_is_gone_has_left_lands_without_the_line_that_was_cut_off(tmp_path):
    folder = tmp_path / "_served"
    folder.mkdir()
    (folder / "reading-1.part").write_bytes(b'{"a":1}\n{"a":2}\n{"a"')
    (folder / "reading-2.part").write_bytes(b'{"a"')
    opened(tmp_path)
    assert landed(tmp_path) == [b'{"a":1}\n{"a":2}\n']
    assert unfinished(tmp_path) == []


def test_the_file_of_a_process_that_is_alive_is_left_to_it(tmp_path):
    lines = opened(tmp_path, seconds=1e9)
    lines.append(b'{"a":1}\n', 1)
    other = opened(tmp_path, seconds=0)
    other.land_due()
    assert landed(tmp_path) == []
    lines.append(b'{"a":2}\n', 1)
    lines.close()
    assert landed(tmp_path) == [b'{"a":1}\n{"a":2}\n']


def test_lines_that_are_not_written_whole_are_not_written_at_all(tmp_path, monkeypatch):
    lines = opened(tmp_path, seconds=1e9)
    lines.append(b'{"a":1}\n', 1)
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, text: whole(descriptor, text[:3]))
    with pytest.raises(OSError) as error:
        lines.append(b'{"a":2}\n', 1)
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    lines.append(b'{"a":3}\n', 1)
    lines.close()
    assert landed(tmp_path) == [b'{"a":1}\n{"a":3}\n']
    assert lines.written == 2


_CHILD = """
import sys
from pathlib import Path
from lakehouse.serving.served_lines import ServedLines
lines = ServedLines(Path(sys.argv[1]), "reading")
lines.open()
number = 0
while True:
    lines.append(b'{"a":%d}\\n' % number, 1)
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_a_process_that_is_killed_loses_no_line_that_it_has_told_of(tmp_path):
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        told = [int(child.stdout.readline()) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        told += [int(line) for line in child.stdout.read().splitlines()]
        child.wait()
        opened(tmp_path)
        (content,) = landed(tmp_path)
        lines = content.splitlines()
        assert [b'{"a":%d}' % number for number in told] == lines[: len(told)]
        assert len(lines) - len(told) <= 1
        for file in (tmp_path / "reading" / "served").iterdir():
            file.unlink()


def test_a_file_is_locked_before_another_process_may_take_it(tmp_path):
    lines = opened(tmp_path, seconds=1e9)
    lines.append(b"{}\n", 1)
    (part,) = unfinished(tmp_path)
    with part.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_made_is_a_setting_to_change(tmp_path):
    (tmp_path / "landing").write_text("a file")
    with pytest.raises(ConfigurationError, match="landing"):
        opened(tmp_path / "landing")


def test_folders_on_two_disks_are_a_setting_to_change(tmp_path, monkeypatch):
    """A rename from one to the other would not be atomic."""
    real = Path.stat

    def of_another_disk(path, **given):
        state = real(path, **given)
        if path.name != "_served":
            return state
        return os.stat_result((*state[:2], state.st_dev + 1, *state[3:10]))

    monkeypatch.setattr(Path, "stat", of_another_disk)
    with pytest.raises(ConfigurationError, match="lies on another disk"):
        opened(tmp_path)


def test_a_landed_file_is_as_old_as_its_last_line(tmp_path):
    lines = opened(tmp_path, seconds=0)
    before = time.time()
    lines.append(b"{}\n", 1)
    lines.land_due()
    (file,) = (tmp_path / "reading").rglob("*.jsonl")
    assert before - 1 <= file.stat().st_mtime <= time.time() + 1
