"""Do the tasks conflict, does surgery help: a page to look at; see `component.ConflictReport`."""

from pcgrad_tfx.conflict_report.component import PAGE_FILE, ConflictReport, ConflictReportPage
from pcgrad_tfx.conflict_report.report import read_verdict

__all__ = ["PAGE_FILE", "ConflictReport", "ConflictReportPage", "read_verdict"]
