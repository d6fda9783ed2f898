"""What a person reads when a run has failed."""

from __future__ import annotations

import errno
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator

from pcgrad_tfx.errors import root_message

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
# As the operating system, TensorFlow and SQLite say it.
_SAYS_FULL = ("no space left on device", "disk quota exceeded", "disk is full")
# As Prism and gRPC say it.
_SAYS_WORKER_ENDED = ("sdk worker disconnected",)
_SAYS_ENGINE_ENDED = ("statuscode.unavailable",)
_KEPT = "run the same command again: finished components are kept"


def failure_message(error: BaseException, output: pathlib.Path, log_file: pathlib.Path) -> str:
    """What went wrong, in one line.

    Args:
        error: What the run raised.
        output: The output folder.
        log_file: In the output folder, from the beginning of the run on.

    Returns:
        What befell the folder, if that is the cause, whatever was being done in it; else the
        error's root.
    """
    if not log_file.exists():
        return f"{output} was deleted or moved while the run used it; run the same command again"
    if _disk_is_full(error):
        # Temporary files may be on another disk.
        folders = (output, pathlib.Path(tempfile.gettempdir()))
        full = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
        elsewhere = "" if full == output else ", or name another folder in the variable TMPDIR,"
        return (
            f"the disk of {full} is full; make room{elsewhere} and run the same command again: "
            "finished components and epochs are kept"
        )
    if _says(error, _SAYS_WORKER_ENDED):
        return (
            f"a worker of the Beam runner ended: it was killed, or had too little memory; {_KEPT}"
        )
    if _says(error, _SAYS_ENGINE_ENDED):
        return f"the Beam runner does not answer any more; start it again, and {_KEPT}"
    return root_message(error)


def _disk_is_full(error: BaseException) -> bool:
    return _says(error, _SAYS_FULL) or any(
        isinstance(cause, OSError) and cause.errno in DISK_IS_FULL for cause in _causes(error)
    )


def _says(error: BaseException, texts: Iterable[str]) -> bool:
    return any(text in str(cause).lower() for cause in _causes(error) for text in texts)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
