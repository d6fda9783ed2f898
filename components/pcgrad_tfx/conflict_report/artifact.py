"""The type of what ConflictReport makes."""

from __future__ import annotations

from typing import ClassVar

from tfx.types import artifact

PAGE_FILE = "report.html"
REPORT_FILE = "report.json"


class ConflictReportPage(artifact.Artifact):
    """A folder with `report.html`, which needs no other file, and `report.json`, its numbers.

    Attributes:
        HTML_FILE: What to show of it; see `pcgrad_tfx.kubeflow.pages`.
    """

    # Also the name of this class in the package; see `pcgrad_tfx.__init__`.
    TYPE_NAME = "pcgrad_tfx.ConflictReportPage"
    HTML_FILE: ClassVar[str] = PAGE_FILE
