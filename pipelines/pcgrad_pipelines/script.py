"""Running a command as the script that a person has called."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pcgrad_pipelines.constraints import print_constraints
from pcgrad_pipelines.local.interruption import exit_on_interrupt


def run_script(module: str) -> None:
    """Runs a module's `main` and ends the process with its exit code.

    Args:
        module: Import name; it is imported here because that takes a second, in which Ctrl-C is to
            be answered, too.
    """
    exit_on_interrupt()
    _open_closed_streams()
    try:
        # It says which extra is missing.
        importlib.import_module("pcgrad_tfx")
        main = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        print(error)
        sys.exit(1)
    code = main()
    # While the interpreter shuts down, TensorFlow's objects complain about missing modules.
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Opens the standard streams that are closed (`2>&-`).

    Their numbers would go to the next files, a database among them, and libraries write to 2.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


@contextlib.contextmanager
def silent_imports(verbose: bool = False) -> Iterator[None]:
    """Drops what libraries write to standard error while they are imported.

    TensorFlow 2.21 tells there that it has found no GPU, whatever TF_CPP_MIN_LOG_LEVEL says.

    Args:
        verbose: Drop nothing.
    """
    if verbose:
        yield
        return
    with contextlib.ExitStack() as stack:
        saved = os.dup(2)
        stack.callback(os.close, saved)
        stack.callback(os.dup2, saved, 2)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield


def tfx_pcgrad() -> None:
    """Runs the command `tfx-pcgrad`."""
    if sys.argv[1:] == ["constraints"]:
        # It is wanted before the extra is installed, which all others need.
        sys.exit(print_constraints())
    run_script("pcgrad_pipelines.command")
