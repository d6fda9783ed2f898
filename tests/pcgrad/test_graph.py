"""The form of `pc_backward`'s graph: what it must never contain."""

import math
from collections import Counter

import numpy as np
import tensorflow as tf

from problems import LinearTasks

# Primes, so that a shape in the graph tells what it belongs to.
SIZES = (1009, 2003, 3001)
TOTAL = sum(SIZES)


def graph_of(surgery, tasks: int) -> tf.Graph:
    rng = np.random.default_rng(0)
    problem = LinearTasks([[rng.normal(size=size) for size in SIZES] for _ in range(tasks)])
    step = tf.function(lambda: problem.backward(surgery, step=0))
    return step.get_concrete_function().graph


def known_shapes(operation: tf.Operation) -> list[list[int]]:
    shapes = [output.shape for output in operation.outputs]
    return [shape.as_list() for shape in shapes if shape.is_fully_defined()]


def test_gradients_are_never_concatenated(surgery_class):
    """Neither [T, D] nor [D], nor anything larger than the T gradients of one variable."""
    for tasks in (2, 5):
        shapes = [
            shape
            for operation in graph_of(surgery_class(), tasks).get_operations()
            for shape in known_shapes(operation)
        ]
        assert max(math.prod(shape) for shape in shapes) < 1.1 * tasks * max(SIZES) + 5000
        assert not [shape for shape in shapes if TOTAL in shape or tasks * TOTAL in shape]


def test_the_packed_form_is_what_that_test_would_find(surgery_class):
    """The walk over shapes sees a concatenation where there is one."""
    problem = LinearTasks([[np.ones(size) for size in SIZES] for _ in range(2)])
    surgery = surgery_class()
    step = tf.function(lambda: surgery.pack_grad(*problem.tape(), problem.variables)[0])
    operations = step.get_concrete_function().graph.get_operations()
    assert [TOTAL] in [shape for operation in operations for shape in known_shapes(operation)]


def passes(graph: tf.Graph, tasks: int) -> Counter[str]:
    """How many operations of each kind read something of a gradient's size."""
    return Counter(
        operation.type
        for operation in graph.get_operations()
        for tensor in operation.inputs
        if tensor.shape.is_fully_defined()
        and tensor.shape.num_elements() >= min(SIZES)
        and tensor.shape[-2:] != [tasks, tasks]
    )


def test_passes_over_the_parameters_grow_with_the_tasks_not_with_their_pairs(surgery_class):
    counts = {tasks: passes(graph_of(surgery_class(), tasks), tasks) for tasks in (5, 8, 14)}
    assert sum(counts[5].values()) > 5
    for kind in counts[14]:
        by_task = (counts[14][kind] - counts[8][kind]) / 6
        assert by_task == (counts[8][kind] - counts[5][kind]) / 3, kind


def test_inner_products_and_sums_are_one_operation_for_each_variable(surgery_class):
    """Whatever the number of tasks: one matrix product for G, one for the weighted sum."""
    for tasks in (5, 12):
        found = passes(graph_of(surgery_class(), tasks), tasks)
        # Both factors of the Gram matrix's product are the gradients.
        assert sum(found[kind] for kind in found if "MatMul" in kind) == 3 * len(SIZES)


def test_large_gradients_of_few_tasks_are_not_copied(surgery_class):
    def copies(tasks):
        problem = LinearTasks([[np.full(70_000, 1.0 + task)] for task in range(tasks)])
        step = tf.function(lambda: problem.backward(surgery_class(), step=0))
        operations = step.get_concrete_function().graph.get_operations()
        return [
            operation
            for operation in operations
            if operation.type in {"Pack", "ConcatV2"}
            and operation.outputs[0].shape.num_elements() >= 70_000
        ]

    assert not copies(2)
    assert not copies(5)
    assert copies(6)


def test_the_graph_of_the_projections_does_not_grow_with_the_tasks(surgery_class):
    """Tracing must stay fast: one loop body, whatever the number of tasks."""
    sizes = []
    for tasks in (10, 24):
        surgery = surgery_class(seed=0)
        gramian = tf.TensorSpec([tasks, tasks], tf.float64)
        traced = tf.function(lambda g, weigh=surgery: weigh(g, 0)).get_concrete_function(gramian)
        definition = traced.graph.as_graph_def()
        sizes.append(sum(len(function.node_def) for function in definition.library.function))
    assert sizes[1] <= sizes[0] + 2


def test_several_models_share_one_class_without_sharing_variables(surgery_class):
    """Neither the counter nor the graph of one instance leaks into another."""
    problems = [LinearTasks([[np.ones(size)], [-np.ones(size)]]) for size in (2, 3)]
    surgeries = [surgery_class(seed=0), surgery_class(seed=0)]
    steps = [
        tf.function(lambda p=problem, s=surgery: p.backward(s)[0])
        for problem, surgery in zip(problems, surgeries, strict=True)
    ]
    for step, size in zip(steps, (2, 3), strict=True):
        for _ in range(3):
            assert step().shape == (size,)
