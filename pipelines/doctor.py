"""What runs leave behind whose process was killed: executions that run forever, and their folders.

TFX goes on with new executions, so nothing that goes through ML Metadata sees the old ones. But
their folders hold half-written models, and take up space.
"""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import shutil

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipelines.output_folder import METADATA_FILE, metadata_connection, pipeline_root

# TFX's `outputs_utils` notes here which working folder an execution has.
_WORKING_FOLDER = "__stateful_working_dir_index__"
_UNFINISHED = (mlmd.Execution.State.NEW, mlmd.Execution.State.RUNNING)


@dataclasses.dataclass(frozen=True)
class AbandonedExecution:
    """An execution that is marked as running although its process is gone.

    Attributes:
        id: Of the execution in ML Metadata.
        component: Id of the component.
        started: When.
        folders: The folders that only this execution wrote to, of those that exist.
    """

    id: int
    component: str
    started: datetime.datetime
    folders: tuple[pathlib.Path, ...]


def doctor(output: pathlib.Path, clean: bool) -> None:
    """Prints what killed runs left in an output folder, and removes it if asked.

    Call it, as `find_abandoned`, while no run uses the folder.

    Args:
        output: The folder.
        clean: Mark the executions as failed, delete their folders.

    Raises:
        OSError: A folder cannot be deleted; its execution stays as it is.
    """
    found = find_abandoned(output)
    if not found:
        print("No killed run has left anything behind.")
        return
    print("Marked as running, but their processes are gone:")
    for abandoned in found:
        print(
            f"  {abandoned.component}, execution {abandoned.id}, started "
            f"{abandoned.started:%Y-%m-%d %H:%M}"
        )
        for folder in abandoned.folders:
            print(f"    {folder}")
    if clean:
        _remove(output, found)
        print("Marked as failed; their folders are deleted.")
    else:
        print("Finished work is kept in any case. To remove these: --doctor clean")


def find_abandoned(output: pathlib.Path) -> list[AbandonedExecution]:
    """Finds the executions that never ended.

    Call it while no run uses the output folder: then no process can be left that would end them.

    Args:
        output: The folder.

    Returns:
        The executions, oldest first.
    """
    if not (output / METADATA_FILE).exists():
        return []
    store = metadata_store.MetadataStore(metadata_connection(output))
    return [
        _abandoned(store, execution, pipeline_root(output))
        for execution in sorted(store.get_executions(), key=lambda execution: execution.id)
        if execution.last_known_state in _UNFINISHED
    ]


def _remove(output: pathlib.Path, found: list[AbandonedExecution]) -> None:
    store = metadata_store.MetadataStore(metadata_connection(output))
    for abandoned in found:
        for folder in abandoned.folders:
            shutil.rmtree(folder)
        (execution,) = store.get_executions_by_id([abandoned.id])
        execution.last_known_state = mlmd.Execution.State.FAILED
        store.put_executions([execution])


def _abandoned(
    store: metadata_store.MetadataStore, execution: mlmd.Execution, root: pathlib.Path
) -> AbandonedExecution:
    contexts = store.get_contexts_by_execution(execution.id)
    # Named by pipeline and component.
    (node,) = (context.name for context in contexts if context.type == "node")
    component = node.rpartition(".")[2]
    folder, number = root / component, str(execution.id)
    system = folder / ".system"
    candidates = [
        *(child / number for child in folder.glob("*") if child != system),
        system / "executor_execution" / number,
    ]
    index = execution.custom_properties[_WORKING_FOLDER].string_value
    if index:
        candidates.append(system / "stateful_working_dir" / index)
    return AbandonedExecution(
        id=execution.id,
        component=component,
        started=datetime.datetime.fromtimestamp(execution.create_time_since_epoch / 1000),
        folders=tuple(sorted(path for path in candidates if path.is_dir())),
    )
