"""PCGrad in TensorFlow Extended: the components of a multi-task pipeline."""

import importlib
import importlib.util
from typing import Any

for _needed in ("tfx", "pydantic"):
    if importlib.util.find_spec(_needed) is None:
        raise ModuleNotFoundError(
            f"{_needed} is not installed; try: pip install 'tfx-pcgrad[tfx]'",
            name=_needed,
        )

# Our artifact types. A step on Kubeflow or Vertex AI imports a type by its name in ML Metadata,
# for which TFX allows one dot only: it must be found here, wherever it is defined.
_ARTIFACT_TYPES = {
    "ComparisonResults": "pcgrad_tfx.comparison.component",
    "ConflictReportPage": "pcgrad_tfx.conflict_report.component",
    "ReferenceScores": "pcgrad_tfx.reference.component",
}


def __getattr__(name: str) -> Any:
    """Finds an artifact type; not before it is needed, because that imports TFX."""
    if name in _ARTIFACT_TYPES:
        return getattr(importlib.import_module(_ARTIFACT_TYPES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
