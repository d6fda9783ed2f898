"""Reports and their pages, of three tasks."""

import re

from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import make_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry

THREE = ("big_tip", "fare", "duration")
COSINES = (-0.007, -0.41, 0.32)


def report(folder, compared=None, data=None, name="taxi"):
    return make_report(name, data or {}, read_telemetry(str(folder)), compared)


def page(*arguments, **others):
    return render(report(*arguments, **others))


def text_of(markup):
    """What a reader sees, without style and charts."""
    markup = re.sub(r"<(style|svg)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())
