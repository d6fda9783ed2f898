"""What all charts of the report have in common: size, colours, and how they become SVG."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib import figure

from pcgrad_tfx.formatting import one_line

# In units of the SVG's coordinates: CSS pixels where there is room for its natural width.
WIDTH = 380
SMALL_WIDTH = 190
_UNITS_PER_INCH = 72  # of Matplotlib's SVG

# Okabe and Ito's colours, which all forms of colour vision tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A7500")
WORSE, BETTER = "#b2182b", "#2166ac"  # the ends of the heat map's colours
INK, QUIET, GRID = "#1f2328", "#6b7280", "#e2e5e9"

# As many tasks, or pairs, as a chart stays readable with.
MAX_TASKS_WITH_COLORS = 6
MAX_DOTS = 12
MAX_LINES = 6

_SETTINGS = {
    # Text as text: it can be read aloud and found, and takes the page's font.
    "svg.fonttype": "none",
    # Names are no formulas, whatever they contain.
    "text.parse_math": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}


class Figure(NamedTuple):
    """A chart in the page and what is said about it."""

    title: str
    chart: Markup
    caption: str = ""


class Chart:
    """A figure with one pair of axes that becomes inline SVG.

    Args:
        name: Distinct in a page: ids within the SVG derive from it.
        height: In the units of `WIDTH`.
        width: `WIDTH` or `SMALL_WIDTH`.
    """

    def __init__(self, name: str, height: float, width: float = WIDTH) -> None:
        self._name = name
        size = (width / _UNITS_PER_INCH, height / _UNITS_PER_INCH)
        # Not pyplot, which keeps global state.
        self.figure = figure.Figure(figsize=size, layout="constrained")
        self.axes = self.figure.subplots()

    def svg(self, description: str) -> Markup:
        """Draws it.

        Args:
            description: What the chart shows, for those who do not see it.

        Returns:
            An `svg` element; the same for the same chart.
        """
        file = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": self._name}), warnings.catch_warnings():
            # Names may contain what Matplotlib's own font does not; a browser has other fonts.
            warnings.filterwarnings("ignore", message=r"Glyph \d+")
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            self.figure.savefig(file, format="svg", metadata=nothing)
        return Markup(_as_element(file.getvalue(), description))


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The charts' settings; a chart must be made and drawn within."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def dots(axes: Any, rows: list[str], values: list[tuple[Any, ...]], colors: list[str]) -> None:
    """Draws a column of dots with their intervals, the first row on top.

    Args:
        axes: Where.
        rows: Labels.
        values: Of each row: mean, low, high; the ends may be None.
        colors: Of each row.
    """
    for place, ((mean, low, high), color) in enumerate(zip(values, colors, strict=True)):
        if low is not None:
            axes.plot([low, high], [place, place], color=color, linewidth=2, alpha=0.6)
        if mean is not None:
            axes.plot(mean, place, "o", color=color, markersize=5)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params("y", length=0)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _as_element(text: str, description: str) -> str:
    """Without what only a file needs: prologue, fixed size, ids that nothing refers to."""
    text = text[text.index("<svg") :].strip()
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    opening, _, rest = text.partition(">")
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    return f'{opening} role="img" aria-label="{escape(one_line(description))}">{rest}'
