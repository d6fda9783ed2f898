"""Fingerprints of our code, for TFX's cache.

A component that is given code by import path is cached without regard to that code. Its fingerprint
in `custom_config` makes an edit invalidate what depends on it, and nothing else.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import pathlib

_OURS = ("pcgrad", "pcgrad_tfx")


def code_version(module: str) -> str:
    """Fingerprint of a module's source and of every module of ours that it imports.

    Args:
        module: Its import name, say "pcgrad_tfx.training.trainer".

    Returns:
        16 hexadecimal digits, the same wherever the code is installed.
    """
    sources: dict[str, bytes] = {}
    _collect(module, sources)
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    return digest.hexdigest()[:16]


def _collect(module: str, sources: dict[str, bytes]) -> None:
    if module in sources:
        return
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module {module!r}; name an installed one")
    sources[module] = pathlib.Path(spec.origin).read_bytes()
    package = module.rpartition(".")[0]
    if package:
        _collect(package, sources)
    for imported in _imports(sources[module]):
        if imported.split(".")[0] in _OURS and _is_module(imported):
            _collect(imported, sources)


@functools.cache
def _imports(source: bytes) -> tuple[str, ...]:
    """Every name that may be a module: `from a import b` may import a.b or b of a."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    return tuple(names)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
