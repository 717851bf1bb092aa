"""Images in tar archives: layouts that work, and a clear message for each that does not."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.data import archives as archives_module
from sreclip.data import hashes as hashes_module
from sreclip.data.archives import list_archive
from sreclip.data.manifest import (
    find_rows,
    read_manifest,
    read_manifest_part,
    read_summary,
    read_target_labels,
    row_id,
)
from sreclip.data.place import Place, image_names
from sreclip.data.prepare import prepare_data
from sreclip.data.shards import read_shards
from sreclip.data.task import TaskData
from sreclip.data.tasks.folder import FolderTask
from sreclip.errors import DataError, StoreError

Members = Iterable[tuple[str, bytes | None] | tarfile.TarInfo]
TEN_MINUTES_NS = 600 * 10**9


def pack(path: Path, members: Members, format: int = tarfile.GNU_FORMAT) -> Path:
    """Write an archive of members (None: a folder), as if ten minutes ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
    age(path)
    return path


def age(path: Path) -> None:
    then = time.time_ns() - TEN_MINUTES_NS
    os.utime(path, ns=(then, then))


def put(path: Path, content: bytes = b"file") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    age(path)


def named(*names: str) -> list[tuple[str, bytes]]:
    """Members whose content is their name."""
    return [(name, name.encode()) for name in names]


def task(root: Path, **more: str) -> dict[str, str | None]:
    return {"root": str(root), "source": "source", "target": "target", "classes": None, **more}


def prepare(root: Path, **more: str) -> TaskData:
    return FolderTask().prepare(task(root, **more), Path("unused"))


def listed(root: Path, **more: str) -> set[tuple[str, str, str | None]]:
    """Shown name, domain and class of each image, once its bytes were found where it says."""
    data = prepare(root, **more)
    found = set()
    for image in data.images:
        path, member, offset, size = image.place
        if member is not None:
            assert offset is not None and size is not None
            content = (root / path).read_bytes()[offset : offset + size]
            assert content.decode() in (member, f"./{member}")
        label = None if image.label is None else data.classes[image.label].name
        found.add((image.place.name, image.domain, label))
    assert len(found) == len(data.images)
    return found


def refused(root: Path, *words: str, **more: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare(root, **more)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with one source class and one target image, as files."""
    root = tmp_path / "root"
    put(root / "source/cat/a.jpg", b"cat")
    put(root / "target/a.jpg", b"target")
    return root


FILES = {("source/cat/a.jpg", "source", "cat"), ("target/a.jpg", "target", None)}


def test_class_folders_within_an_archive(root):
    pack(
        root / "source/shard.tar",
        [("./", None), ("./dog/", None), *named("./dog/a.jpg", "cat/2024/deep/b.PNG")],
    )
    pack(root / "target/shard-000000.tar", named("loose.jpg", "zebra/c.webp"))
    pack(root / "target/shard-000001.tar", named("zebra/c.webp"))
    assert listed(root) == FILES | {
        ("source/shard.tar/dog/a.jpg", "source", "dog"),
        ("source/shard.tar/cat/2024/deep/b.PNG", "source", "cat"),
        ("target/shard-000000.tar/loose.jpg", "target", None),
        ("target/shard-000000.tar/zebra/c.webp", "target", "zebra"),
        ("target/shard-000001.tar/zebra/c.webp", "target", "zebra"),
    }


def test_an_archive_in_a_class_folder_is_of_that_class(root):
    pack(root / "source/dog/any.tar", named("a.jpg", "wolf/b.jpg", "c.jpg", "c.cls"))
    pack(root / "source/cat/2024/more.TAR", named("a.jpg"))
    pack(root / "target/dog/x.tar", named("a.jpg"))
    assert listed(root) == FILES | {
        ("source/dog/any.tar/a.jpg", "source", "dog"),
        ("source/dog/any.tar/wolf/b.jpg", "source", "dog"),
        ("source/dog/any.tar/c.jpg", "source", "dog"),
        ("source/cat/2024/more.TAR/a.jpg", "source", "cat"),
        ("target/dog/x.tar/a.jpg", "target", "dog"),
    }


def test_samples_with_class_names(root):
    (root / "source/cat/a.jpg").unlink()
    (root / "source/cat").rmdir()
    pack(
        root / "source/train-000000.tar",
        [
            *[("0.cls", b"polar bear\n"), ("0.jpg", b"0.jpg"), ("1.jpg", b"1.jpg")],
            *[("1.json", b'{"caption": "x", "label": "cat"}'), ("sub/2.jpg", b"sub/2.jpg")],
            *[
                ("sub/2.json", b'\xef\xbb\xbf{"class": "polar bear"}'),
                ("v1.5/3.x.png", b"v1.5/3.x.png"),
            ],
            *[
                ("v1.5/3.x.cls", b" cat "),
                ("4.seg.png", b"4.seg.png"),
                ("4.json", b'{"cls": "cat"}'),
            ],
        ],
    )
    assert listed(root) == {
        ("target/a.jpg", "target", None),
        ("source/train-000000.tar/0.jpg", "source", "polar bear"),
        ("source/train-000000.tar/1.jpg", "source", "cat"),
        ("source/train-000000.tar/sub/2.jpg", "source", "polar bear"),
        ("source/train-000000.tar/v1.5/3.x.png", "source", "cat"),
        ("source/train-000000.tar/4.seg.png", "source", "cat"),
    }


def test_samples_with_class_numbers(root):
    (root / "list.csv").write_text("name,folder\nwolf,n01\ncat,\ndog,\n")
    pack(
        root / "source/a.tar",
        [
            *[("0.jpg", b"0.jpg"), ("0.cls", b"0"), ("1.jpg", b"1.jpg"), ("1.cls", b"1\n")],
            *[("2.jpg", b"2.jpg"), ("2.json", b'{"label": 2, "class": "dog", "cls": null}')],
            *[("3.jpg", b"3.jpg"), ("3.cls", b"wolf"), ("4.jpg", b"4.jpg"), ("4.cls", b"n01")],
            *[("dog/5.jpg", b"dog/5.jpg"), ("dog/5.cls", b"2")],
        ],
    )
    pack(root / "target/t.tar", [("0.jpg", b"0.jpg"), ("0.cls", b"2"), ("1.jpg", b"1.jpg")])
    assert listed(root, classes="list.csv") == FILES | {
        ("source/a.tar/0.jpg", "source", "wolf"),
        ("source/a.tar/1.jpg", "source", "cat"),
        ("source/a.tar/2.jpg", "source", "dog"),
        ("source/a.tar/3.jpg", "source", "wolf"),
        ("source/a.tar/4.jpg", "source", "wolf"),
        ("source/a.tar/dog/5.jpg", "source", "dog"),
        ("target/t.tar/0.jpg", "target", "dog"),
        ("target/t.tar/1.jpg", "target", None),
    }


def test_a_label_goes_before_a_folder_that_is_no_class(root):
    pack(
        root / "source/a.tar",
        [("part1/0.jpg", b"part1/0.jpg"), ("part1/0.cls", b"cat"), *named("dog/1.jpg")],
    )
    (root / "list.txt").write_text("cat\ndog\n")
    for more in ({}, {"classes": "list.txt"}):
        assert listed(root, **more) == FILES | {
            ("source/a.tar/part1/0.jpg", "source", "cat"),
            ("source/a.tar/dog/1.jpg", "source", "dog"),
        }


def test_a_name_is_enough_where_the_number_cannot_be_understood(root):
    pack(root / "source/a.tar", [("0.jpg", b"0.jpg"), ("0.json", b'{"label": 7, "class": "cat"}')])
    assert ("source/a.tar/0.jpg", "source", "cat") in listed(root)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_and_long_names(root, format):
    deep = "/".join(["dog", *["folder" * 5] * 6, "Käse.jpg"])
    names = ["dog/a.jpg"] if format == tarfile.USTAR_FORMAT else [deep, "dog/a.jpg"]
    pack(root / "source/a.tar", named(*names), format)
    assert {name for name, *_ in listed(root)} >= {f"source/a.tar/{name}" for name in names}


def test_a_link_to_an_archive_is_followed_within_the_root(root, tmp_path):
    pack(root / "store/a.tar", named("dog/a.jpg"))
    (root / "source/a.tar").symlink_to("../store/a.tar")
    assert ("source/a.tar/dog/a.jpg", "source", "dog") in listed(root)
    pack(tmp_path / "outside.tar", named("dog/a.jpg"))
    (root / "source/b.tar").symlink_to(tmp_path / "outside.tar")
    refused(root, "source/b.tar", "out of the data root")


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_folders_of_systems_and_programs_are_skipped_at_every_level(root: Path) -> None:
    packed = [
        *("@eaDir/dog.jpg/SYNOPHOTO_THUMB_M.jpg", "dog/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg"),
        *("dog/@eaDir/b.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/dog/._a.jpg", "dog/._a.jpg"),
        *("$RECYCLE.BIN/S-1-5/x.jpg", "cat/.AppleDouble/a.jpg", "dog/deep/a.jpg"),
    ]
    pack(root / "source/a.tar", named(*packed))
    assert listed(root) == FILES | {("source/a.tar/dog/deep/a.jpg", "source", "dog")}
    notes = " ".join(prepare(root).notes)
    assert "1 $RECYCLE.BIN, 1 .AppleDouble, 2 @eaDir, 1 __MACOSX, 1 hidden images" in notes, (
        "@eaDir at the top, and one in dog"
    )


def test_links_and_devices_are_listed_and_not_followed(root):
    pack(
        root / "source/a.tar",
        [
            *named("dog/a.jpg", "dog/notes.txt", "unused.json", "dog/.hidden.jpg", "._b.jpg"),
            *named("dog/__MACOSX/c.txt", ".git/d.jpg"),
            special("dog/b.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            special("dog/c.jpg", tarfile.LNKTYPE, "../../secret"),
            special("dog/d.jpg", tarfile.CHRTYPE),
            special("dog/e.jpg", tarfile.BLKTYPE),
            special("dog/f.jpg", tarfile.FIFOTYPE),
        ],
    )
    assert listed(root) == FILES | {("source/a.tar/dog/a.jpg", "source", "dog")}
    notes = " ".join(prepare(root).notes)
    assert "1 .json, 1 .txt, 3 device, 2 link" in notes
    assert "1 .git, 1 __MACOSX, 2 hidden images" in notes


@pytest.mark.parametrize("name", ["/etc/a.jpg", "../a.jpg", "dog/../../a.jpg", "/dog/a.txt"])
def test_names_that_lead_out_of_the_archive(root, name):
    pack(root / "source/a.tar", named("dog/b.jpg", name))
    refused(root, "source/a.tar", repr(name), "leads out")


def test_a_name_that_is_not_utf8(root):
    pack(root / "source/a.tar", [(b"dog/\xff.jpg".decode("utf-8", "surrogateescape"), b"x")])
    refused(root, "source/a.tar", "not UTF-8")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (named("a.jpg"), ["no class folder", "source/a.tar/a.jpg"]),
        ([("a.jpg", b""), ("a.json", b'{"caption": "x"}')], ["source/a.tar/a.jpg"]),
        (named("dog/a.jpg", "./dog//a.jpg"), ["two members", "'dog/a.jpg'"]),
        ([*named("a.jpg"), ("a.cls", b"x"), ("a.cls", b"y")], ["two members", "'a.cls'"]),
        ([*named("a.jpg"), ("a.cls", b"3")], ["'a.jpg'", "class number 3", "no class list"]),
        ([*named("a.jpg"), ("a.json", b'{"label": 3}')], ["'a.jpg'", "class number 3"]),
        ([*named("a.jpg"), ("a.cls", b"")], ["'a.cls'", "one class"]),
        ([*named("a.jpg"), ("a.cls", b"x\ny")], ["'a.cls'", "one class"]),
        ([*named("a.jpg"), ("a.cls", b"\xff")], ["'a.cls'", "UTF-8"]),
        ([*named("a.jpg"), ("a.cls", b"x" * (1 << 21))], ["'a.cls'", "too long"]),
        ([*named("a.jpg"), ("a.json", b"{")], ["'a.json'", "JSON"]),
        ([*named("a.jpg"), ("a.json", b"[" * 100_000)], ["'a.json'", "JSON"]),
        ([*named("a.jpg"), ("a.json", b"[1]")], ["'a.json'", "object"]),
        ([*named("a.jpg"), ("a.json", b'{"label": [1]}')], ["'a.json'", "'label'", "[1]"]),
        ([*named("a.jpg"), ("a.json", b'{"label": true}')], ["'a.json'", "True"]),
        ([*named("a.jpg"), ("a.json", b'{"label": " "}')], ["'a.json'", "'label'"]),
        ([*named("a.jpg"), ("a.json", b'{"label": 1.5}')], ["'a.json'", "1.5"]),
        (
            [*named("a.jpg"), ("a.json", b'{"label": "x", "class": "y"}')],
            ["'a.jpg'", "more than one class", "'x'", "'y'"],
        ),
        ([*named("a.jpg"), ("a.json", b'{"cls": "x"}'), ("a.cls", b"y")], ["more than one"]),
        ([*named("a.jpg", "a.png"), ("a.cls", b"x")], ["'a.jpg'", "'a.png'", "share"]),
        ([*named("a.jpg", "a.seg.png"), ("a.cls", b"x")], ["'a.seg.png'", "share"]),
        (named("source/dog/a.jpg"), ["'source/dog/a.jpg'", "domain's own folder"]),
        ([*named("a.jpg"), ("a.cls", b"Cat")], ["differ only", "'source/a.tar/Cat'"]),
        (named("dog/a.jpg", "Dog/b.jpg"), ["differ only", "'source/a.tar/Dog'"]),
        (named("polar_bear/a.jpg", "polar bear/b.jpg"), ["differ only"]),
    ],
)
def test_what_is_ambiguous_is_refused(root, members, words):
    pack(root / "source/a.tar", members)
    refused(root, "source/a.tar", *words)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([*named("a.jpg"), ("a.cls", b"3")], ["'a.jpg'", "3 classes"]),
        ([*named("a.jpg"), ("a.cls", b"-1")], ["'a.jpg'", "class number -1"]),
        ([*named("a.jpg"), ("a.cls", b"dgo")], ["'a.jpg'", "'dgo'", "'dog'"]),
        ([*named("cat/a.jpg"), ("cat/a.cls", b"dog")], ["'cat/a.jpg'", "another, 'dog'"]),
        ([*named("a.jpg"), ("a.json", b'{"label": 0, "class": "dog"}')], ["more than one"]),
        ([*named("a.jpg"), ("a.cls", b"1")], ["'a.jpg'", "by number and another class by name"]),
        (named("zebra/a.jpg"), ["'source/a.tar/zebra'", "does not list"]),
    ],
)
def test_what_does_not_fit_the_class_list(root, members, words):
    (root / "list.csv").write_text("name,prompt_names\ncat,\ndog,\n1,the number one\n")
    pack(root / "source/a.tar", members)
    refused(
        root,
        "source/a.tar" if "number and" not in words[-1] else "a.tar",
        *words,
        classes="list.csv",
    )


def test_numbers_in_the_target_need_a_list_too(root):
    pack(root / "target/a.tar", [*named("a.jpg"), ("a.cls", b"3")])
    refused(root, "target/a.tar", "'a.jpg'", "no class list")


@pytest.mark.parametrize("name", ["a.tar.gz", "b.TGZ", "c.tar.zst", "d.tar.bz2", "e.txz"])
def test_compressed_archives_are_refused_by_name(root, name):
    put(root / "source/cat" / name)
    refused(root, name, "random access")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_archives_are_refused_by_content(root, compress):
    path = pack(root / "source/a.tar", named("dog/a.jpg"))
    path.write_bytes(compress(path.read_bytes()))
    refused(root, "a.tar", "random access")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a tar archive"),
        (b"text", "not a tar archive"),
        (bytes(range(256)) * 8, "not a tar archive"),
    ],
)
def test_what_is_no_archive(root, content, words):
    put(root / "source/cat/a.tar", content)
    refused(root, "source/cat/a.tar", words)


def test_an_archive_of_nothing(root):
    pack(root / "target/t.tar", [])
    assert listed(root) == FILES
    (root / "target/a.jpg").unlink()
    refused(root, "target", "no image at all")
    pack(root / "source/dog/t.tar", named("notes.txt"))
    pack(root / "target/t.tar", named("a.jpg"))
    refused(root, "source/dog", "without an image")


BIG = [(f"dog/{i}.jpg", bytes([i]) * 700) for i in range(4)]


@pytest.mark.parametrize("cut", range(1, 8 * 512, 256))
def test_an_archive_cut_off_anywhere(root, cut):
    path = pack(root / "source/a.tar", BIG)
    path.write_bytes(path.read_bytes()[:cut])
    member, rest = divmod(cut, 3 * 512)
    inside = 512 < rest < 512 + 700
    refused(root, "source/a.tar", f"cut off in the middle of 'dog/{member}.jpg'" if inside else "")


def test_an_archive_without_its_end_mark(root):
    path = pack(root / "source/a.tar", BIG)
    path.write_bytes(path.read_bytes()[: 4 * 3 * 512])
    refused(root, "source/a.tar", "no end mark")
    with path.open("ab") as handle:  # what the hint says
        handle.truncate(path.stat().st_size + 1024)
    assert len(prepare(root).images) == 6


def test_archives_strung_together(root):
    path = pack(root / "source/a.tar", BIG)
    path.write_bytes(path.read_bytes() * 2)
    refused(root, "source/a.tar", "behind the end mark")


def test_a_damaged_header_in_the_middle(root):
    path = pack(root / "source/a.tar", BIG)
    content = bytearray(path.read_bytes())
    content[3 * 512 + 10] ^= 255
    path.write_bytes(content)
    refused(root, "source/a.tar", f"byte {3 * 512}")


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with any size; negative ones and those past 8 GiB are written in base 256."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (
        b"%011o\0" % size
        if 0 <= size < 8**11
        else (b"\xff" if size < 0 else b"\x80") + (size % 2**88).to_bytes(11, "big")
    )
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]
    return bytes(block)


@pytest.mark.parametrize("size", [-512, -1, 1 << 40, 2**80])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_forged_sizes(root, size, kind):
    first = header("dog/a.jpg", 3) + b"abc".ljust(512, b"\0")
    forged = header("dog/b.jpg", size, kind)
    put(root / "source/a.tar", first + forged + bytes(10_240))
    too_long = kind != tarfile.REGTYPE and size != -1  # that one rounds up to an empty block
    refused(root, "source/a.tar", "a header of" if too_long else "")


def test_many_nested_headers(root):
    pax = b"12 path=x\nx\n"
    one = header("x", len(pax), tarfile.XHDTYPE) + pax.ljust(512, b"\0")
    put(root / "source/a.tar", one * 3000 + header("dog/a.jpg", 0) + bytes(10_240))
    refused(root, "source/a.tar", "not a tar archive")


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 12 * 512 - 1), value=st.integers(0, 255))
def test_one_wrong_byte_is_refused_or_harmless(tmp_path_factory, at, value):
    folder = tmp_path_factory.getbasetemp()
    path = pack(folder / "fuzz.tar", BIG)
    content = bytearray(path.read_bytes())
    content[at] = value
    path.write_bytes(content)
    try:
        found = list_archive(folder, "fuzz.tar")
    except DataError as error:
        assert str(path) in error.message
        return
    for member in found.images:
        assert member.offset >= 0 and member.offset + member.size <= len(content)


def test_an_archive_that_changes_while_it_is_listed(root, monkeypatch):
    path = pack(root / "source/a.tar", BIG)
    safe_name = archives_module._safe_name

    def growing(full: Path, name: str) -> str | None:
        with path.open("ab") as handle:
            handle.write(bytes(512))
        return safe_name(full, name)

    monkeypatch.setattr(archives_module, "_safe_name", growing)
    refused(root, "source/a.tar", "changed while")


def test_an_archive_that_cannot_be_read(root, monkeypatch):
    pack(root / "source/a.tar", BIG)

    def failing(*arguments: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(archives_module, "read_at", failing)
    refused(root, "source/a.tar", "Input/output error")


def test_members(tmp_path):
    pack(tmp_path / "a.tar", [("b.jpg", b"12345"), ("a.jpg", b""), ("b.cls", b"x"), ("n", b"")])
    archive = list_archive(tmp_path, "a.tar")
    assert archive.images == [Place("a.tar", "b.jpg", 512, 5), Place("a.tar", "a.jpg", 1536, 0)]
    assert archive.labels == {"b": [Place("a.tar", "b.cls", 2048, 1)]}
    assert archive.ignored == {"": 1}
    status = (tmp_path / "a.tar").stat()
    assert archive.stamp == (status.st_size, status.st_mtime_ns)


# The manifest


def run(root: Path, folder: Path, **options):
    cache = folder.with_name(f".{folder.name}.hashes.parquet")
    more = {"shard_size": 2, "duplicates": "error", "hash_cache": cache, **options}
    return prepare_data("folder", task(root), folder, **more)


@pytest.fixture
def packed(root: Path) -> Path:
    pack(root / "source/s.tar", named("dog/b.jpg", "dog/a.jpg", "cat/c.jpg"))
    pack(root / "target/t.tar", [*named("x.jpg", "cat/y.jpg"), ("empty.jpg", b"")])
    return root


def test_the_manifest_says_where_members_are(packed, tmp_path):
    summary = run(packed, tmp_path / "out")
    rows = read_manifest(tmp_path / "out")
    assert image_names(rows).tolist() == [
        "source/cat/a.jpg",
        "source/s.tar/cat/c.jpg",
        "source/s.tar/dog/a.jpg",
        "source/s.tar/dog/b.jpg",
        "target/a.jpg",
        "target/t.tar/cat/y.jpg",
        "target/t.tar/empty.jpg",
        "target/t.tar/x.jpg",
    ]
    for row in rows.itertuples():
        content = (packed / row.path).read_bytes()
        member = None if pd.isna(row.member) else row.member
        assert pd.isna(row.offset) == (member is None)
        if member is not None:
            content = content[row.offset :][: row.size]
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert len(content) == row.size
        assert row.row_id == row_id(row.domain, Place(row.path, member).name)
    assert rows["label"].tolist()[:4] == [0, 0, 1, 1]
    target = rows[rows["domain"] == "target"]
    assert target["label"].isna().all()
    assert read_target_labels(tmp_path / "out", target["row_id"]).tolist() == [-1, 0, -1, -1]
    assert summary["archives"] == ["source/s.tar", "target/t.tar"]
    assert summary["empty_files"] == ["target/t.tar/empty.jpg"]
    assert read_summary(tmp_path / "out") == summary


def test_a_repacked_archive_keeps_its_keys(packed, tmp_path):
    run(packed, tmp_path / "one")
    members = [("./", None), *named("cat/c.jpg", "notes.txt", "dog/a.jpg", "dog/b.jpg")]
    pack(packed / "source/s.tar", members, tarfile.PAX_FORMAT)
    run(packed, tmp_path / "two")
    one, two = (read_manifest(tmp_path / name) for name in ("one", "two"))
    assert one["offset"].tolist() != two["offset"].tolist()
    pd.testing.assert_frame_equal(one.drop(columns="offset"), two.drop(columns="offset"))
    assert read_shards(tmp_path / "one") == read_shards(tmp_path / "two")


def test_duplicates_across_archive_and_file(packed, tmp_path):
    put(packed / "target/again.jpg", b"dog/a.jpg")
    with pytest.raises(DataError, match=r"target/again\.jpg = source/s\.tar/dog/a\.jpg"):
        run(packed, tmp_path / "out")
    pack(packed / "target/t.tar", [("x.jpg", b"cat"), ("y.jpg", b"y")])
    (packed / "target/again.jpg").unlink()
    summary = run(packed, tmp_path / "out", duplicates="drop_target")
    assert summary["duplicates"]["dropped"] == ["target/t.tar/x.jpg"]


@pytest.fixture
def reads(monkeypatch) -> list[tuple[int, int]]:
    """Offset and size of the members that were read to be hashed."""
    seen: list[tuple[int, int]] = []
    read = hashes_module._read

    def spy(place: Place, *arguments: Any) -> Any:
        if place.member is not None:
            seen.append((place.offset or 0, place.size or 0))
        return read(place, *arguments)

    monkeypatch.setattr(hashes_module, "_read", spy)
    return seen


def test_unchanged_members_are_not_read_again(packed, tmp_path, reads):
    run(packed, tmp_path / "out")
    assert len(reads) == 6
    before = read_manifest(tmp_path / "out")
    reads.clear()
    run(packed, tmp_path / "out")
    assert reads == []
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "out"), before)
    # Another time of the archive, another place of a member, another size of the archive.
    os.utime(packed / "target/t.tar", (7, 7))
    run(packed, tmp_path / "out")
    assert len(reads) == 3


@pytest.mark.parametrize(
    "members",
    [
        named("cat/c.jpg", "dog/b.jpg", "dog/a.jpg"),
        named("dog/b.jpg", "dog/a.jpg", "cat/c.jpg", *(f"dog/{i}.jpg" for i in range(20))),
    ],
    ids=["other places", "longer"],
)
def test_another_archive_of_the_same_time_is_read_again(packed, tmp_path, reads, members):
    path = packed / "source/s.tar"
    run(packed, tmp_path / "out")
    times = path.stat().st_mtime_ns
    reads.clear()
    pack(path, members)
    os.utime(path, ns=(times, times))
    run(packed, tmp_path / "out")
    assert len(reads) == len(members)
    rows = read_manifest(tmp_path / "out")
    for row in rows[rows["path"] == "source/s.tar"].itertuples():
        content = path.read_bytes()[row.offset :][: row.size]
        assert hashlib.sha256(content).hexdigest() == row.sha256


def test_an_archive_just_written_is_not_trusted(packed, tmp_path, reads):
    os.utime(packed / "target/t.tar")
    run(packed, tmp_path / "out")
    reads.clear()
    run(packed, tmp_path / "out")
    assert len(reads) == 3


@pytest.mark.parametrize("when", ["before", "during"])
def test_an_archive_that_changes_after_it_was_listed(packed, tmp_path, monkeypatch, when):
    path = packed / "source/s.tar"
    digest_of = hashes_module._digest

    def change() -> None:
        os.utime(path, (9, 9))

    if when == "before":
        rows_of = prepare_data.__globals__["image_rows"]

        def changing(data):
            change()
            return rows_of(data)

        monkeypatch.setattr("sreclip.data.prepare.image_rows", changing)
    else:

        def changing(descriptor: int, offset: int, size: int) -> str:
            change()
            return digest_of(descriptor, offset, size)

        monkeypatch.setattr(hashes_module, "_digest", changing)
    with pytest.raises(DataError, match=r"s\.tar.*changed while"):
        run(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_member_that_cannot_be_read_is_listed(packed, tmp_path, monkeypatch):
    read = os.pread

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        if size < 512 and offset:  # a member, not a file or what is between members
            raise OSError(5, "Input/output error")
        return read(descriptor, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing)
        summary = run(packed, tmp_path / "out", duplicates="keep")
    assert "source/s.tar/dog/a.jpg" in summary["unreadable_files"]
    assert len(summary["unreadable_files"]) == 5
    assert run(packed, tmp_path / "out")["unreadable_files"] == []


def test_an_archive_gone_before_it_is_hashed(packed, tmp_path, monkeypatch):
    rows_of = prepare_data.__globals__["image_rows"]

    def removing(data):
        (packed / "source/s.tar").unlink()
        return rows_of(data)

    monkeypatch.setattr("sreclip.data.prepare.image_rows", removing)
    with pytest.raises(DataError, match=r"s\.tar.*cannot be found"):
        run(packed, tmp_path / "out")


# What the workflow asks before and between


def looked(root: Path, folder: Path, **more: str):
    look = FolderTask().first_look(task(root, **more), folder)
    return {path.relative_to(root).as_posix() for path in look.inputs}, look.classes


def test_first_look_at_folders_alone(root, tmp_path):
    put(root / "source/.git/x/a.jpg")
    put(root / "target/polar_bear/a.jpg")
    inputs, classes = looked(root, tmp_path / "none")
    assert inputs == {"source", "source/cat", "target", "target/polar_bear"}
    assert classes == {"cat": 1, "polar bear": 0}
    (root / "list.txt").write_text("dog\ncat\n")
    inputs, classes = looked(root, tmp_path / "none", classes="list.txt")
    assert "list.txt" in inputs
    assert classes == {"dog": 0, "cat": 1}


def test_first_look_at_archives(packed, tmp_path):
    pack(packed / "source/cat/more.tar", named("m.jpg"))
    inputs, classes = looked(packed, tmp_path / "out")
    archives = {"source/s.tar", "source/cat/more.tar", "target/t.tar"}
    assert inputs == {"source", "source/cat", "target"} | archives
    assert classes is None
    (packed / "source/s.tar").unlink()
    (packed / "target/t.tar").unlink()
    assert looked(packed, tmp_path / "out")[1] == {"cat": 1}


def test_the_inputs_stay_the_same_and_follow_what_comes_and_goes(packed, tmp_path):
    pack(packed / "source/cat/more.tar", named("m.jpg"))
    before = looked(packed, tmp_path / "out")
    run(packed, tmp_path / "out")
    assert looked(packed, tmp_path / "out") == before
    pack(packed / "source/cat/new.tar", named("n.jpg"))
    later = time.time_ns() + TEN_MINUTES_NS
    os.utime(packed / "source/cat", ns=(later, later))
    assert looked(packed, tmp_path / "out")[0] == before[0] | {"source/cat/new.tar"}
    (packed / "source/cat/new.tar").unlink()
    (packed / "source/cat/more.tar").unlink()
    assert looked(packed, tmp_path / "out")[0] == before[0] - {"source/cat/more.tar"}


def test_a_damaged_summary_does_not_stop_the_look(packed, tmp_path):
    before = looked(packed, tmp_path / "out")
    run(packed, tmp_path / "out")
    (tmp_path / "out/summary.json").write_text("{")
    inputs, _ = looked(packed, tmp_path / "out")
    assert inputs <= before[0]


# Parts of a manifest


@pytest.fixture
def long(tmp_path, monkeypatch) -> tuple[Path, pd.DataFrame]:
    """A manifest of several row groups."""
    monkeypatch.setattr("sreclip.data.manifest._ROW_GROUP", 7)
    root = tmp_path / "root"
    pack(root / "source/s.tar", [(f"dog/{i:02d}.jpg", bytes([i])) for i in range(20)])
    pack(root / "target/t.tar", [(f"{i:02d}.jpg", bytes([i, i])) for i in range(20)])
    run(root, tmp_path / "out")
    return tmp_path / "out", read_manifest(tmp_path / "out")


def test_parts_are_the_rows_of_the_whole(long):
    folder, rows = long
    for start, stop in ((0, 1), (0, 40), (6, 7), (6, 8), (13, 29), (39, 40)):
        part = read_manifest_part(folder, start, stop)
        pd.testing.assert_frame_equal(part, rows.iloc[start:stop].reset_index(drop=True))
    for start, stop in ((0, 41), (3, 3), (-1, 2)):
        with pytest.raises(StoreError, match="has 40 rows"):
            read_manifest_part(folder, start, stop)


def test_rows_are_found_by_their_ids(long):
    folder, rows = long
    for picked in ([33], [2, 39, 0, 17], []):
        ids = rows["row_id"].iloc[picked].tolist()
        expected = rows.iloc[picked].reset_index(drop=True)
        pd.testing.assert_frame_equal(find_rows(folder, ids), expected)
    with pytest.raises(StoreError, match="no row with row_id 5"):
        find_rows(folder, [rows["row_id"].iloc[0], 5])


def test_columns_alone(long):
    folder, rows = long
    pd.testing.assert_frame_equal(read_manifest(folder, ["label"]), rows[["label"]])
    part = read_manifest(folder, ["row_id", "member"])
    pd.testing.assert_frame_equal(part, rows[["row_id", "member"]])
