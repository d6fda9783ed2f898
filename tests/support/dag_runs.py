"""Runs a few components with TFX's LocalDagRunner, with values for runtime parameters."""

from tfx import v1 as tfx
from tfx.dsl.compiler.compiler import Compiler
from tfx.orchestration import metadata
from tfx.orchestration.portable.runtime_parameter_utils import substitute_runtime_parameter


def run(folder, *components, **parameters):
    """Runs them as one pipeline, cached, with everything it makes in a folder.

    Args:
        folder: The same folder again is another run of the same pipeline.
        *components: In topological order.
        **parameters: Values of runtime parameters; others have their defaults.

    Returns:
        A function from an artifact type's name to the artifacts of all runs in this folder, oldest
        first.
    """
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(
        str(folder / "metadata.sqlite")
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="some",
        pipeline_root=str(folder / "root"),
        components=list(components),
        metadata_connection_config=connection,
        enable_cache=True,
    )
    compiled = Compiler().compile(pipeline)
    substitute_runtime_parameter(compiled, parameters)
    tfx.orchestration.LocalDagRunner().run_with_ir(compiled)

    def artifacts(type_name):
        with metadata.Metadata(connection) as store:
            return sorted(store.store.get_artifacts_by_type(type_name), key=lambda a: a.id)

    return artifacts
