"""What the last run of a pipeline made: read from ML Metadata, shown as a table."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import rich.table
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.conflict_report import PAGE_FILE, read_verdict
from pcgrad_tfx.evaluation.eval_config import TaskResult, read_results
from pcgrad_tfx.reference.results import ReferenceOutcome, read_reference


@dataclasses.dataclass(frozen=True)
class NodeRun:
    """One component's execution in a run.

    Attributes:
        cached: Whether an earlier execution's results were reused.
        outputs: The output artifacts, by output name.
    """

    cached: bool
    outputs: Mapping[str, mlmd.Artifact]


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """The outcome of a run.

    Attributes:
        results: How the model did on each task.
        pushed: Folder of the pushed model, `None` if it was not pushed.
        model: Folder of the trained model.
        training_logs: Folder of the TensorBoard logs and of `conflicts.jsonl`.
        report: The page about conflicts.
        verdict: Its sentences: what the tasks cost each other, whether surgery helps.
        reference: What boosted trees reached; None if there are none.
    """

    results: Sequence[TaskResult]
    pushed: str | None
    model: str
    training_logs: str
    report: str
    verdict: Sequence[str]
    reference: ReferenceOutcome | None


def read_last_run(connection: mlmd.ConnectionConfig, pipeline_name: str) -> dict[str, NodeRun]:
    """Reads what each component of a pipeline's last run did.

    Args:
        connection: Of ML Metadata.
        pipeline_name: The pipeline's name.

    Returns:
        The executions that completed, by component id; empty if there was no run.
    """
    store = metadata_store.MetadataStore(connection)
    pipeline = store.get_context_by_type_and_name("pipeline", pipeline_name)
    if pipeline is None:
        return {}
    runs = [
        context
        for context in store.get_children_contexts_by_context(pipeline.id)
        if context.type == "pipeline_run"
    ]
    last = max(runs, key=lambda run: run.id)
    states = mlmd.Execution.State
    nodes = {}
    for execution in store.get_executions_by_context(last.id):
        if execution.last_known_state not in (states.COMPLETE, states.CACHED):
            continue
        contexts = store.get_contexts_by_execution(execution.id)
        node = next(context.name for context in contexts if context.type == "node")
        nodes[node.removeprefix(f"{pipeline_name}.")] = NodeRun(
            execution.last_known_state == states.CACHED, _outputs(store, execution.id)
        )
    return nodes


def summarize(nodes: Mapping[str, NodeRun], tasks: Sequence[Task]) -> RunSummary:
    """Reads the outcome of a completed run.

    Args:
        nodes: What `read_last_run` returned.
        tasks: The pipeline's tasks.
    """
    report = nodes["ConflictReport"].outputs["report"].uri
    pushed = nodes["Pusher"].outputs["pushed_model"].custom_properties
    return RunSummary(
        results=read_results(nodes["Evaluator"].outputs["evaluation"].uri, tasks),
        pushed=pushed["pushed_destination"].string_value if pushed["pushed"].int_value else None,
        model=nodes["Trainer"].outputs["model"].uri,
        training_logs=nodes["Trainer"].outputs["model_run"].uri,
        report=str(pathlib.Path(report) / PAGE_FILE),
        verdict=read_verdict(report),
        reference=_read_reference(nodes),
    )


def results_table(summary: RunSummary) -> rich.table.Table:
    """The table at the end of a run: how each task did, on the test split."""
    table = rich.table.Table(title="Test split", title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("Task")
    table.add_column("Metric")
    trees = None
    if summary.reference is not None:
        trees = {score.task: score.value for score in summary.reference.tasks}
    beside = [] if trees is None else ["Boosted trees"]
    for heading in ("This model", *beside, "Constant prediction", "Last blessed model"):
        table.add_column(heading, justify="right")
    table.add_column("Verdict")
    for result in summary.results:
        table.add_row(
            result.task,
            result.metric,
            f"{result.value:.4f}",
            *([] if trees is None else [_shown(trees.get(result.task), "–")]),
            f"{result.constant_value:.4f}",
            _shown(result.baseline_value, "none yet"),
            "passed" if result.passed else "failed",
        )
    return table


def reference_sentences(summary: RunSummary) -> list[str]:
    """What the boosted trees say about the network."""
    if summary.reference is None:
        return []
    return summary.reference.sentences({result.task: result.value for result in summary.results})


def _shown(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.4f}"


def _read_reference(nodes: Mapping[str, NodeRun]) -> ReferenceOutcome | None:
    if "Reference" not in nodes:
        return None
    return read_reference(nodes["Reference"].outputs["reference"].uri)


def _outputs(store: metadata_store.MetadataStore, execution_id: int) -> dict[str, mlmd.Artifact]:
    events = [
        event
        for event in store.get_events_by_execution_ids([execution_id])
        if event.type == mlmd.Event.OUTPUT
    ]
    artifacts = store.get_artifacts_by_id([event.artifact_id for event in events])
    by_id = {artifact.id: artifact for artifact in artifacts}
    # A path is the output's name, then the artifact's index.
    return {event.path.steps[0].key: by_id[event.artifact_id] for event in events}
