"""Measuring the tasks' conflict while a Keras model is trained."""
