"""The names of a model's outputs, and the order in which Keras takes lists that belong to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras

Path: TypeAlias = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class OutputNames:
    """The names of a model's outputs, as far as they are known when it is compiled.

    An output within a mapping is named by its key, one within a sequence by its layer, or by its
    place if that is unknown; where outputs are nested, the name is the whole way: "cars/price".

    Attributes:
        names: In the order in which the outputs were given; empty if they are not known.
        listed: In the order of lists of losses, labels …: as Keras sorts them, mappings by key.
        by_path: Name by the way to the output, where the way does not tell it.
        are_mapped: Whether the outputs are a mapping.
    """

    names: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    by_path: Mapping[Path, str] = dataclasses.field(default_factory=dict)
    are_mapped: bool = False

    def of(self, structure: Any, argument: str) -> dict[str, Any]:
        """Names the entries of a mapping or sequence, nested or not.

        Args:
            structure: Outputs, or what belongs to them.
            argument: What it is, for errors.

        Returns:
            Entry by name, in Keras's order.

        Raises:
            ValueError: Two entries have the same name, as 1 and "1".
        """
        found: dict[str, Any] = {}
        for path, entry in keras.tree.flatten_with_path(structure):
            add_named(found, argument, self.by_path.get(path, _joined(path)), entry)
        return found

    def as_given(self, structure: Any) -> list[str]:
        """The names of the entries of a structure in the order in which they were given."""
        return [self.by_path.get(path, _joined(path)) for path, _ in _walk(structure)]


def add_named(found: dict[str, Any], argument: str, name: str, entry: Any) -> None:
    """Adds an entry to those of an argument.

    Raises:
        ValueError: There is one of the same name.
    """
    if name in found:
        raise ValueError(
            f"`{argument}` has two entries for {name!r}: names are texts, so 1 and '1' are the "
            "same; rename or remove one"
        )
    found[name] = entry


def functional_outputs(output: Any, layers: Sequence[str]) -> OutputNames:
    """The names of a functional model's outputs.

    Args:
        output: The model's outputs, in the structure that it returns.
        layers: The names of their layers, in Keras's order.
    """
    paths = [path for path, _ in keras.tree.flatten_with_path(output)]
    layer_of = dict(zip(paths, layers, strict=True))
    given = list(_walk(output))
    wanted = [
        _joined(path if parent_is_mapped else (*path[:-1], layer_of[path]))
        for path, parent_is_mapped in given
    ]
    by_path = dict(zip((path for path, _ in given), unique_names(wanted), strict=True))
    listed = tuple(by_path[path] for path in paths)
    return OutputNames(tuple(by_path.values()), listed, by_path, isinstance(output, Mapping))


def unique_names(names: Sequence[str]) -> list[str]:
    """Tells outputs of the same layer, or of layers of the same name, apart: "a", "a_1"."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in unique or (number and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def _joined(path: Path) -> str:
    return "/".join(map(str, path))


def _walk(structure: Any, path: Path = (), parent_is_mapped: bool = False) -> Iterator[Any]:
    """The way to each entry, and whether the last step is a mapping's key."""
    if isinstance(structure, Mapping):
        for key, entry in structure.items():
            yield from _walk(entry, (*path, key), True)
    elif isinstance(structure, list | tuple):
        for place, entry in enumerate(structure):
            yield from _walk(entry, (*path, place), False)
    else:
        yield path, parent_is_mapped
