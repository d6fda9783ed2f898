"""A disk that is full or cannot be written to, an output folder that goes away."""

import errno
import shutil
import tempfile

import pytest

from faults import finish, on_disk, read_until, started, write_data
from pcgrad_pipelines.local.failure import failure_message
from pcgrad_pipelines.local.runner import DONE, FAILED


@pytest.fixture
def log_file(tmp_path):
    path = tmp_path / "run.log"
    path.touch()
    return path


def raised_from(error):
    try:
        raise RuntimeError("a component failed") from error
    except RuntimeError as outer:
        return outer


def raised_while(error):
    """Is handled, as in a `finally` that fails itself."""
    try:
        try:
            raise error
        finally:
            raise KeyError("output")
    except KeyError as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        raised_from(OSError(errno.ENOSPC, "written 3 of 5 bytes")),
        raised_from(ValueError("INTERNAL: /x/model; No space left on device")),
        raised_while(OSError(errno.ENOSPC, "written 3 of 5 bytes")),
        RuntimeError("Error when executing query: database or disk is full"),
    ],
)
def test_a_full_disk_is_said_to_be_full(tmp_path, log_file, error):
    message = failure_message(error, tmp_path, log_file)
    assert message.startswith(f"the disk of {tmp_path} is full; make room and run the same")


@pytest.mark.parametrize("full", ["out", "tmp"])
def test_the_disk_that_is_full_is_named(tmp_path, log_file, monkeypatch, full):
    folders = {name: tmp_path / name for name in ("out", "tmp")}
    monkeypatch.setattr(tempfile, "tempdir", str(folders["tmp"]))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: usage._replace(free=0 if folder.name == full else 9)
    )
    error = OSError(errno.ENOSPC, "No space left on device")
    message = failure_message(error, folders["out"], log_file)
    assert message.startswith(f"the disk of {folders[full]} is full; make room")
    assert ("TMPDIR" in message) == (full == "tmp")


def test_other_errors_say_what_they_are(tmp_path, log_file):
    error = raised_from(OSError(errno.EACCES, "Permission denied"))
    assert failure_message(error, tmp_path, log_file) == "[Errno 13] Permission denied"


@pytest.mark.slow
@pytest.mark.parametrize("size", ["300k", "700k"])
def test_a_run_on_a_full_disk(tmp_path, size):
    code, shown = finish(write_data(tmp_path), *on_disk(tmp_path / "out", f"size={size}"))
    assert code == FAILED, shown
    remedy = f"the disk of {tmp_path / 'out'} is full; make room and run the same command"
    assert [remedy in line for line in shown.splitlines()].count(True) == 1, shown
    assert "Traceback" not in shown


def test_a_run_into_a_folder_that_cannot_be_written_to(tmp_path):
    code, shown = finish(write_data(tmp_path), *on_disk(tmp_path / "out", "ro"))
    assert code == FAILED
    remedy = "make it writable or choose another folder"
    assert shown.splitlines() == [f"--output: {tmp_path / 'out'}: Read-only file system; {remedy}"]


@pytest.mark.slow
def test_the_output_folder_is_deleted_in_the_middle_of_a_run(tmp_path):
    arguments = write_data(tmp_path)
    with started(arguments) as process:
        assert "  Transform" in read_until(process, "  Transform")
        (tmp_path / "out").rename(tmp_path / "away")
        shutil.rmtree(tmp_path / "away", ignore_errors=True)
        shown = process.stdout.read().decode()
    assert process.returncode == FAILED
    (line,) = [line for line in shown.splitlines() if "was deleted or moved" in line]
    assert str(tmp_path / "out") in line
    assert "Traceback" not in shown
    code, shown = finish(arguments)
    assert code == DONE, shown


@pytest.mark.slow
def test_a_run_leaves_nothing_in_the_temporary_folder(tmp_path):
    (tmp_path / "temporary").mkdir()
    environment = ["env", f"TMPDIR={tmp_path / 'temporary'}"]
    code, shown = finish(write_data(tmp_path), *environment)
    assert code == DONE, shown
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
def test_a_run_whose_temporary_disk_is_full(tmp_path):
    temporary = tmp_path / "temporary"
    before = on_disk(temporary, "size=16k")
    code, shown = finish(write_data(tmp_path), *before, "env", f"TMPDIR={temporary}")
    assert code == FAILED, shown
    assert f"the disk of {temporary}" in shown
    assert "Traceback" not in shown
