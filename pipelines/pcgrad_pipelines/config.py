"""A TOML file, checked: `load_config("taxi.toml") -> PipelineConfig`.

Whatever is wrong in the file becomes one line that names the file and the key, says what is wrong
and what would be right.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pcgrad_pipelines.data_settings import Data, NonEmpty, ResolvedPath
from pcgrad_pipelines.kubeflow.settings import KubeflowSettings
from pcgrad_tfx.comparison.settings import ComparisonSettings
from pcgrad_tfx.config.features import Features, check_features
from pcgrad_tfx.config.schema import parse_schema
from pcgrad_tfx.config.surgery import check_method
from pcgrad_tfx.config.tasks import Task, check_tasks, is_draft
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.validation_messages import problem_lines
from pcgrad_tfx.reference.settings import ReferenceSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_DEEPEST = 20
_TOO_DEEP = f"more than {_DEEPEST} lists or tables within each other; no key takes so many"


class ConfigError(ValueError):
    """A configuration that cannot be used; the message has one line per mistake."""


def _read_schema(path: str) -> str:
    """The text of a schema file, checked."""
    if not Path(path).is_file():
        raise ValueError(f"{path!r} is no file; correct it, or remove the key to infer one")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path!r}: {error.strerror}; make it readable") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path!r}: not UTF-8 text; save it as UTF-8") from None
    try:
        parse_schema(text)
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None
    return text


class Evaluation(BaseModel):
    """How the model is judged beside the tasks' gates.

    Attributes:
        slices: Lists of raw columns; for each list the metrics are also computed for every
            combination of the columns' values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slices: tuple[tuple[NonEmpty, ...], ...] = Field(
        (), description='lists of columns, as in [["hour"], ["hour", "day"]]'
    )


class PipelineConfig(BaseModel):
    """All that one pipeline needs to know.

    Attributes:
        name: The pipeline's name, also that of its folder.
        data: Where the data are.
        schema_text: The text of the curated schema; in the TOML file, key `schema` names the file
            that holds it. It is inferred from the data where there is none.
        tasks: What the model learns.
        features: What it learns from. What is not listed in the TOML file is found in the data.
        training: How it is trained.
        evaluation: How it is judged.
        reference: Whether boosted trees are trained beside the network.
        comparison: How methods are compared; they are not compared without it.
        kubeflow: How it is compiled for Kubeflow or Vertex AI.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        max_length=100,
        description="letters, digits, - and _, beginning with a letter or digit, 100 at most",
    )
    data: Data = Field(description="where the data are")
    schema_text: Annotated[ResolvedPath, AfterValidator(_read_schema)] | None = Field(
        None, alias="schema", description="the file of a curated schema in text format"
    )
    tasks: tuple[Task, ...] = Field(description="what the model learns")
    features: Features = Field(
        default_factory=Features.model_construct, description="what it learns from"
    )
    training: Training = Field(Training(), description="how it is trained")
    evaluation: Evaluation = Field(Evaluation(), description="how it is judged")
    reference: ReferenceSettings = Field(
        ReferenceSettings(), description="boosted trees beside the network"
    )
    comparison: ComparisonSettings | None = Field(None, description="how methods are compared")
    kubeflow: KubeflowSettings = Field(
        KubeflowSettings(), description="how it is compiled for Kubeflow or Vertex AI"
    )

    @field_validator("tasks")
    @classmethod
    def _check_tasks(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        check_tasks(tasks)
        return tasks

    @field_validator("features")
    @classmethod
    def _check_features(cls, features: Features, info: ValidationInfo) -> Features:
        check_features(features, info.data.get("tasks", ()))
        return features

    @field_validator("training")
    @classmethod
    def _check_training(cls, training: Training, info: ValidationInfo) -> Training:
        tasks = info.data.get("tasks", ())
        check_method(training.surgery, training.surgery_every, training.gramian, tasks)
        return training

    @model_validator(mode="after")
    def _check_complete(self, info: ValidationInfo) -> PipelineConfig:
        if not is_draft(info) and (missing := self.undecided()):
            raise ValueError(f"{missing[0]}; add it")
        return self

    def undecided(self) -> list[str]:
        """What the file leaves to be found in the data, one phrase for each thing."""
        phrases = []
        if left_out := self.features.left_out:
            listed = " and ".join(f"`{name}`" for name in left_out)
            verb = "is" if len(left_out) == 1 else "are"
            phrases.append(f"features: {listed} {verb} not listed")
        phrases += [
            f"tasks[{position}]: `classes` of task {task.name!r} are not listed"
            for position, task in enumerate(self.tasks)
            if task.kind == "multiclass" and task.classes is None
        ]
        return phrases

    @field_validator("comparison")
    @classmethod
    def _check_comparison(
        cls, comparison: ComparisonSettings | None, info: ValidationInfo
    ) -> ComparisonSettings | None:
        if comparison is not None and "tasks" in info.data:
            comparison.check(info.data["tasks"])
        return comparison

    def with_overrides(self, **training: Any) -> PipelineConfig:
        """Returns a copy with other training settings.

        Args:
            **training: Values for fields of `Training`; None leaves a field as it is.

        Raises:
            ConfigError: If a value is wrong.
        """
        given = {key: value for key, value in training.items() if value is not None}
        try:
            checked = Training.model_validate(self.training.model_dump() | given)
            check_method(checked.surgery, checked.surgery_every, checked.gramian, self.tasks)
        except ValidationError as error:
            raise ConfigError("\n".join(problem_lines(error, Training))) from None
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return self.model_copy(update={"training": checked})

    def with_comparison(self, **settings: Any) -> PipelineConfig:
        """Returns a copy that compares methods, as it says already or by default.

        Args:
            **settings: Values for fields of `ComparisonSettings`; None leaves a field as it is.

        Raises:
            ConfigError: If a value is wrong.
        """
        given = {key: value for key, value in settings.items() if value is not None}
        before = self.comparison or ComparisonSettings()
        try:
            checked = ComparisonSettings.model_validate(before.model_dump() | given)
        except ValidationError as error:
            raise ConfigError("\n".join(problem_lines(error, ComparisonSettings))) from None
        return self.model_copy(update={"comparison": checked})


def _is_deep(document: Any) -> bool:
    """Whether lists and tables stand in each other, more of them than any key takes."""
    level = [document]
    for _ in range(_DEEPEST):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for values in inner for one in values if isinstance(one, (dict, list))]
    return bool(level)


def load_config(path: str | Path, *, draft: bool = False) -> PipelineConfig:
    """Reads a configuration from a TOML file.

    Args:
        path: The file. Relative paths in it start at its folder.
        draft: Whether it may leave out what can be found in the data: the lists of features and
            the classes of tasks. `pcgrad_tfx.inspection.inspect_data` adds them.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: If the file cannot be read or something in it is wrong.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a TOML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {textwrap.shorten(str(error), 200)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: {_TOO_DEEP}") from None
    if _is_deep(document):
        raise ConfigError(f"{path}: {_TOO_DEEP}")
    try:
        # As JSON, strictly: TOML's own types count, so that neither "10" nor true is a number.
        config = PipelineConfig.model_validate_json(
            json.dumps(document, default=str),
            strict=True,
            context={"folder": path.absolute().parent, "draft": True},
        )
    except ValidationError as error:
        lines = (f"{path}: {line}" for line in problem_lines(error, PipelineConfig))
        raise ConfigError("\n".join(lines)) from None
    if not draft and (phrases := config.undecided()):
        lines = (
            f"{path}: {phrase}: they are found in the data only by `tfx-pcgrad run`; list "
            "them here (`tfx-pcgrad init` writes such a file)"
            for phrase in phrases
        )
        raise ConfigError("\n".join(lines))
    return config
