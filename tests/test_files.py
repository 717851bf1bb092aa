"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sreclip.errors import ConfigError, StoreError
from sreclip.files import atomic_folder, atomic_path, expanded, read_json, write_json, write_text


def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    with pytest.raises(RuntimeError), atomic_folder(out) as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert list(out.parent.iterdir()) == []
    with atomic_folder(out) as temporary:
        (temporary / "whole").touch()
        assert not out.exists()
    assert [each.name for each in out.iterdir()] == ["whole"]
    with pytest.raises(ConfigError, match="folder exists"), atomic_folder(out):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"), atomic_folder(tmp_path / "file/x"):
        pass


def test_kill_leaves_no_final_file(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from sreclip.files import atomic_path
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            print("ready", flush=True)
            time.sleep(60)
    """)
    path = tmp_path / "a.txt"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not path.exists()


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot be written")]
)
def test_disk_faults_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=said) as caught:
        write_text(tmp_path / "a.txt", "text")
    assert "a.txt" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut at any moment leaves the old file or the whole new one."""
    path, synced = tmp_path / "a.txt", []

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_text(path, "text")
    assert synced == [(False, False), (True, True)]


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 2]})
    assert read_json(path) == {"b": [1, 2]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"b": float("nan")})
    assert read_json(path) == {"b": [1, 2]}
    path.write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        read_json(path)
    with pytest.raises(StoreError, match="make it with: me"):
        read_json(tmp_path / "none.json", made_by="me")


def test_variables_are_filled_in_unless_the_name_is_there_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir(tmp_path)
    assert expanded("~/a/$HOME") == Path("/home/someone/a/home/someone")
    assert expanded("$NOT_SET/a") == Path("$NOT_SET/a")
    (tmp_path / "costs $HOME").mkdir()
    assert expanded("costs $HOME") == Path("costs $HOME")
