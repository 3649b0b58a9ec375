"""Landed files: every name is a name, every damage has its words, and every cut gives the same
lines.
"""

import gzip
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import ConfigurationError, LandingError
from lakehouse.ingest.landing import UnreadableError, blocks_of, inspect, listing_of
from lakehouse.ingest.validation import LONGEST_LINE
from lakehouse.storage.folders import Folder

LINE = b'{"id": 1}\n'
PACKED = gzip.compress(LINE * 3, mtime=0)


def lines_of(folder: Folder, name: str, part_bytes: int = 2**25) -> list[bytes]:
    """All lines of the file, part by part; asserts that the parts tell which lines they have."""
    found: list[bytes] = []
    for part in inspect(folder, name, part_bytes).parts:
        own = [line for block in blocks_of(folder, name, part) for line in block]
        assert (part.first_line, part.lines) == (len(found), len(own))
        found += own
    return found


def split_as_before(content: bytes) -> list[bytes]:
    """The lines of a content: a line feed at its very end opens none."""
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.jsonl", LINE * 2, 2),
        ("a.jsonl", LINE + LINE[:-1], 2),  # no line feed behind the last line
        ("a.jsonl", b"\n", 1),  # a blank line is a line
        ("a.jsonl", b"\n\n x", 3),
        ("a.jsonl", b"\r\n\x00\n\xff\xfe\n", 3),
        ("a.jsonl.gz", PACKED, 3),
        ("a.JSONL.GZ", PACKED + PACKED, 6),  # two members, as `cat` makes them
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), 0),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0) + PACKED, 3),
    ],
)
def test_a_file_has_its_lines(
    folder: Folder, tmp_path: Path, name: str, content: bytes, lines: int
) -> None:
    (tmp_path / name).write_bytes(content)
    if not lines:
        with pytest.raises(UnreadableError, match="holds no line"):
            inspect(folder, name)
        return
    assert len(lines_of(folder, name)) == inspect(folder, name).lines == lines
    assert inspect(folder, name).remark is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "it is empty"),
        ("a.jsonl.gz", b"", "it is empty"),
        ("a.jsonl.gz", PACKED[:-1], "ends before its end"),
        ("a.jsonl.gz", PACKED[: len(PACKED) // 2], "ends before its end"),
        ("a.jsonl.gz", PACKED[:3], "ends before its end"),
        ("a.jsonl.gz", PACKED + PACKED[:-1], "ends before its end"),  # the second member
        ("a.jsonl.gz", PACKED + b"garbage", "damaged"),
        (
            "a.jsonl.gz",
            PACKED[:12] + bytes([PACKED[12] ^ 0xFF]) + PACKED[13:],
            "damaged",
        ),  # a byte of the data
        ("a.jsonl.gz", PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "damaged"),  # the checksum
        ("a.jsonl.gz", LINE, "not gzip, though its name says so"),
        ("a.jsonl.gz", b"\x1f", "not gzip, though its name says so"),
        ("a.jsonl", PACKED, "gzip, though its name does not say so"),
    ],
)
def test_a_damaged_file_has_a_reason(
    folder: Folder, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableError, match=words):
        inspect(folder, name)


def test_zeros_behind_a_compressed_file_are_padding_and_a_remark(
    folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(PACKED + bytes(512))
    assert len(lines_of(folder, "a.jsonl.gz")) == 3
    assert inspect(folder, "a.jsonl.gz").remark == "gzip: zeros behind its end were left out"


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([b"\n", b"\n\n", b"x", b"ab", b"\r", b"\xff" * 3, LINE]), max_size=40),
    st.integers(1, 30),
)
def test_however_a_file_is_cut_its_lines_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], part_bytes: int
) -> None:
    content = b"".join(pieces) or b"x"
    path = tmp_path_factory.mktemp("cut")
    (path / "a.jsonl").write_bytes(content)
    (path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    for name in ("a.jsonl", "a.jsonl.gz"):
        assert lines_of(Folder(str(path)), name, part_bytes) == split_as_before(content)
    parts = inspect(Folder(str(path)), "a.jsonl", part_bytes).parts
    assert all(part.size >= part_bytes for part in parts[:-1])
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]


def test_a_line_beyond_all_bounds_is_cut_and_the_ones_around_it_are_not(
    folder: Folder, tmp_path: Path
) -> None:
    long = b"x" * (LONGEST_LINE * 2)
    (tmp_path / "a.jsonl").write_bytes(b"a\n" + long + b"\nb\n" + long)
    found = lines_of(folder, "a.jsonl")
    assert [len(line) for line in found] == [1, LONGEST_LINE + 1, 1, LONGEST_LINE + 1]


@pytest.mark.parametrize("change", [LINE, b"", LINE * 4])
def test_a_file_that_changed_since_it_was_inspected_is_not_taken_for_what_it_was(
    folder: Folder, tmp_path: Path, change: bytes
) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINE * 3)
    part = inspect(folder, "a.jsonl").parts[0]
    (tmp_path / "a.jsonl").write_bytes(change)
    if len(change) < part.size:
        with pytest.raises(UnreadableError, match="changed while it was read"):
            list(blocks_of(folder, "a.jsonl", part))
    else:  # it has grown: its lines of then are there, and its next listing tells of the others
        assert sum(map(len, blocks_of(folder, "a.jsonl", part))) == 3


NAMES = [
    *[
        "a[1].jsonl",
        "a{b,c}.jsonl",
        "what?.jsonl",
        "star*.jsonl",
        "2024-03-01T10:00:00.jsonl",
        "a b.jsonl",
    ],
    *[
        "a%20b.jsonl",
        "a#b.jsonl",
        "é.jsonl",
        "日本.jsonl",
        "a\\b.jsonl",
        "a'b\".jsonl",
        "$(x).jsonl",
    ],
    *["a\nb.jsonl", "-a.jsonl", "~.jsonl", "a.json", "a.ndjson", "b.JSONL", "c.Json", "a.jsonl.gz"],
    *["a.ndjson.GZ", "day=2024-03-01/a.jsonl", "x/y/z/a.jsonl", "a.jsonl/b.jsonl", "x,y;z.jsonl"],
    *["\x7f.jsonl", "a" * 240 + ".jsonl"],
]
LEFT_ALONE = [
    *[
        "a.csv",
        "a.jsonl.tmp",
        "a.jsonl.bz2",
        ".a.jsonl",
        "_a.jsonl",
        ".x/a.jsonl",
        "_tmp/a.jsonl",
        ".jsonl",
    ],
    *["jsonl"],
]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_every_name_is_listed_as_it_is_or_counted_as_left_alone(
    tmp_path: Path, scheme: str
) -> None:
    """By the operating system, and by pyarrow's file systems, which reach object stores."""
    for name in {*NAMES, *LEFT_ALONE}:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PACKED if name.lower().endswith(".gz") else LINE * 3)
    folder = Folder(f"{scheme}{tmp_path}")
    found = listing_of(folder)
    assert sorted(found.files) == sorted(NAMES)
    assert sorted(found.left_alone) == sorted(LEFT_ALONE)
    assert found.unreadable == {}
    for name, listed in found.files.items():
        inspected = inspect(folder, name)
        assert (inspected.size, inspected.lines) == (listed.size, 3)
        assert len(lines_of(folder, name)) == 3


@settings(max_examples=200)
@given(
    st.binary(min_size=1, max_size=40).filter(
        lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
    )
)
def test_any_name_of_the_operating_system_is_read_or_on_record(
    tmp_path_factory: pytest.TempPathFactory, name: bytes
) -> None:
    path = tmp_path_factory.mktemp("name")
    with open(os.fsencode(path) + b"/" + name + b".jsonl", "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(LINE)
    found = listing_of(Folder(str(path)))
    assert len(found.files) + len(found.left_alone) + len(found.unreadable) == 1
    for each in found.files:
        assert lines_of(Folder(str(path)), each) == [LINE[:-1]]
    hidden = name.startswith((b".", b"_"))
    assert bool(found.left_alone) == hidden
    assert (list(found.unreadable.values()) == ["its name is not UTF-8; rename it"]) == (
        not hidden and name.decode(errors="replace").encode() != name
    )


def test_links_are_followed_once_and_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jsonl").write_bytes(LINE)
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "real" / "a.jsonl")
    (tmp_path / "broken.jsonl").symlink_to(tmp_path / "nothing")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jsonl"))
        found = listing_of(Folder(str(tmp_path)))
    assert "b.jsonl" in found.files
    assert {name.rsplit("/", 1)[-1] for name in found.files} == {"a.jsonl", "b.jsonl"}
    assert sorted(found.left_alone) == ["broken", "pipe.jsonl", "socket.jsonl"]
    assert found.unreadable == {"broken.jsonl": "No such file or directory"}


def test_a_file_that_is_written_anew_in_place_is_another_one_though_its_size_and_time_are_the_same(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    seen = []
    for content in (b'{"id": 1}', b'{"id": 2}'):
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        seen.append(listing_of(Folder(str(tmp_path))).files["a.jsonl"])
    first, second = seen
    assert (first.size, first.modified_at) == (second.size, second.modified_at)
    assert first.signature != second.signature


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="most file systems clamp such times")
def test_a_modification_time_that_no_calendar_has_is_none() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(LINE)
        os.utime(path, (2**40, 2**40))
        assert listing_of(Folder(folder)).files["a.jsonl"].modified_at is None


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for location in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(LandingError, match="land files in a folder that can be read"):
            listing_of(Folder(str(location)))
    with pytest.raises(ConfigurationError, match="ftp://host/x: cannot be opened"):
        listing_of(Folder("ftp://host/x"))
