"""Names for layers: Keras wants each of them once, TensorFlow allows not every character."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TypeAlias

# Gives a free name that is like the wanted one.
Named: TypeAlias = Callable[[str], str]


class LayerNames:
    """Names for layers, each given once.

    Args:
        taken: Names that no layer gets from here: those of the outputs.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def free(self, wanted: str) -> str:
        """The name that is wanted, with a number if a layer has it."""
        name = wanted
        for number in itertools.count(1):
            if name not in self._taken:
                break
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name
