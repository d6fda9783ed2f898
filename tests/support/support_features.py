"""The features of Keras and of ours that docs/support.md puts together, two by two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pcgrad import PCGrad, PPCGrad

# Eager is the default here: tracing takes a hundred times as long as these steps.
EAGER, GRAPH = {"run_eagerly": True}, {"run_eagerly": False, "jit_compile": False}


@keras.saving.register_keras_serializable(package="tests")
def half_of_each(gramian: tf.Tensor, step: Any = None) -> tf.Tensor:
    """A weighting of a user's own."""
    del step
    return 0.5 * tf.ones_like(tf.linalg.diag_part(gramian))


@dataclasses.dataclass
class Setup:
    """What the features change; the defaults are the plain training."""

    surgery: Any = dataclasses.field(default_factory=lambda: PCGrad("sum", seed=1))
    gramian: str = "tape"
    form: str = "functional"
    policy: str = "float32"
    layers: set[str] = dataclasses.field(default_factory=set)
    compile: dict[str, Any] = dataclasses.field(default_factory=EAGER.copy)
    optimizer: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: set[str] = dataclasses.field(default_factory=set)
    replicas: bool = False
    between: list[str] = dataclasses.field(default_factory=list)
    batchwise: bool = False
    callbacks: bool = False


@dataclasses.dataclass(frozen=True)
class Feature:
    """A feature of Keras or of ours.

    Attributes:
        title: What it is.
        apply: Puts it into a set-up.
        excludes: A name that it shares with the features that take its place.
        is_own: Whether `keras.Model` does not have it, so there is nothing to compare with.
        is_exact: Whether the same is learned without it.
    """

    title: str
    apply: Callable[[Setup], Any]
    excludes: str = ""
    is_own: bool = False
    is_exact: bool = False


def _set(**values: Any) -> Callable[[Setup], None]:
    def apply(setup: Setup) -> None:
        for name, value in values.items():
            setattr(setup, name, value)

    return apply


def _on_two_replicas(setup: Setup) -> None:
    setup.replicas = True
    if setup.compile == EAGER:
        setup.compile = GRAPH.copy()


def _layer_by_layer(setup: Setup) -> None:
    setup.gramian = "layerwise"
    if setup.compile["run_eagerly"]:  # which has no graph to read
        setup.compile.update(GRAPH)


FEATURES = (
    Feature("`PPCGrad`", _set(surgery=PPCGrad("sum", seed=1)), "surgery", is_own=True),
    Feature("a weighting of one's own", _set(surgery=half_of_each), "surgery", is_own=True),
    Feature("Sequential trunk", _set(form="sequential"), "form"),
    Feature("subclassed model", _set(form="subclassed"), "form"),
    Feature("compiled (Keras's default)", lambda s: s.compile.update(GRAPH), "mode"),
    Feature("`jit_compile`", lambda s: s.compile.update(GRAPH, jit_compile=True), "mode"),
    Feature(
        "`steps_per_execution`", lambda s: s.compile.update(GRAPH, steps_per_execution=2), "mode"
    ),
    Feature("`loss_weights`", lambda s: s.compile.update(loss_weights={"price": 2.0, "sold": 0.5})),
    Feature("`sample_weight`", lambda s: s.data.add("sample_weight"), "sample_weight"),
    Feature("`class_weight`", lambda s: s.data.add("class_weight"), "sample_weight"),
    Feature("missing labels (NaN)", lambda s: s.data.add("missing"), is_own=True),
    Feature("a task absent from a batch", lambda s: s.data.add("absent"), is_own=True),
    Feature("masked positions", lambda s: s.layers.add("mask")),
    Feature("embedding (sparse gradient)", lambda s: s.layers.add("embedding")),
    Feature("batch normalization", lambda s: s.layers.add("normalization")),
    Feature("dropout", lambda s: s.layers.add("dropout")),
    Feature("regularization", lambda s: s.layers.add("regularization")),
    Feature("`mixed_float16`", _set(policy="mixed_float16"), "policy"),
    Feature("`mixed_bfloat16`", _set(policy="mixed_bfloat16"), "policy"),
    Feature("`clipnorm`", lambda s: s.optimizer.update(clipnorm=0.05), "clip"),
    Feature("`global_clipnorm`", lambda s: s.optimizer.update(global_clipnorm=0.05), "clip"),
    Feature("`clipvalue`", lambda s: s.optimizer.update(clipvalue=0.01), "clip"),
    Feature(
        "`gradient_accumulation_steps`",
        lambda s: s.optimizer.update(gradient_accumulation_steps=2),
    ),
    Feature("`loss_scale_factor`", lambda s: s.optimizer.update(loss_scale_factor=8.0)),
    Feature("`use_ema`", lambda s: s.optimizer.update(use_ema=True)),
    Feature("two replicas (Mirrored)", _on_two_replicas),
    Feature("saved and loaded", lambda s: s.between.append("save")),
    Feature("`clone_model`", lambda s: s.between.append("clone")),
    Feature("`train_on_batch`", _set(batchwise=True), "fit"),
    Feature("callbacks", _set(callbacks=True), "fit"),
    Feature('`gramian="layerwise"`', _layer_by_layer, is_own=True, is_exact=True),
)
