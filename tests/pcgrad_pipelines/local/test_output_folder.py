"""One run at a time in an output folder, and metadata that can be read."""

import contextlib
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pcgrad_pipelines.local.doctor import find_killed
from pcgrad_pipelines.local.output_folder import (
    METADATA_FILE,
    OutputFolderError,
    check_metadata,
    lock_output,
    metadata_connection,
    reserve_used_numbers,
)

HOLDER = textwrap.dedent("""
    import pathlib, sys
    from pcgrad_pipelines.local.output_folder import lock_output
    with lock_output(pathlib.Path(sys.argv[1])):
        print("claimed", flush=True)
        sys.stdin.read()
""")


@contextlib.contextmanager
def another_run(output):
    command = [sys.executable, "-c", HOLDER, str(output)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_and_told_who_has_the_folder(tmp_path):
    with lock_output(tmp_path):
        pass  # A run before, which is not named any more.
    with another_run(tmp_path) as process:
        with pytest.raises(OutputFolderError) as raised, lock_output(tmp_path):
            pass
        assert f"{tmp_path} is in use by process {process.pid}, started 2" in str(raised.value)


def test_a_killed_run_leaves_the_folder_free(tmp_path):
    with another_run(tmp_path) as process:
        process.kill()
        process.wait()
        with lock_output(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refused = pytest.raises(OutputFolderError, match="file/output: .*choose another")
    with refused, lock_output(tmp_path / "file" / "output"):
        pass


@pytest.mark.parametrize("new_work", [True, False])
def test_a_file_is_no_output_folder(tmp_path, new_work):
    (tmp_path / "file").touch()
    refused = pytest.raises(OutputFolderError, match="--output: .*file is a file; name a folder")
    with refused, lock_output(tmp_path / "file", new_work):
        pass


@pytest.mark.parametrize("for_writing", [True, False])
def test_a_folder_is_no_database(tmp_path, for_writing):
    (tmp_path / METADATA_FILE).mkdir()
    with pytest.raises(OutputFolderError, match=r"metadata\.sqlite is a folder, no database; move"):
        check_metadata(tmp_path, for_writing)


@pytest.fixture
def connection(tmp_path):
    """Of a new database in the output folder."""
    config = metadata_connection(tmp_path)
    metadata_store.MetadataStore(config)
    return config


@pytest.mark.usefixtures("connection")
def test_sound_metadata_pass(tmp_path):
    check_metadata(tmp_path)
    check_metadata(tmp_path / "of a first run")


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("offset", [0, 8192])
def test_damaged_metadata_are_named(tmp_path, offset):
    with (tmp_path / METADATA_FILE).open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 4096)
    with pytest.raises(OutputFolderError, match=r"metadata\.sqlite is damaged .*move it away"):
        check_metadata(tmp_path)


@pytest.mark.usefixtures("connection")
def test_locked_metadata_are_named(tmp_path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.1))
    with contextlib.closing(connect(tmp_path / METADATA_FILE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutputFolderError, match=r"metadata\.sqlite: database is locked; close"):
            check_metadata(tmp_path)


def store_with_executions(output, count):
    store = metadata_store.MetadataStore(metadata_connection(output))
    kind = store.put_execution_type(mlmd.ExecutionType(name="anything"))
    if count:
        store.put_executions([mlmd.Execution(type_id=kind)] * count)
    return store


def next_number(store):
    kind = store.get_execution_types()[0].id
    (number,) = store.put_executions([mlmd.Execution(type_id=kind)])
    return number


FOLDERS = [
    ("Trainer/model/7", 7),
    ("Trainer/.system/executor_execution/8", 8),
    ("Trainer/.system/stateful_working_dir/2026-11-29T09:00:00.000000", 0),
    ("Trainer/model/1795413498", 0),
    ("Trainer/model/x7", 0),
]


@pytest.mark.parametrize(("folder", "number"), FOLDERS)
@pytest.mark.parametrize("state", ["moved away", "empty", "restored"])
def test_numbers_of_folders_that_the_database_does_not_know_are_not_used_again(
    tmp_path, state, folder, number
):
    (tmp_path / "artifacts" / folder).mkdir(parents=True)
    known = 3 if state == "restored" else 0
    if state == "empty":
        (tmp_path / METADATA_FILE).touch()
    if known:
        store_with_executions(tmp_path, known)
    assert reserve_used_numbers(tmp_path) == number
    assert next_number(store_with_executions(tmp_path, 0)) == max(number, known) + 1
    assert reserve_used_numbers(tmp_path) == 0
    assert find_killed(tmp_path) == []


def test_a_database_of_another_version_is_named(tmp_path):
    store_with_executions(tmp_path, 1)
    (tmp_path / "artifacts" / "Trainer" / "model" / "3").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(tmp_path / METADATA_FILE)) as connection:
        connection.execute("UPDATE MLMDEnv SET schema_version = 99")
        connection.commit()
    with pytest.raises(OutputFolderError, match=r"metadata\.sqlite cannot be used \(.*99 .*move"):
        reserve_used_numbers(tmp_path)


def test_a_database_that_knows_all_folders_stays_as_it_is(tmp_path):
    store = store_with_executions(tmp_path, 3)
    (tmp_path / "artifacts" / "Trainer" / "model" / "3").mkdir(parents=True)
    assert reserve_used_numbers(tmp_path) == 0
    assert next_number(store) == 4
    assert reserve_used_numbers(tmp_path / "of a first run") == 0
    assert not (tmp_path / "of a first run").exists()
