"""One run at a time in an output folder, and metadata that can be read."""

import contextlib
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipelines.doctor import doctor, find_abandoned
from pipelines.output_folder import (
    METADATA_FILE,
    OutputFolderError,
    check_metadata,
    claim,
    metadata_connection,
)

HOLDER = textwrap.dedent("""
    import pathlib, sys
    from pipelines.output_folder import claim
    with claim(pathlib.Path(sys.argv[1])):
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
    with another_run(tmp_path) as process:
        with pytest.raises(OutputFolderError) as raised, claim(tmp_path):
            pass
        assert f"{tmp_path} is in use by process {process.pid}, started 2" in str(raised.value)


def test_a_killed_run_leaves_the_folder_free(tmp_path):
    with another_run(tmp_path) as process:
        process.kill()
        process.wait()
        with claim(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refused = pytest.raises(OutputFolderError, match="file/output: .*choose another")
    with refused, claim(tmp_path / "file" / "output"):
        pass


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


@pytest.fixture
def put_execution(connection):
    """Notes an execution of the Trainer, and returns its id."""
    store = metadata_store.MetadataStore(connection)
    kinds = {
        name: store.put_context_type(mlmd.ContextType(name=name)) for name in ("pipeline", "node")
    }
    contexts = [
        mlmd.Context(type_id=kinds["pipeline"], name="taxi"),
        mlmd.Context(type_id=kinds["node"], name="taxi.Trainer"),
    ]
    kind = store.put_execution_type(mlmd.ExecutionType(name="tfx.components.trainer"))

    def put(state):
        execution = mlmd.Execution(type_id=kind, last_known_state=state)
        execution.custom_properties["__stateful_working_dir_index__"].string_value = "abc"
        (identifier, _, _) = store.put_execution(execution, [], contexts, True)
        return identifier

    return put


def test_what_a_killed_run_left_is_found_and_removed(tmp_path, connection, put_execution, capsys):
    states = mlmd.Execution.State
    done, killed = put_execution(states.COMPLETE), put_execution(states.RUNNING)
    trainer = tmp_path / "artifacts" / "Trainer"
    ours = [trainer / "model" / str(killed), trainer / ".system/executor_execution" / str(killed),
            trainer / ".system/stateful_working_dir/abc"]  # fmt: skip
    others = [trainer / "model" / str(done), tmp_path / "artifacts/Pusher/model" / str(killed)]
    for folder in [*ours, *others]:
        folder.mkdir(parents=True)
        (folder / "file").touch()

    (found,) = find_abandoned(tmp_path)
    assert (found.id, found.component) == (killed, "Trainer")
    assert set(found.folders) == set(ours)
    doctor(tmp_path, clean=False)
    assert (ours[0] / "file").exists()
    shown = capsys.readouterr().out
    assert f"Trainer, execution {killed}, started 2" in shown
    assert str(ours[0]) in shown

    doctor(tmp_path, clean=True)
    assert not any(folder.exists() for folder in ours)
    assert all((folder / "file").exists() for folder in others)
    store = metadata_store.MetadataStore(connection)
    by_id = {e.id: e.last_known_state for e in store.get_executions()}
    assert by_id == {done: states.COMPLETE, killed: states.FAILED}
    assert find_abandoned(tmp_path) == []
    capsys.readouterr()
    doctor(tmp_path, clean=True)
    assert capsys.readouterr().out == "No killed run has left anything behind.\n"


def test_a_folder_without_runs_is_in_order(tmp_path, capsys):
    doctor(tmp_path, clean=False)
    assert capsys.readouterr().out == "No killed run has left anything behind.\n"
    assert not (tmp_path / METADATA_FILE).exists()
