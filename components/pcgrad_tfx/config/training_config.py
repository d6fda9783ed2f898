"""What can be set about training: the keys of the Trainer's `custom_config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field, ValidationError, model_validator

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.surgery import Surgery, check_method
from pcgrad_tfx.config.tasks import Task, check_tasks
from pcgrad_tfx.config.validation_messages import nearest, problem_lines

# What TensorFlow counts in 32 bits at some place or other.
_LARGEST = 2**31 - 1

Width = Annotated[int, Field(ge=1, le=_LARGEST)]

OptimizerName: TypeAlias = Literal[
    "adam", "adamw", "nadam", "adamax", "adagrad", "adadelta", "adafactor", "rmsprop", "sgd",
    "lion", "ftrl",
]  # fmt: skip
ActivationName: TypeAlias = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh",
]  # fmt: skip

Architecture: TypeAlias = Literal["shared_bottom", "mmoe", "ple", "separate"]

_LISTS_OF_WIDTHS = {"hidden_units", "head_units"}

# What keras_tuner's Hyperband writes beside the values that it has found.
_OF_TUNERS = "tuner/"


class Training(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How to train; a Tuner's hyperparameters may override every field.

    What is left open (None) is chosen for the number of rows and columns, see
    `pcgrad_tfx.config.training_rule`.

    Attributes:
        surgery: How the tasks are combined: "pcgrad", "none" (the plain weighted sum of the
            losses) or another method's name (docs/methods.md); with arguments a table, `{ method =
            "cagrad", c = 0.4 }`, which is kept as JSON text.
        surgery_every: k > 1: the Gram matrix and the weights are taken in every k-th step only, an
            approximation; not on several replicas.
        gramian: "tape", "layerwise" or "auto": how the inner products of the tasks' gradients are
            taken; what is learned is the same, see docs/layerwise.md. "features": an approximation,
            see docs/methods.md. Open by default.
        probes: At how many points of a training of the planned length it is measured what the
            tasks do to each other (`pcgrad.keras.ConflictProbe`); 0: at none. One that stops at a
            quarter of the epochs, as is usual with `patience`, has half of them.
        epochs: Passes over the training data at most; open by default.
        patience: Training stops after so many epochs without a better one on eval, 0: it does not.
            10 unless the Trainer is given steps. See `pcgrad_tfx.training.callbacks.best_epoch`.
        restore_best: Whether the best epoch's weights are kept, not the last one's; they are
            unless the Trainer is given steps.
        batch_size: Rows of a batch, over all replicas; open by default.
        optimizer: One of Keras's, by its name.
        learning_rate: Of the optimizer, at its highest.
        learning_rate_schedule: "constant", or "cosine": it falls to 0 over all epochs.
        warmup: The share of all steps in which the learning rate rises from 0.
        weight_decay: Decoupled (AdamW); of kernels and embeddings, not of biases and norms.
        clipnorm: The largest norm of an update's gradient over all variables; None: any.
        ema: Momentum of a moving average of the weights, which is what is evaluated and saved;
            None: the weights themselves.
        seed: Of the initial weights, the order of the rows and the orders of the projections.
        embedding_dim: Length of the vector of a categorical or bucketized feature.
        encoding_bins: Numbers are also given as positions in so many intervals of about equally
            many rows (a piecewise-linear encoding); 0: only as numbers. Open by default.
        wide: Whether each head also sees the features directly, by a linear layer.
        architecture: What lies between features and heads. "shared_bottom": layers that all tasks
            share; "mmoe": experts that each task mixes by a gate of its own
            (`pcgrad.keras.layers.MMoE`); "ple": shared experts and experts of each task, layer by
            layer (`pcgrad.keras.layers.CGC`); "separate": layers of each task's own.
        experts: Number of the experts that all tasks share, of "mmoe" and "ple".
        task_experts: Number of each task's own experts, of "ple".
        hidden_units: Widths of these layers; open by default.
        head_units: Widths of the hidden layers of each task's own head.
        activation: Of all hidden layers, one of Keras's, by its name.
        normalization: "none", "layer" or "batch": before the activation of a hidden layer that is
            no expert's.
        residual: Whether a layer that is no expert's adds to its input, if it is as wide.
        dropout: The share of a hidden layer's outputs that a training step sets to 0.
    """

    surgery: Surgery = "pcgrad"
    surgery_every: int = Field(1, ge=1, le=_LARGEST, description="steps from weights to weights")
    gramian: Literal["tape", "layerwise", "auto", "features"] | None = None
    probes: int = Field(96, ge=0, le=1000, description="points at which conflict is measured")
    epochs: int | None = Field(None, ge=1, le=_LARGEST, description="passes over the training data")
    patience: int = Field(10, ge=0, le=_LARGEST, description="epochs to wait for a better one")
    restore_best: bool = Field(True, description="whether the best epoch's weights are kept")
    batch_size: int | None = Field(None, ge=1, le=_LARGEST, description="rows of a batch")
    optimizer: OptimizerName = Field("adamw", description="one of Keras's optimizers")
    learning_rate: float = Field(1e-3, gt=0, description="the optimizer's learning rate")
    learning_rate_schedule: Literal["constant", "cosine"] = "cosine"
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(0.1, ge=0, description="what of a weight each step removes")
    clipnorm: float | None = Field(None, gt=0, description="largest norm of an update's gradient")
    ema: float | None = Field(None, gt=0, lt=1, description="momentum of the weights' average")
    seed: int = Field(0, ge=0, le=_LARGEST, description="seed of all that is random")
    embedding_dim: int = Field(8, ge=1, le=_LARGEST, description="length of an embedding vector")
    encoding_bins: int | None = Field(None, ge=0, le=1000, description="intervals of a number")
    wide: bool = Field(True, description="whether heads see the features directly")
    architecture: Architecture = "shared_bottom"
    experts: int = Field(4, ge=1, le=1000, description="number of experts that tasks share")
    task_experts: int = Field(2, ge=1, le=1000, description="number of each task's own experts")
    hidden_units: tuple[Width, ...] | None = Field(None, description="widths of the shared layers")
    head_units: tuple[Width, ...] = Field((), description="widths of each head's own layers")
    activation: ActivationName = Field("relu", description="one of Keras's activations")
    normalization: Literal["none", "layer", "batch"] = "none"
    residual: bool = Field(False, description="whether equally wide layers add up")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of the outputs set to 0")


class TrainerConfig(Training):
    """All keys of the Trainer's `custom_config`; plain JSON values only.

    Attributes:
        tasks: The tasks; required.
        features: The features, where Transform ran our `preprocessing_fn`.
        embedding_sizes: Where it ran another one: the transformed features that hold ids, which
            run from 0, and how many ids each has; all others are numbers.
        model_fn: The import path, "package.module.function", of a function that builds the model;
            see `pcgrad_tfx.training.user_models.load_model_fn`.
        checkpoint_root: A folder outside all artifacts, under which an interrupted training is
            resumed. Without it training starts anew.
        code_version: Fingerprint of the code that trains. It is not read: it makes an edit of that
            code invalidate TFX's cache.
    """

    tasks: tuple[Task, ...] = Field(description="the tasks")
    features: Features | None = Field(None, description="the features that Transform made")
    embedding_sizes: dict[str, Width] | None = Field(
        None, description="transformed feature = number of its ids"
    )
    model_fn: str | None = Field(None, description="import path of a function building the model")
    checkpoint_root: str | None = Field(None, description="folder for resuming")
    code_version: str | None = Field(None, description="fingerprint of the training code")

    @model_validator(mode="after")
    def _check_whole(self) -> TrainerConfig:
        check_tasks(self.tasks)
        check_method(self.surgery, self.surgery_every, self.gramian, self.tasks)
        if self.features is not None and self.embedding_sizes is not None:
            raise ValueError(
                "`features` says how many ids there are; remove `embedding_sizes`, or, if "
                "Transform ran a preprocessing_fn of your own, `features`"
            )
        if self.features is None and self.embedding_sizes is None and self.model_fn is None:
            raise ValueError(
                "`features` is missing; pass it, or `embedding_sizes` if Transform ran a "
                "preprocessing_fn of your own, or your own model by `model_fn`"
            )
        return self


def trainer_config(
    custom_config: Mapping[str, Any] | None,
    hyperparameters: Mapping[str, Any] | None = None,
    train_steps: int | None = None,
) -> TrainerConfig:
    """Reads and checks what the Trainer was given.

    Args:
        custom_config: The Trainer component's `custom_config`.
        hyperparameters: A Tuner's best hyperparameters, as TFX hands them over (the config of a
            `keras_tuner.HyperParameters`) or a plain mapping; they override `custom_config`. As
            keras_tuner holds no lists, `hidden_units` and `head_units` may be texts such as
            "64,32", one number for one layer, or "" for none. With a `model_fn`, names that are
            not keys of `Training` are left to it.
        train_steps: `train_args.num_steps`; it takes the place of `epochs`, and training stops no
            earlier, unless `patience` is given.

    Returns:
        The configuration.

    Raises:
        ValueError: A line for each mistake: the key, what is wrong with it, what would be right.
    """
    given = dict(custom_config or {})
    tuned = hyperparameter_values(hyperparameters)
    known = {key: value for key, value in tuned.items() if key in Training.model_fields}
    known |= {key: _widths(known[key]) for key in _LISTS_OF_WIDTHS & known.keys()}
    unknown = sorted(set(tuned) - set(known))
    if unknown and not given.get("model_fn"):
        raise ValueError(
            f"hyperparameters: {unknown[0]}: unknown key; "
            f"{nearest(unknown[0], Training.model_fields)} (only a `model_fn` may take others)"
        )
    if train_steps and "epochs" in {**given, **known}:
        raise ValueError(
            f"train_args.num_steps = {train_steps} and epochs = {({**given, **known})['epochs']} "
            "both say how long to train; remove one of them"
        )
    for key, value in {**given, **known}.items():
        if truth := _truth_for_number(key, value):
            where = "hyperparameters" if key in known else "custom_config"
            raise ValueError(f"{where}: {key}: {truth} is neither a number nor a text")
    # A number of steps is to be kept to, unless both are asked for.
    by_steps = {"patience": 0, "restore_best": False} if train_steps else {}
    try:
        return TrainerConfig.model_validate({**by_steps, **given, **known})
    except ValidationError as error:
        lines = []
        for line in problem_lines(error, TrainerConfig):
            key = line.partition(":")[0].partition("[")[0]
            lines.append(f"{'hyperparameters' if key in known else 'custom_config'}: {line}")
        raise ValueError("\n".join(lines)) from None


def hyperparameter_values(hyperparameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values of a `keras_tuner.HyperParameters` config, or of a plain mapping.

    Without those that a tuner notes for itself, such as Hyperband's `tuner/epochs`.
    """
    hyperparameters = hyperparameters or {}
    values = hyperparameters.get("values", hyperparameters)
    return {name: value for name, value in values.items() if not name.startswith(_OF_TUNERS)}


def _truth_for_number(key: str, value: Any) -> str | None:
    """A truth value that pydantic would take for 1 or 0, as it is written in JSON."""
    field = Training.model_fields.get(key)
    values = value if isinstance(value, (list, tuple)) else [value]
    if field is None or field.annotation is bool:
        return None
    return next((str(one).lower() for one in values if isinstance(one, bool)), None)


def _widths(value: Any) -> Any:
    """Widths of layers as keras_tuner holds them, a text or one number, as a list."""
    if isinstance(value, str):
        return [width.strip() for width in value.split(",")] if value.strip() else []
    return [value] if isinstance(value, (int, float)) else value
