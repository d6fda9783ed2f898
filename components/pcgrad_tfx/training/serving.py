"""The saved model: what TensorFlow Serving and TFMA call, and what a warm start reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.errors import shown
from pcgrad_tfx.training.dataset import reshape_features
from pcgrad_tfx.training.model import outputs_by_task


class ServedModel(tf.Module):
    """A trained model together with the transformation of its features.

    Attributes:
        model_weights: The model's weights in Keras's order, read by a warm start.

    Args:
        model: From a mapping of transformed features to one output for each task.
        tft_output: Transform's output.
        feature_spec: The transformed features the model takes.
        tasks: The tasks.
        features: The raw columns that a request may have; by default all but the tasks', except
            those that a transformed feature is made of, too.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        tft_output: tft.TFTransformOutput,
        feature_spec: Mapping[str, tf.io.FixedLenFeature],
        tasks: Sequence[Task],
        features: Features | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.model_weights = [weight.value for weight in model.weights]
        # Held as an attribute so that its vocabularies are saved with the model.
        self.transform_layer = tft_output.transform_features_layer()
        self._feature_spec = dict(feature_spec)
        self._labelled_spec = tft_output.raw_feature_spec()
        labels = {column for task in tasks for column in task.columns}
        self._needed = {} if features else self._made_of(labels & self._labelled_spec.keys())
        columns = features.columns if features else self._labelled_spec.keys() - labels
        columns = {*columns, *self._needed}
        self._serving_spec = {
            name: spec for name, spec in self._labelled_spec.items() if name in columns
        }

    def remarks(self) -> list[str]:
        """A line for each column of a task that a request must have."""
        return [
            f"The features {', '.join(map(shown, features))} are made of column {shown(column)},"
            " which a task has for its labels or weights: a request must have it. If it is not "
            "known then, make no feature of it."
            for column, features in self._needed.items()
        ]

    def _made_of(self, columns: Collection[str]) -> dict[str, list[str]]:
        """The transformed features that need a raw column, for each of those that some need."""
        needed = {}
        for column in sorted(columns):
            others = {name: spec for name, spec in self._labelled_spec.items() if name != column}
            found = self._transformed_names(others) if others else set()
            if lacking := sorted(self._feature_spec.keys() - found):
                needed[column] = lacking
        return needed

    def _transformed_names(self, raw_spec: Mapping[str, Any]) -> set[str]:
        """What the transformation gives for rows of some of its columns; it is not run."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def transform(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return dict(self.transform_layer(tf.io.parse_example(examples, raw_spec)))

        return set(transform.get_concrete_function().structured_outputs)

    def signatures(self) -> dict[str, Callable[[tf.Tensor], dict[str, tf.Tensor]]]:
        """The functions to save.

        Returns:
            `serving_default`: `examples` (serialized tf.Example, [N]) without labels → one output
            for each task, by its name. A feature that is missing in an example is imputed as in
            training. `transform_features`: `examples` with labels → all transformed features and
            labels, for TFMA.
        """
        examples = tf.TensorSpec([None], tf.string, name="examples")

        @tf.function(input_signature=[examples])
        def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            row = self.transform_layer(tf.io.parse_example(examples, self._serving_spec))
            outputs = self.model(reshape_features(row, self._feature_spec), training=False)
            return {
                # JSON has no infinite number.
                name: tf.clip_by_value(output, output.dtype.min, output.dtype.max)
                for name, output in outputs_by_task(self.model, outputs).items()
            }

        @tf.function(input_signature=[examples])
        def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.transform_layer(tf.io.parse_example(examples, self._labelled_spec))

        return {"serving_default": serving_default, "transform_features": transform_features}


def save_model(served: ServedModel, path: str) -> None:
    """Writes the SavedModel with its signatures."""
    tf.saved_model.save(served, path, signatures=served.signatures())


def load_weights(model: keras.Model, path: str) -> None:
    """Gives a model the weights of one that `save_model` wrote (a warm start).

    Args:
        model: A built model.
        path: The SavedModel's folder.

    Raises:
        ValueError: The SavedModel is not one of ours, or its weights have other shapes.
    """
    loaded = getattr(tf.saved_model.load(path), "model_weights", None)
    if loaded is None:
        raise ValueError(
            f"base_model {path} holds no `model_weights`; warm-start from a model that "
            "pcgrad_tfx.trainer.run_fn saved"
        )
    found = [tuple(weight.shape) for weight in loaded]
    wanted = [tuple(weight.shape) for weight in model.weights]
    if found != wanted:
        differing = [
            f"{weight.path} has {shape}, not {other}"
            for weight, shape, other in zip(model.weights, wanted, found, strict=False)
            if shape != other
        ]
        reason = differing[0] if differing else f"{len(found)} weights, not {len(wanted)}"
        raise ValueError(
            f"base_model {path} does not fit the model to train: {reason}; train with the same "
            "layers and vocabularies, or without a base model"
        )
    for weight, value in zip(model.weights, loaded, strict=True):
        weight.assign(value)
