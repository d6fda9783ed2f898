"""What runs left behind that were killed or interrupted, or whose configuration was given up.

TFX goes on with new executions, so nothing that goes through ML Metadata sees what the old ones
left. But their folders hold half-written models, and take up space.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import pathlib
import shlex
import shutil
from collections.abc import Iterable, Sequence

import rich.filesize
from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pcgrad_pipelines.local.output_folder import (
    METADATA_ERRORS,
    METADATA_FILE,
    OutputFolderError,
    check_metadata,
    checkpoint_root,
    metadata_connection,
    pipeline_root,
    push_folder,
)
from pcgrad_tfx.formatting import one_line
from pcgrad_tfx.pushing.versions import loading_problem, unfinished, versions

# TFX's `outputs_utils` notes here which working folder an execution has.
_WORKING_FOLDER = "__stateful_working_dir_index__"
_KILLED = (mlmd.Execution.State.NEW, mlmd.Execution.State.RUNNING)
_INTERRUPTED = mlmd.Execution.State.CANCELED
_COMPLETE = mlmd.Execution.State.COMPLETE

_REMARKS = {
    "killed": "Marked as running, but their processes are gone:",
    "interrupted": "Interrupted before they had finished:",
    "superseded": "Checkpoints of trainings that were given up (others have finished since):",
    "broken": "Pushed versions that are not whole, which no server can load:",
    "resumable": "Checkpoints from which the same command goes on (kept):",
}


@dataclasses.dataclass(frozen=True)
class Leftover:
    """Something that a run left behind.

    Attributes:
        kind: A key of `_REMARKS`.
        what: A few words about it; none if its folder says all.
        folders: Those of its folders that exist; nothing else uses them.
        execution: Number of the execution in ML Metadata that it belongs to, if any.
    """

    kind: str
    what: str
    folders: tuple[pathlib.Path, ...]
    execution: int | None = None


def doctor(output: pathlib.Path, clean: bool) -> None:
    """Prints what runs left behind in an output folder, and removes it if asked.

    Call it while no run uses the folder. What ML Metadata is not needed for is done first, also
    if the database cannot be read or the disk is full.

    Args:
        output: The folder.
        clean: Delete the folders, and mark killed executions as failed. What an interrupted
            training goes on from stays.

    Raises:
        OutputFolderError: ML Metadata cannot be read or written.
        OSError: A folder cannot be deleted.
    """
    problem, executions = None, []
    try:
        check_metadata(output, for_writing=clean)
        executions = find_unfinished(output)
        finished = _last_finished(output)
    except OutputFolderError as error:
        problem, finished = error, {}
    found = [
        *executions,
        *_checkpoints(checkpoint_root(output), finished),
        *_broken_versions(push_folder(output)),
    ]
    kept = [leftover for leftover in found if leftover.kind == "resumable"]
    rest = [leftover for leftover in found if leftover.kind != "resumable"]
    for kind, remark in _REMARKS.items():
        _show(remark, [leftover for leftover in found if leftover.kind == kind])
    if rest and clean:
        # First what makes room.
        freed = sum(_remove(folder) for leftover in rest for folder in leftover.folders)
        _mark(output, [one for one in rest if one.kind == "killed"], mlmd.Execution.State.FAILED)
        print(f"Removed; {rich.filesize.decimal(freed)} are free again.")
    elif rest:
        print(
            f"Finished work is kept in any case. To remove these: {doctor_command(output)} --clean"
        )
    elif not (kept or problem):
        print("No killed run has left anything behind.")
    if problem:
        raise problem


def doctor_command(output: pathlib.Path) -> str:
    """The command that a person types to have an output folder examined."""
    here = pathlib.Path.cwd()
    folder = output.relative_to(here) if output.is_relative_to(here) else output
    return f"tfx-pcgrad doctor --output {shlex.quote(str(folder))}"


def find_killed(output: pathlib.Path) -> list[Leftover]:
    """Finds the executions that are marked as running although their processes are gone.

    Call it while no run uses the output folder: then no process can be left that would end them.
    """
    return [leftover for leftover in find_unfinished(output) if leftover.kind == "killed"]


def find_unfinished(output: pathlib.Path) -> list[Leftover]:
    """Finds the executions that never ended, and the folders of those that were interrupted.

    Call it while no run uses the output folder.

    Args:
        output: The folder.

    Returns:
        The executions, oldest first.
    """
    found = []
    for execution, component in _executions(output):
        if execution.last_known_state in _KILLED:
            found.append(_unfinished(execution, component, "killed", pipeline_root(output)))
        elif execution.last_known_state == _INTERRUPTED:
            leftover = _unfinished(execution, component, "interrupted", pipeline_root(output))
            found += [leftover] if leftover.folders else []
    return found


def mark_interrupted(output: pathlib.Path) -> None:
    """Marks what runs as interrupted, which is no damage: the process is about to end.

    If the database is not to be had now, the next run takes them for killed.
    """
    with contextlib.suppress(*METADATA_ERRORS, OutputFolderError):
        _mark(output, find_killed(output), _INTERRUPTED)


def _executions(output: pathlib.Path) -> Iterable[tuple[mlmd.Execution, str]]:
    """The executions with the components that they are of."""
    path = output / METADATA_FILE
    # An empty file is a database without tables.
    if not path.exists() or not path.stat().st_size:
        return
    try:
        store = metadata_store.MetadataStore(metadata_connection(output, read_only=True))
        executions = store.get_executions()
    except METADATA_ERRORS as error:
        reason = one_line(error)
        raise OutputFolderError(f"{path} cannot be read ({reason}); move it away") from None
    for execution in sorted(executions, key=lambda execution: execution.id):
        if component := _component(store, execution):
            yield execution, component


def _last_finished(output: pathlib.Path) -> dict[str, datetime.datetime]:
    """When an execution of each component finished last."""
    return {
        component: _time(execution.last_update_time_since_epoch)
        for execution, component in _executions(output)
        if execution.last_known_state == _COMPLETE
    }


def _unfinished(
    execution: mlmd.Execution, component: str, kind: str, root: pathlib.Path
) -> Leftover:
    folder, number = root / component, str(execution.id)
    system = folder / ".system"
    candidates = [
        *(child / number for child in folder.glob("*") if child != system),
        system / "executor_execution" / number,
    ]
    index = execution.custom_properties[_WORKING_FOLDER].string_value
    if index:
        candidates.append(system / "stateful_working_dir" / index)
    started = _time(execution.create_time_since_epoch)
    return Leftover(
        kind=kind,
        what=f"{component}, execution {execution.id}, started {started:%Y-%m-%d %H:%M}",
        folders=tuple(sorted(path for path in candidates if path.is_dir())),
        execution=execution.id,
    )


def _component(store: metadata_store.MetadataStore, execution: mlmd.Execution) -> str | None:
    try:
        contexts = store.get_contexts_by_execution(execution.id)
    except errors.NotFoundError:  # Without any, as those of `reserve_used_numbers`.
        return None
    # Named by pipeline and component.
    nodes = (context.name for context in contexts if context.type == "node")
    return next((node.rpartition(".")[2] for node in nodes), None)


def _time(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000)


def _checkpoints(root: pathlib.Path, finished: dict[str, datetime.datetime]) -> list[Leftover]:
    """Of trainings and comparisons; one that finishes deletes its own."""
    found = []
    for folder in sorted(root.glob("*/")):
        files = [path for path in folder.rglob("*") if path.is_file()]
        if not files:
            continue
        changed = datetime.datetime.fromtimestamp(max(path.stat().st_mtime for path in files))
        # A comparison's are one file for each training. (Of the Trainer's, any file may be the last
        # that is left if their removal was interrupted.)
        component = "Comparison" if any(folder.glob("run-*.json")) else "Trainer"
        superseded = component in finished and finished[component] > changed
        what = f"{component}, last written {changed:%Y-%m-%d %H:%M}"
        found.append(Leftover("superseded" if superseded else "resumable", what, (folder,)))
    return found


def _broken_versions(folder: pathlib.Path) -> list[Leftover]:
    if not folder.is_dir():
        return []
    found = [Leftover("broken", "", (folder / name,)) for name in unfinished(str(folder))]
    for version in versions(str(folder)):
        problem = loading_problem(str(folder / version))
        if problem:
            found.append(Leftover("broken", problem, (folder / version,)))
    # A file is nothing that was pushed, whatever its name.
    return [leftover for leftover in found if leftover.folders[0].is_dir()]


def _show(remark: str, leftovers: Sequence[Leftover]) -> None:
    if leftovers:
        print(remark)
    for leftover in leftovers:
        if leftover.what:
            print(f"  {leftover.what}")
        for folder in leftover.folders:
            print(f"    {folder} ({rich.filesize.decimal(_size(folder))})")


def _size(folder: pathlib.Path) -> int:
    return sum(
        (pathlib.Path(parent) / file).lstat().st_size
        for parent, _, files in os.walk(folder)
        for file in files
    )


def _remove(folder: pathlib.Path) -> int:
    if folder.is_symlink():
        folder.unlink()
        return 0
    size = _size(folder)
    shutil.rmtree(folder)
    return size


def _mark(output: pathlib.Path, leftovers: Sequence[Leftover], state: int) -> None:
    numbers = [leftover.execution for leftover in leftovers if leftover.execution is not None]
    if not numbers:
        return
    path = output / METADATA_FILE
    try:
        store = metadata_store.MetadataStore(metadata_connection(output))
        executions = store.get_executions_by_id(numbers)
        for execution in executions:
            execution.last_known_state = state
        store.put_executions(executions)
    except METADATA_ERRORS as error:
        reason = one_line(error)
        raise OutputFolderError(f"{path} cannot be written ({reason}); make room") from None
