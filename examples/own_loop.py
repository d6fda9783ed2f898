"""PCGrad in a training loop of your own: two tasks on one network, TensorFlow and Keras alone."""

import keras
import tensorflow as tf

from pcgrad import PCGrad

keras.utils.set_random_seed(0)
x = tf.random.normal([256, 8])
price = tf.reduce_sum(x[:, :3], axis=1)
area = tf.reduce_sum(x[:, 2:5], axis=1)

model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2)]
)
optimizer = keras.optimizers.Adam(0.01)
optimizer.build(model.trainable_variables)
pcgrad = PCGrad(reduction="sum")


@tf.function
def train_step(x: tf.Tensor, price: tf.Tensor, area: tf.Tensor) -> dict[str, tf.Tensor]:
    """One step: each task's gradient, projected where it conflicts with another one."""
    with tf.GradientTape(persistent=True) as tape:
        prediction = model(x, training=True)
        losses = {
            "price": tf.reduce_mean((prediction[:, 0] - price) ** 2),
            "area": tf.reduce_mean((prediction[:, 1] - area) ** 2),
        }
    gradients = pcgrad.pc_backward(tape, losses, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return losses


first = train_step(x, price, area)
for _ in range(200):
    last = train_step(x, price, area)
for task in first:
    print(f"{task}: loss {float(first[task]):.3f} -> {float(last[task]):.3f}")
