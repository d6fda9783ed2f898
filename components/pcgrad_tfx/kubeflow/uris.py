"""URIs of artifacts, and the local paths at which Kubeflow's launcher puts them.

TensorFlow and Beam cannot open `minio://` and `s3://`. They need not: before a step the launcher
copies its inputs to local paths, and afterwards whatever lies at the paths of the outputs to the
object store. Source: `LocalPathForURI` in `backend/src/v2/component/launcher_v2.go` of
kubeflow/pipelines.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

# Where the launcher's folders lie if not at the root: for tests and unusual set-ups.
MOUNT_ROOT_VARIABLE = "PCGRAD_TFX_KUBEFLOW_MOUNTS"

GCS = "gs://"
_MOUNTS = {GCS: "gcs", "minio://": "minio", "s3://": "s3"}


class LocalPaths:
    """The local paths of one step's artifacts, in both directions.

    Args:
        uris: Of all input and output artifacts.
        keep_gcs: Leave `gs://` as it is. TensorFlow and Beam can open it, given credentials, and
            the workers of a distributed Beam runner can open nothing else.
    """

    def __init__(self, uris: Iterable[str], keep_gcs: bool = False) -> None:
        self._paths = {uri: local_path(uri, keep_gcs) for uri in uris}

    def path(self, uri: str) -> str:
        """The local path of an artifact, or its URI where there is none."""
        return self._paths.get(uri, uri)

    def uri(self, path: str) -> str:
        """The URI of a path, if it is that of an artifact or lies in one; else the path."""
        for uri, local in self._paths.items():
            if path == local or path.startswith(f"{local}/"):
                return uri + path.removeprefix(local)
        return path


def local_path(uri: str, keep_gcs: bool = False) -> str:
    """Where the launcher puts what lies at a URI, or takes it from.

    Args:
        uri: Of an artifact.
        keep_gcs: See `LocalPaths`.

    Returns:
        The path, or the URI if the launcher leaves it alone.
    """
    root = os.environ.get(MOUNT_ROOT_VARIABLE, "/")
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme) and not (keep_gcs and scheme == GCS):
            return os.path.join(root, mount, uri.removeprefix(scheme))
    return uri
