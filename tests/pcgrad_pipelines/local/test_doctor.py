"""`--doctor`: what runs left behind, also where the database or the disk is in disorder."""

import contextlib
import datetime
import os
import shlex
import sqlite3
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from faults import UNSHARE
from local_runs import RUNNER
from pcgrad_pipelines.command import main as tfx_pcgrad
from pcgrad_pipelines.local.doctor import (
    doctor,
    doctor_command,
    find_killed,
    find_unfinished,
    mark_interrupted,
)
from pcgrad_pipelines.local.output_folder import (
    METADATA_FILE,
    OutputFolderError,
    metadata_connection,
)
from pcgrad_pipelines.local.runner import DONE, FAILED, main

States = mlmd.Execution.State


@pytest.fixture
def connection(tmp_path):
    """Of a new database in the output folder."""
    config = metadata_connection(tmp_path)
    metadata_store.MetadataStore(config)
    return config


@pytest.fixture
def put_execution(connection):
    """Notes an execution, and returns its number."""
    store = metadata_store.MetadataStore(connection)
    kinds = {
        name: store.put_context_type(mlmd.ContextType(name=name)) for name in ("pipeline", "node")
    }
    kind = store.put_execution_type(mlmd.ExecutionType(name="tfx.components.trainer"))

    def put(state, component="Trainer"):
        contexts = [
            mlmd.Context(type_id=kinds["pipeline"], name="taxi"),
            mlmd.Context(type_id=kinds["node"], name=f"taxi.{component}"),
        ]
        execution = mlmd.Execution(type_id=kind, last_known_state=state)
        execution.custom_properties["__stateful_working_dir_index__"].string_value = "abc"
        (identifier, _, _) = store.put_execution(execution, [], contexts, True)
        return identifier

    return put


def test_what_a_killed_run_left_is_found_and_removed(tmp_path, connection, put_execution, capsys):
    done, killed = put_execution(States.COMPLETE), put_execution(States.RUNNING)
    trainer = tmp_path / "artifacts" / "Trainer"
    ours = [trainer / "model" / str(killed), trainer / ".system/executor_execution" / str(killed),
            trainer / ".system/stateful_working_dir/abc"]  # fmt: skip
    others = [trainer / "model" / str(done), tmp_path / "artifacts/Pusher/model" / str(killed)]
    for folder in [*ours, *others]:
        folder.mkdir(parents=True)
        (folder / "file").touch()

    (found,) = find_killed(tmp_path)
    assert found.execution == killed
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
    assert by_id == {done: States.COMPLETE, killed: States.FAILED}
    assert find_killed(tmp_path) == []
    capsys.readouterr()
    doctor(tmp_path, clean=True)
    assert capsys.readouterr().out == "No killed run has left anything behind.\n"


@pytest.fixture
def nine_hours_ahead(monkeypatch):
    """The clock of this machine is that of another zone than UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("nine_hours_ahead")
def test_times_are_those_of_this_machine(tmp_path, put_execution):
    put_execution(States.RUNNING)
    (found,) = find_killed(tmp_path)
    started = datetime.datetime.fromisoformat(found.what.partition(", started ")[2])
    # Seconds are not shown.
    assert datetime.timedelta(0) <= datetime.datetime.now() - started < datetime.timedelta(hours=1)


def test_a_folder_without_runs_is_in_order(tmp_path, capsys):
    doctor(tmp_path, clean=False)
    assert capsys.readouterr().out == "No killed run has left anything behind.\n"
    assert not (tmp_path / METADATA_FILE).exists()


def test_what_was_interrupted_is_listed_until_its_folders_are_gone(
    tmp_path, connection, put_execution, capsys
):
    number = put_execution(States.RUNNING)
    folder = tmp_path / "artifacts" / "Trainer" / "model" / str(number)
    folder.mkdir(parents=True)
    mark_interrupted(tmp_path)
    assert find_killed(tmp_path) == []
    (found,) = find_unfinished(tmp_path)
    assert (found.kind, found.folders) == ("interrupted", (folder,))
    doctor(tmp_path, clean=True)
    assert capsys.readouterr().out.startswith("Interrupted before they had finished:\n  Trainer, ")
    assert not folder.exists()
    assert find_unfinished(tmp_path) == []
    (execution,) = metadata_store.MetadataStore(connection).get_executions()
    assert execution.last_known_state == States.CANCELED


def test_the_command_that_removes_them_can_be_typed(tmp_path, put_execution, capsys, monkeypatch):
    put_execution(States.RUNNING)
    doctor(tmp_path, clean=False)
    program, *arguments = shlex.split(capsys.readouterr().out.rpartition("remove these: ")[2])
    assert program == "tfx-pcgrad"
    assert tfx_pcgrad(arguments) == DONE
    assert find_unfinished(tmp_path) == []
    monkeypatch.chdir(tmp_path.parent)
    assert doctor_command(tmp_path) == f"tfx-pcgrad doctor --output {tmp_path.name}"


def checkpoint(output, name, component, age=0.0):
    """Writes a checkpoint; `age` in seconds."""
    folder = output / "checkpoints" / name
    folder.mkdir(parents=True)
    file = folder / {"Trainer": "checkpoint", "Comparison": "run-0-0.json"}[component]
    file.write_text("x" * 1000)
    os.utime(file, (time.time() - age,) * 2)
    return folder


def test_checkpoints_that_were_given_up_are_removed_and_the_others_kept(
    tmp_path, put_execution, capsys
):
    put_execution(States.COMPLETE)
    given_up = checkpoint(tmp_path, "a", "Trainer", age=60)
    current = checkpoint(tmp_path, "b", "Trainer", age=-60)
    # No comparison has finished since.
    comparison = checkpoint(tmp_path, "c", "Comparison", age=60)
    doctor(tmp_path, clean=False)
    removable, _, kept = capsys.readouterr().out.partition("(kept):")
    assert f"{given_up} (1.0 kB)" in removable
    assert str(current) in kept
    assert str(comparison) in kept
    doctor(tmp_path, clean=True)
    assert "Removed; 1.0 kB are free again." in capsys.readouterr().out
    assert [folder.exists() for folder in (given_up, current, comparison)] == [False, True, True]


def test_what_an_interrupted_removal_has_left_is_removed(tmp_path, put_execution):
    put_execution(States.COMPLETE)
    folder = checkpoint(tmp_path, "a", "Trainer", age=60)
    (folder / "checkpoint").rename(folder / "ckpt-3.index")
    doctor(tmp_path, clean=True)
    assert not folder.exists()


def test_pushed_versions_that_do_not_load_are_removed(tmp_path, capsys):
    pushed = tmp_path / "pushed_model"
    for name in ("1", "2"):
        tf.saved_model.save(tf.Module(), str(pushed / name))
    graph = pushed / "2" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-100])
    for name in ("pushing-3", "of somebody else"):
        (pushed / name).mkdir()
    doctor(tmp_path, clean=False)
    shown = capsys.readouterr().out
    assert str(graph.parent) in shown
    assert str(pushed / "pushing-3") in shown
    doctor(tmp_path, clean=True)
    assert sorted(folder.name for folder in pushed.iterdir()) == ["1", "of somebody else"]


def test_a_link_is_removed_and_what_it_leads_to_and_files_are_not(tmp_path, capsys):
    pushed, elsewhere = tmp_path / "pushed_model", tmp_path / "elsewhere"
    pushed.mkdir()
    elsewhere.mkdir()
    (elsewhere / "saved_model.pb").touch()
    (pushed / "5").symlink_to(elsewhere)
    (pushed / "6").touch()
    (pushed / "pushing-7").touch()
    doctor(tmp_path, clean=True)
    assert str(pushed / "6") not in capsys.readouterr().out
    assert sorted(file.name for file in pushed.iterdir()) == ["6", "pushing-7"]
    assert (elsewhere / "saved_model.pb").exists()


@pytest.mark.parametrize("damage", ["not a database", "one page"])
def test_a_damaged_database_is_named_and_the_rest_is_looked_at(
    tmp_path, put_execution, capsys, damage
):
    put_execution(States.RUNNING)
    with (tmp_path / METADATA_FILE).open("r+b") as file:
        file.seek(0 if damage == "not a database" else 8192)
        file.write(b"\xff" * 4096)
    folder = checkpoint(tmp_path, "a", "Trainer")
    (tmp_path / "pushed_model" / "pushing-3").mkdir(parents=True)
    with pytest.raises(OutputFolderError, match=r"metadata\.sqlite is damaged .*move it away"):
        doctor(tmp_path, clean=True)
    assert folder.exists()
    assert not (tmp_path / "pushed_model" / "pushing-3").exists()
    assert main(["--output", str(tmp_path), "--doctor"]) == FAILED
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{tmp_path / METADATA_FILE} is damaged (")


def test_an_empty_database_is_in_order(tmp_path, capsys):
    (tmp_path / METADATA_FILE).touch()
    doctor(tmp_path, clean=False)
    assert capsys.readouterr().out == "No killed run has left anything behind.\n"


def test_a_database_with_other_tables_is_named(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / METADATA_FILE)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    with pytest.raises(
        OutputFolderError, match=r"metadata\.sqlite is no database of ML Metadata; move it away"
    ):
        doctor(tmp_path, clean=False)


def test_an_execution_without_a_component_is_passed_over(tmp_path, put_execution):
    number = put_execution(States.RUNNING)
    with contextlib.closing(sqlite3.connect(tmp_path / METADATA_FILE)) as connection:
        connection.execute("DELETE FROM Association")
        connection.commit()
    assert number
    assert find_unfinished(tmp_path) == []


def test_a_folder_that_does_not_exist_is_not_made(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "typo"), "--doctor"]) == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"--output: there is no folder {tmp_path / 'typo'}; ")
    assert not (tmp_path / "typo").exists()


FULL_DISK = """
mount -t tmpfs -o size=2M none "$0" && cp -a "$1"/. "$0"
cat /dev/zero > "$0/fill" 2> /dev/null
shift && exec "$@"
"""


def test_on_a_disk_that_cannot_be_written_it_lists(tmp_path, put_execution):
    put_execution(States.RUNNING)
    (tmp_path / "pushed_model" / "pushing-3").mkdir(parents=True)
    read_only = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    command = [sys.executable, str(RUNNER), "--output", str(tmp_path), "--doctor", "list"]
    listed = subprocess.run(
        [*UNSHARE, "sh", "-c", read_only, str(tmp_path), *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert listed.returncode == DONE, listed.stdout
    assert "Trainer, execution 1" in listed.stdout
    assert str(tmp_path / "pushed_model" / "pushing-3") in listed.stdout


def test_on_a_full_disk_it_makes_room(tmp_path, put_execution):
    number = put_execution(States.RUNNING)
    large = tmp_path / "artifacts" / "Trainer" / "model" / str(number) / "weights"
    large.parent.mkdir(parents=True)
    large.write_bytes(bytes(500_000))
    disk = tmp_path.with_name(f"{tmp_path.name} disk")
    disk.mkdir()

    def run(mode):
        command = [sys.executable, str(RUNNER), "--output", str(disk), "--doctor", mode]
        return subprocess.run(
            [*UNSHARE, "sh", "-c", FULL_DISK, str(disk), str(tmp_path), *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    listed, cleaned = run("list"), run("clean")
    assert listed.returncode == DONE, listed.stdout
    assert f"{disk / 'artifacts/Trainer/model' / str(number)} (500.0 kB)" in listed.stdout
    assert cleaned.returncode == DONE, cleaned.stdout
    assert "Removed; 500.0 kB are free again." in cleaned.stdout
