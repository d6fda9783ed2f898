"""On which nodes a step runs, read from the text of an option or of a key of `[kubeflow]`."""

from __future__ import annotations

import dataclasses
import re

from pcgrad_pipelines.kubeflow.forms import LABEL_KEY, LABEL_VALUE, for_step

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclasses.dataclass(frozen=True)
class NodeLabel:
    """A label that a step's node must have."""

    component: str | None
    key: str
    value: str

    @classmethod
    def read(cls, text: str) -> NodeLabel:
        """Reads LABEL=VALUE or COMPONENT:LABEL=VALUE."""
        front, _, value = text.partition("=")
        component, _, key = front.rpartition(":")
        if not value or not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            raise ValueError(f"{text!r} is not of the form LABEL=VALUE or COMPONENT:LABEL=VALUE")
        return cls(component or None, key, value)


@dataclasses.dataclass(frozen=True)
class Requirement:
    """A part of a label selector: In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


_REQUIREMENT = re.compile(
    rf" *(?:! *(?P<absent>{LABEL_KEY.pattern})|(?P<key>{LABEL_KEY.pattern})"
    r"(?: *(?P<equals>!?=) *(?P<value>[^ ,()@=!]+)| +(?P<set>in|notin) +\((?P<values>[^()@]*)\))?)"
    r" *(?:,|$)"
)


@dataclasses.dataclass(frozen=True)
class NodeAffinity:
    """On which nodes a step runs, or is better run.

    Attributes:
        component: The step.
        requirements: All of which a node meets.
        weight: From 1 to 100; None: it must be such a node.
    """

    component: str | None
    requirements: tuple[Requirement, ...]
    weight: int | None = None

    @classmethod
    def read(cls, text: str) -> NodeAffinity:
        """Reads a label selector of `kubectl get -l`, with COMPONENT: before, @WEIGHT after it."""
        component, selector = for_step(text)
        selector, at, weight = selector.partition("@")
        if at and not (weight.isdecimal() and 1 <= int(weight) <= 100):
            raise ValueError(f"{text!r}: the weight {weight!r} is not a whole number from 1 to 100")
        requirements, position = [], 0
        while match := _REQUIREMENT.match(selector, position):
            requirements.append(_requirement(match))
            position = match.end()
            if position == len(selector):
                break
        complete = position == len(selector) and not selector.rstrip().endswith(",")
        values = [value for one in requirements for value in one.values]
        wrong = [value for value in values if not value or not LABEL_VALUE.fullmatch(value)]
        if not requirements or not complete or wrong:
            raise ValueError(
                f"{text!r} is not a label selector, as 'zone in (a,b), gpu, !spot, pool=ml'; "
                "COMPONENT: may stand before it, @WEIGHT after it"
            )
        return cls(component, tuple(requirements), int(weight) if at else None)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent"], "DoesNotExist")
    if not match["equals"] and not match["set"]:
        return Requirement(match["key"], "Exists")
    operator = "NotIn" if match["equals"] == "!=" or match["set"] == "notin" else "In"
    values = match["values"].split(",") if match["set"] else [match["value"]]
    return Requirement(match["key"], operator, tuple(value.strip() for value in values))


@dataclasses.dataclass(frozen=True)
class Toleration:
    """A taint of nodes on which a step may run all the same; without a value any."""

    component: str | None
    key: str
    value: str | None
    effect: str

    @classmethod
    def read(cls, text: str) -> Toleration:
        """Reads KEY:EFFECT or KEY=VALUE:EFFECT, as `kubectl taint` has them, or COMPONENT:…."""
        front, _, effect = text.rpartition(":")
        component, _, taint = front.rpartition(":")
        key, equals, value = taint.partition("=")
        if not key or effect not in _EFFECTS:
            raise ValueError(
                f"{text!r} is not of the form KEY=VALUE:EFFECT, KEY:EFFECT or one of them after "
                f"COMPONENT:, with the effect {', '.join(_EFFECTS[:-1])} or {_EFFECTS[-1]}"
            )
        return cls(component or None, key, value if equals else None, effect)
