"""Wrong arguments are refused at the call, by name and with the way out; right ones are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad, equal_weights, task_gradients, weighted_backward
from problems import LinearTasks

PROBLEM = [[np.array([1.0, 0.0]), None], [np.array([-1.0, 1.0]), np.array([2.0])]]


def pc_backward(tape, losses, variables):
    return PCGrad().pc_backward(tape, losses, variables, step=0)


def pack_grad(tape, losses, variables):
    return PCGrad().pack_grad(tape, losses, variables)


def by_own_weighting(tape, losses, variables):
    def weighting(gramian, step):
        return tf.ones(len(losses))

    return weighted_backward(tape, losses, variables, weighting)


def by_weighted_sum(tape, losses, variables):
    return weighted_backward(tape, losses, variables, equal_weights)


BY_TASK = [pc_backward, pack_grad, by_own_weighting, task_gradients]


@pytest.fixture(params=[*BY_TASK, by_weighted_sum])
def differentiate(request: pytest.FixtureRequest):
    """Every entry point that differentiates."""
    return request.param


@pytest.fixture(params=BY_TASK)
def differentiate_by_task(request: pytest.FixtureRequest):
    """Those that take one backward pass for each task."""
    return request.param


@pytest.mark.parametrize("losses", [[], (), {}])
def test_no_losses(differentiate, losses):
    with pytest.raises(ValueError, match="`losses` is empty: pass one loss for each task"):
        differentiate(LinearTasks(PROBLEM).tape()[0], losses, [tf.Variable(1.0)])


@pytest.mark.parametrize("variables", [[], ()])
def test_no_variables(differentiate, variables):
    tape, losses = LinearTasks(PROBLEM).tape()
    with pytest.raises(ValueError, match="`variables` is empty: pass"):
        differentiate(tape, losses, variables)


@pytest.mark.parametrize("variable", [tf.Variable([1.0]), keras.Variable([1.0]), tf.Variable(1.0)])
def test_variables_that_are_one_variable(differentiate, variable):
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(variable * 2.0), -tf.reduce_sum(variable * 1.0)]
    with pytest.raises(TypeError, match="`variables` is a .*Variable: pass a list"):
        differentiate(tape, losses, variable)


@pytest.mark.parametrize("shape", [[3], [2, 1], [], [1]])
def test_weights_of_another_shape(shape):
    problem = LinearTasks(PROBLEM)
    tape, losses = problem.tape()
    with pytest.raises(ValueError, match=r"returned weights of shape .* for 2 tasks: .*\[2\]"):
        weighted_backward(tape, losses, problem.variables, lambda *_: tf.ones(shape))


def test_a_tape_for_one_loss_only(differentiate_by_task):
    problem = LinearTasks(PROBLEM)
    with tf.GradientTape() as tape:
        losses = problem.losses()
    with pytest.raises(ValueError, match=r"`tape` is not persistent.*persistent=True"):
        differentiate_by_task(tape, losses, problem.variables)


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (lambda v: tf.cast(v[0], tf.complex64), "complex64"),
        (lambda v: tf.cast(v[0], tf.int32), "int32"),
        (lambda v: v[0] > 0, "bool"),
        (lambda v: 1.0, "float"),
        (lambda v: np.float32(1), "float32"),
        (lambda v: None, "NoneType"),
    ],
)
def test_a_loss_that_cannot_be_differentiated(differentiate, loss, found):
    variable = tf.Variable([1.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = {"tip": tf.reduce_sum(variable), "fare": loss(variable)}
    with pytest.raises(TypeError, match=rf"losses\['fare'\].*{found}.*floating-point"):
        differentiate(tape, losses, [variable])
    with pytest.raises(TypeError, match=rf"losses\['1'\].*{found}.*floating-point"):
        differentiate(tape, list(losses.values()), [variable])


@pytest.mark.parametrize("number", [0.0, 0, np.float32(0)])
def test_a_number_in_place_of_a_loss(differentiate, number):
    variable = tf.Variable([1.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = {"tip": tf.reduce_sum(variable), "fare": number}
    with pytest.raises(TypeError, match=r"losses\['fare'\].*has none now is tf.constant\(0.0\)"):
        differentiate(tape, losses, [variable])


def test_the_loss_of_a_task_that_has_none_now(differentiate, recwarn):
    """What that message says works, without a warning."""
    variable = tf.Variable([1.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = {"tip": tf.reduce_sum(variable), "fare": tf.constant(0.0)}
    differentiate(tape, losses, [variable])
    assert not recwarn.list


@pytest.mark.parametrize("traced", [False, True])
def test_one_loss_of_several_computed_outside_the_tape(differentiate_by_task, traced):
    variable = tf.Variable([1.0])

    def step():
        outside = tf.reduce_sum(variable * 2.0)
        with tf.GradientTape(persistent=True) as tape:
            losses = {"tip": tf.reduce_sum(variable), "fare": outside}
        differentiate_by_task(tape, losses, [variable])

    with pytest.warns(UserWarning, match=r"losses\['fare'\] reaches none of `variables`.*outside"):
        (tf.function(step, autograph=False) if traced else step)()


def test_names_that_are_the_same_as_text(differentiate):
    variable = tf.Variable([1.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = {1: tf.reduce_sum(variable), "1": tf.reduce_sum(-variable)}
    with pytest.raises(ValueError, match=r"`losses` has keys \[1, '1'\]"):
        differentiate(tape, losses, [variable])


@pytest.mark.parametrize("autograph", [True, False])
def test_a_surgery_made_in_the_function_that_is_traced(surgery_class, autograph):
    problem = LinearTasks(PROBLEM)

    @tf.function(autograph=autograph)
    def step(number=None):
        return problem.backward(surgery_class("sum"), number)

    message = rf"make {surgery_class.__name__}\(\) outside of the function, or pass `step`"
    with pytest.raises(ValueError, match=message):
        step()
    np.testing.assert_allclose(step(tf.constant(3))[0], [0.5, 1.5], rtol=1e-6)


def test_losses_that_are_one_tensor(differentiate):
    problem = LinearTasks(PROBLEM)
    tape, losses = problem.tape()
    with pytest.raises(TypeError, match="`losses` is a .*list, tuple or dict"):
        differentiate(tape, tf.stack(losses), problem.variables)


def test_losses_computed_outside_the_tape(differentiate):
    problem = LinearTasks(PROBLEM)
    losses = problem.losses()
    with tf.GradientTape(persistent=True) as tape:
        pass
    with pytest.raises(ValueError, match=r"`losses` reaches any of `variables`.*inside"):
        differentiate(tape, losses, problem.variables)


def test_errors_are_the_same_while_tracing(surgery_class):
    problem = LinearTasks(PROBLEM)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            losses = problem.losses()
        return surgery_class().pc_backward(tape, losses, problem.variables)

    with pytest.raises(ValueError, match="`tape` is not persistent"):
        step()


@pytest.mark.parametrize("reduction", ["avg", "Mean", "", None, 1, ["sum"]])
def test_an_unknown_reduction(surgery_class, reduction):
    with pytest.raises(ValueError, match='`reduction` must be "mean" or "sum", not'):
        surgery_class(reduction)


def test_an_unknown_projection(surgery_class):
    with pytest.raises(ValueError, match='`projection` must be "sequential" or "simultaneous"'):
        surgery_class(projection="parallel")


def test_unequal_numbers_of_gradients_and_masks(surgery_class):
    one = tf.ones([3])
    with pytest.raises(ValueError, match="2 gradients and 1 masks.*one of each"):
        surgery_class().project_conflicting([one, one], [one])
    with pytest.raises(ValueError, match="0 gradients and 0 masks"):
        surgery_class().project_conflicting([], [])


def test_shapes_that_do_not_fit(surgery_class):
    with pytest.raises(ValueError, match="`merged` has 5 elements and `shapes` have 6"):
        surgery_class().unpack_grad(tf.zeros([5]), [(2, 2), (2,)])


def test_lists_and_dicts_are_not_changed(surgery_class):
    problem = LinearTasks(PROBLEM)
    tape, losses = problem.tape()
    variables = list(problem.variables)
    named = {"a": losses[0], "b": losses[1]}
    surgery_class().pc_backward(tape, losses, variables)
    surgery_class().pc_backward(tape, named, variables)
    assert [id(v) for v in variables] == [id(v) for v in problem.variables]
    assert [id(loss) for loss in named.values()] == [id(loss) for loss in losses]
    assert list(named) == ["a", "b"]
    for variable in variables:
        np.testing.assert_array_equal(variable, np.zeros(variable.shape))


@pytest.mark.parametrize("as_tensor", [False, True])
def test_packed_gradients_and_masks_are_not_changed(surgery_class, as_tensor):
    """Neither the lists nor the arrays in them: a later step must see the same gradients."""
    rows = [np.array([1.0, 0.0], np.float32), np.array([-1.0, 1.0], np.float32)]
    masks = [np.ones(2, bool), np.ones(2, bool)]
    grads = [tf.constant(row) for row in rows] if as_tensor else [row.copy() for row in rows]
    has_grads = list(masks)
    surgery = surgery_class("sum", seed=0)
    first = surgery.project_conflicting(grads, has_grads, step=0)
    assert len(grads) == len(has_grads) == 2
    for actual, wanted in zip(grads, rows, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    for actual, wanted in zip(has_grads, masks, strict=True):
        assert actual is wanted
        np.testing.assert_array_equal(actual, [True, True])
    np.testing.assert_array_equal(surgery.project_conflicting(grads, has_grads, step=0), first)


def test_unpacking_does_not_change_its_arguments(surgery_class):
    shapes = [[2], [1, 2]]
    merged = np.arange(4.0)
    surgery_class().unpack_grad(tf.constant(merged), shapes)
    assert shapes == [[2], [1, 2]]
