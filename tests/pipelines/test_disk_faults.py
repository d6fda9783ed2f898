"""A disk that is full or cannot be written to, an output folder that goes away."""

import errno
import os
import shutil

import pytest

from faults import finish, read_until, started, write_data
from pipelines.failure import failure_message
from pipelines.local_runner import DONE, FAILED


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


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        raised_from(OSError(errno.ENOSPC, "written 3 of 5 bytes")),
        raised_from(ValueError("INTERNAL: /x/model; No space left on device")),
        RuntimeError("Error when executing query: database or disk is full"),
    ],
)
def test_a_full_disk_is_said_to_be_full(tmp_path, log_file, error):
    message = failure_message(error, tmp_path, log_file)
    assert message.startswith(f"the disk of {tmp_path} is full; make room and run the same")


def test_other_errors_say_what_they_are(tmp_path, log_file):
    error = raised_from(OSError(errno.EACCES, "Permission denied"))
    assert failure_message(error, tmp_path, log_file) == "[Errno 13] Permission denied"


# A small disk of one's own. Root needs no user namespace for it, and may have none in a chroot.
UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
SMALL_DISK = 'mount -t tmpfs -o "$1" none "$0" && shift && exec "$@"'


def on_disk(folder, options):
    (folder / "out").mkdir(exist_ok=True)
    return [*UNSHARE, "sh", "-c", SMALL_DISK, str(folder / "out"), options]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["300k", "700k"])
def test_a_run_on_a_full_disk(tmp_path, size):
    code, shown = finish(write_data(tmp_path), *on_disk(tmp_path, f"size={size}"))
    assert code == FAILED, shown
    remedy = f"the disk of {tmp_path / 'out'} is full; make room and run the same command"
    assert [remedy in line for line in shown.splitlines()].count(True) == 1, shown
    assert "Traceback" not in shown


def test_a_run_into_a_folder_that_cannot_be_written_to(tmp_path):
    code, shown = finish(write_data(tmp_path), *on_disk(tmp_path, "ro"))
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
