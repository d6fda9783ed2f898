"""Fixtures that several test files share."""

import os

# Read when TensorFlow is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

from report_data import settings, write_model_run
from report_pages import COSINES, THREE
from transform_runs import Transformed
from transformed import TransformedData, write_transformed
from trips import trainer_config


@pytest.fixture(scope="session")
def transformed(tmp_path_factory):
    """One Transform run on `transform_runs.TRAINING_ROWS`."""
    return Transformed(tmp_path_factory.mktemp("transform"))


@pytest.fixture(scope="session")
def transformed_data(tmp_path_factory):
    """The Trainer's inputs, made from `transformed.ROWS`."""
    folder = tmp_path_factory.mktemp("transformed_data")
    write_transformed(folder)
    return TransformedData(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, transformed_data):
    """A run of the Trainer with our own model, two epochs of PCGrad."""
    return transformed_data.train(
        tmp_path_factory.mktemp("trained"), trainer_config(epochs=2, probes=3)
    )


@pytest.fixture
def not_exported(monkeypatch):
    """Leaves out the export, which takes long, where a test does not look at it."""

    def save(served, path, signatures):
        tf.io.gfile.makedirs(path)

    monkeypatch.setattr(tf.saved_model, "save", save)


@pytest.fixture
def three(tmp_path):
    """What the Trainer left of three tasks."""
    return write_model_run(tmp_path / "model_run", THREE, COSINES, settings=settings(THREE))
