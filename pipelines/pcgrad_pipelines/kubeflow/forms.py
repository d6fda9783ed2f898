"""What an option or a key of `[kubeflow]` says, read from its text.

Each class has a `read` that raises a `ValueError` of one line, without the option's name. Where a
text may begin with `STEP:`, it is for that step alone; without it `component` is None, and it is
for all steps.
"""

from __future__ import annotations

import dataclasses
import re

from pcgrad_tfx.config.validation_messages import nearest

# The launcher's own mounts, and the volumes behind them. Source: `addContainerExecutorTemplate` in
# backend/src/v2/compiler/argocompiler/container.go of kubeflow/pipelines.
_LAUNCHER_MOUNTS = ("/gcs", "/minio", "/s3", "/kfp-launcher", "/.local", "/.cache", "/.config")
_LAUNCHER_VOLUMES = re.compile(r"kfp-launcher|ca-bundle|(gcs|s3|minio|dot-[a-z]+)-scratch")

# Gigabytes of 10⁹ bytes, the unit of a specification.
_GIGABYTES = {
    "M": 1e-3,
    "G": 1.0,
    "T": 1e3,
    "Mi": 2**20 / 1e9,
    "Gi": 2**30 / 1e9,
    "Ti": 2**40 / 1e9,
}
_MEMORY = re.compile(rf"(?P<number>[0-9]*\.?[0-9]+)(?P<unit>{'|'.join(_GIGABYTES)})")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(rf"(?P<number>[1-9][0-9]{{0,8}})(?P<unit>{'|'.join(_SECONDS)})")

# What Kubernetes takes: names of volumes, keys and values of labels.
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL_KEY = re.compile(rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}")
LABEL_VALUE = re.compile(rf"({_NAME})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Mount:
    """A volume.

    Attributes:
        name: Of the PersistentVolumeClaim or the Secret; also that of the volume in the pod.
        path: Where it is mounted.
    """

    name: str
    path: str

    @classmethod
    def read(cls, text: str) -> Mount:
        """Reads NAME=/path."""
        name, _, path = text.partition("=")
        if not _DNS_LABEL.fullmatch(name) or not path.startswith("/") or not path.strip("/"):
            raise ValueError(f"{text!r} is not of the form NAME=/path")
        if any(lies_in(path, mount) for mount in _LAUNCHER_MOUNTS):
            raise ValueError(f"{text}: Kubeflow itself mounts there; choose another path")
        if _LAUNCHER_VOLUMES.fullmatch(name):
            raise ValueError(f"{text}: Kubeflow itself has a volume {name}; it needs another name")
        return cls(name, path.rstrip("/"))


@dataclasses.dataclass(frozen=True)
class Variable:
    """An environment variable."""

    name: str
    value: str

    @classmethod
    def read(cls, text: str) -> Variable:
        """Reads NAME=VALUE."""
        name, equals, value = text.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise ValueError(f"{text!r} is not of the form NAME=VALUE")
        return cls(name, value)


@dataclasses.dataclass(frozen=True)
class SecretVariable:
    """An environment variable from a key of a Secret."""

    name: str
    secret: str
    key: str

    @classmethod
    def read(cls, text: str) -> SecretVariable:
        """Reads NAME=SECRET:KEY."""
        name, _, place = text.partition("=")
        secret, _, key = place.partition(":")
        if not _VARIABLE.fullmatch(name) or not secret or not key:
            raise ValueError(f"{text!r} is not of the form NAME=SECRET:KEY")
        return cls(name, secret, key)


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a step may use; None is left to the cluster.

    Attributes:
        component: The step.
        cpu: Cores.
        memory: Gigabytes (10⁹ bytes).
        accelerator: What Kubernetes or Vertex AI calls it, "nvidia.com/gpu" or "NVIDIA_TESLA_T4".
        accelerators: How many of them.
    """

    component: str
    cpu: float | None = None
    memory: float | None = None
    accelerator: str | None = None
    accelerators: int = 0

    @classmethod
    def read(cls, text: str) -> Resources:
        """Reads COMPONENT:cpu=4,memory=16G,accelerator=nvidia.com/gpu:1."""
        component, _, settings = text.partition(":")
        form = "COMPONENT:cpu=4,memory=16G,accelerator=TYPE:COUNT"
        if not component:
            raise ValueError(f"{text!r} is not of the form {form}")
        given = _settings(settings, text, form, ("cpu", "memory", "accelerator"))
        kind, _, count = given.get("accelerator", "").rpartition(":")
        if "accelerator" in given and (not kind or not count.isdecimal() or int(count) == 0):
            raise ValueError(f"{text}: {given['accelerator']!r} is not TYPE:COUNT")
        return cls(
            component,
            _cores(given.get("cpu"), text),
            _gigabytes(given.get("memory"), text),
            kind or None,
            int(count or 0),
        )


@dataclasses.dataclass(frozen=True)
class Requests:
    """What a node must have free for a step; None is left to the cluster."""

    component: str | None
    cpu: float | None = None
    memory: float | None = None

    @classmethod
    def read(cls, text: str) -> Requests:
        """Reads cpu=1,memory=2G or "none", or one of them after COMPONENT:."""
        component, settings = for_step(text)
        if settings == "none":
            return cls(component)
        form = 'cpu=1,memory=2G or "none", or one of them after COMPONENT:'
        given = _settings(settings, text, form, ("cpu", "memory"))
        return cls(component, _cores(given.get("cpu"), text), _gigabytes(given.get("memory"), text))


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often a step is started again."""

    component: str | None
    count: int

    @classmethod
    def read(cls, text: str) -> Retries:
        """Reads N or COMPONENT:N."""
        component, count = for_step(text)
        if not re.fullmatch(r"-?[0-9]{1,9}", count):
            raise ValueError(f"{text!r} is not a whole number, or one after COMPONENT:")
        if int(count) < 0:
            raise ValueError(f"{text} is below 0; give 0 or more")
        return cls(component, int(count))


@dataclasses.dataclass(frozen=True)
class Timeout:
    """After how many seconds an attempt of a step is stopped."""

    component: str | None
    seconds: int

    @classmethod
    def read(cls, text: str) -> Timeout:
        """Reads a duration as 90m or 8h, or one after COMPONENT:."""
        component, duration = for_step(text)
        match = _DURATION.fullmatch(duration)
        if match is None:
            units = ", ".join(_SECONDS)
            raise ValueError(
                f"{text!r} is not a whole number above 0 with a unit ({units}), as 90m, or that "
                "after COMPONENT:"
            )
        return cls(component, int(match["number"]) * _SECONDS[match["unit"]])


@dataclasses.dataclass(frozen=True)
class Annotation:
    """An annotation of all pods."""

    key: str
    value: str

    @classmethod
    def read(cls, text: str) -> Annotation:
        """Reads KEY=VALUE."""
        key, equals, value = text.partition("=")
        if not equals or not LABEL_KEY.fullmatch(key):
            raise ValueError(f"{text!r} is not of the form KEY=VALUE, with a key as example.com/a")
        if "{{" in value:
            raise ValueError(f"{text!r}: Argo would take {{{{ for its own; remove it")
        return cls(key, value)


@dataclasses.dataclass(frozen=True)
class Label(Annotation):
    """A label of all pods."""

    @classmethod
    def read(cls, text: str) -> Label:
        """Reads KEY=VALUE."""
        label = super().read(text)
        if not LABEL_VALUE.fullmatch(label.value):
            raise ValueError(
                f"{text}: a label's value has 63 letters, digits, -, _ and . at most, with a "
                "letter or digit at both ends"
            )
        return cls(label.key, label.value)


def lies_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def for_step(text: str) -> tuple[str | None, str]:
    """The component of COMPONENT:REST, None without one, and the rest."""
    component, colon, rest = text.partition(":")
    return (component, rest) if colon else (None, text)


def _settings(settings: str, text: str, form: str, known: tuple[str, ...]) -> dict[str, str]:
    """The values of NAME=VALUE,NAME=VALUE."""
    given = {}
    for setting in settings.split(","):
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is not of the form {form}")
        if name not in known:
            raise ValueError(f"{text}: unknown {name!r}; {nearest(name, known)}")
        given[name] = value
    return given


def _cores(value: str | None, text: str) -> float | None:
    return None if value is None else _positive(value, "cpu", text)


def _positive(value: str, name: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"{text}: {name} {value!r} is not a number above 0")
    return number


def _gigabytes(value: str | None, text: str) -> float | None:
    if value is None:
        return None
    match = _MEMORY.fullmatch(value)
    if match is None:
        units = ", ".join(_GIGABYTES)
        raise ValueError(f"{text}: memory {value!r} is not a number with a unit ({units}), as 16G")
    return _positive(match["number"], "memory", text) * _GIGABYTES[match["unit"]]
