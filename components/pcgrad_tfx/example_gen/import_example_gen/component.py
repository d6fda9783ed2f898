"""ImportExampleGen that refuses bad files, in one line, before anything is imported."""

from __future__ import annotations

from collections.abc import Collection

from tfx import v1 as tfx
from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.v1.dsl.experimental import RuntimeParameter

from pcgrad_tfx.data.row_checks import MIN_ROWS
from pcgrad_tfx.example_gen.checks import pack_checks
from pcgrad_tfx.example_gen.import_example_gen import executor


class ImportExampleGen(component.FileBasedExampleGen):
    """TFX's ImportExampleGen for TFRecords of tf.Example, behind `check_tfrecord`.

    It takes the place of `tfx.v1.components.ImportExampleGen`: same name in the pipeline, same
    driver, same examples. The checks are part of the cache key.

    Component `outputs` contains:

    - `examples`: Channel of type `standard_artifacts.Examples` for the output splits.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        input_base: str | RuntimeParameter,
        *,
        required: Collection[str] = (),
        numeric: Collection[str] = (),
        min_rows: int = MIN_ROWS,
        input_config: tfx.proto.Input | None = None,
        output_config: tfx.proto.Output | None = None,
        range_config: tfx.proto.RangeConfig | None = None,
    ) -> None:
        """Constructs the component.

        Args:
            input_base: Folder of the TFRecord files, or a runtime parameter that holds it.
            required: Features that must exist and have a value in some record.
            numeric: Features that must exist and hold nothing but finite numbers.
            min_rows: Smallest number of records for the hash split of `output_config`; of splits
                given by `input_config`, each needs only one.
            input_config: Which files to read; by default all in the folder, as one split.
            output_config: How to split by hash; by default train and eval, 2:1.
            range_config: Which spans to read; by default the latest.
        """
        super().__init__(
            input_base=input_base,
            input_config=input_config,
            output_config=output_config,
            custom_config=pack_checks(required, numeric, (), min_rows),
            range_config=range_config,
        )
