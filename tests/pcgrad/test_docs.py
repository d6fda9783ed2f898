"""The documented examples run as they stand."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf

import pcgrad
import pcgrad.keras

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(pcgrad.__path__, prefix="pcgrad.")
]
# Examples may use what a reader has imported: TensorFlow, Keras, the public names.
NAMES = {
    "keras": keras,
    "tf": tf,
    **{name: getattr(module, name) for module in (pcgrad, pcgrad.keras) for name in module.__all__},
}


def examples(module: ModuleType) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder().find(module, extraglobs=NAMES)
    return [test for test in found if test.examples]


@pytest.mark.parametrize(
    "example",
    [test for module in [pcgrad, *MODULES] for test in examples(module)],
    ids=lambda example: example.name,
)
def test_docstring(example):
    report: list[str] = []
    result = doctest.DocTestRunner().run(example, out=report.append)
    assert result.attempted
    assert not result.failed, "".join(report)


def test_the_main_classes_have_examples():
    documented = {test.name.rpartition(".")[2] for module in MODULES for test in examples(module)}
    assert {"PCGrad", "MultiTaskModel"} <= documented


@pytest.mark.parametrize("name", pcgrad.__all__)
def test_public_names_are_documented(name):
    assert getattr(pcgrad, name).__doc__


def example(model, optimizer, pcgrad, x, ys):
    """The example of the specification, verbatim (hence `tf.keras`, which users may still write).

    The same with two heads and with unreduced losses is in test_execution.py.
    """
    with tf.GradientTape(persistent=True) as tape:
        losses = [
            tf.keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True)  # noqa: TID251 (verbatim)
            for y in ys
        ]
    grads = pcgrad.pc_backward(tape, losses, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))  # noqa: B905 (verbatim)


@pytest.mark.parametrize(
    "mode",
    [None, {"autograph": True}, {"autograph": False}, {"jit_compile": True}],
    ids=["eager", "autograph", "no-autograph", "xla"],
)
def test_the_example_of_the_specification(surgery_class, mode):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    x = tf.random.stateless_normal([6, 3], seed=[1, 2])
    ys = [tf.constant([0, 1, 2, 3, 4, 0]), tf.constant([4, 3, 2, 1, 0, 4])]
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    pc = surgery_class(reduction="mean")
    before = [variable.numpy() for variable in model.trainable_variables]

    def step():
        example(model, optimizer, pc, x, ys)

    (step if mode is None else tf.function(step, **mode))()
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.isfinite(variable).all()
        assert np.any(variable.numpy() != old)
