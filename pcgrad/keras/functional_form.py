"""The functional form of a model class: a subclass, where Keras would change the class itself."""

from __future__ import annotations

import keras

_FUNCTIONAL: dict[type[keras.Model], type[keras.Model]] = {}


def is_functional(cls: type[keras.Model]) -> bool:
    """Whether `functional_form` has made the class."""
    return cls in _FUNCTIONAL.values()


def functional_form(cls: type[keras.Model]) -> type[keras.Model]:
    """The functional form of a model class, known to Keras by the same name.

    Args:
        cls: A subclass of `keras.Model`, registered or not.

    Returns:
        A subclass of `cls` and of Keras's functional model, the same one in every call.
    """
    if cls not in _FUNCTIONAL:
        anything = keras.Input(())
        functional = type(keras.Model(anything, keras.layers.Identity()(anything)))
        made = type(cls.__name__, (cls, functional), {"__module__": cls.__module__})
        package, _, name = keras.saving.get_registered_name(cls).rpartition(">")
        if package:
            keras.saving.register_keras_serializable(package, name)(made)
        _FUNCTIONAL[cls] = made
    return _FUNCTIONAL[cls]
