"""Draws docs/images/architecture.svg: how a row becomes a pushed model, and a loss an update.

`python tools/draw_architecture.py` draws it anew.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple
from xml.sax.saxutils import escape

PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "architecture.svg"


class Step(NamedTuple):
    """An arrow to the next state.

    Attributes:
        module: What carries it out.
        note: What is done.
        result: The state that it leads to.
    """

    module: str
    note: str
    result: str


class Lane(NamedTuple):
    """A column of states, from top to bottom."""

    title: str
    start: str
    steps: tuple[Step, ...]


ROW = Lane(
    "A row: from a file to a pushed model",
    "CSV files",
    (
        Step("pcgrad_tfx.data.csv_checks", "refuses bad files in one line", "checked files"),
        Step(
            "pcgrad_tfx.example_gen.csv_example_gen", "splits and shuffles", "train, eval and test"
        ),
        Step(
            "pcgrad_tfx.validation.validation_gate",
            "stops at what the schema forbids",
            "rows that fit the schema",
        ),
        Step(
            "pcgrad_tfx.transform.preprocessing",
            "scales, looks up, makes labels",
            "features, and a label for each task",
        ),
        Step("pcgrad_tfx.training.dataset", "shuffles by seed and epoch", "batches"),
        Step("pcgrad_tfx.training.trainer", "fits, epoch by epoch", "weights of the network"),
        Step("pcgrad_tfx.training.serving", "adds the Transform graph", "SavedModel"),
        Step(
            "pcgrad_tfx.evaluation.eval_config",
            "checks each task's gate, on test",
            "blessed model",
        ),
        Step("pcgrad_tfx.pushing.pusher", "moves it into place at once", "pushed model"),
    ),
)
LOSS = Lane(
    "A loss: one step of training",
    "a batch",
    (
        Step("pcgrad.keras.model", "calls the network", "an output for each task"),
        Step(
            "pcgrad.keras.losses.task_losses",
            "leaves out what has no label",
            "T losses",
        ),
        Step("pcgrad.task_gradients", "T backward passes", "gradients by task and variable"),
        Step(
            "pcgrad.stacks",
            "or pcgrad.layerwise.stacking, without gradients",
            "a stack for each shared variable",
        ),
        Step("pcgrad.gramian", "inner products, over all replicas", "Gram matrix, T × T"),
        Step("pcgrad.surgery", "PCGrad, or any other weighting", "a weight for each task"),
        Step("pcgrad.task_gradients", "combines", "a gradient for each variable"),
        Step(
            "pcgrad.keras.model",
            "adds regularization, asks the optimizer",
            "updated weights of the network",
        ),
    ),
)
# The states of the row between which a loss goes its way.
_BEFORE, _AFTER = 5, 6

_MARGIN, _WIDTH, _GUTTER = 10, 350, 56
_TOP, _BOX, _PITCH = 52, 30, 78

_STYLE = """
  text { font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .module { font: 12.5px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }
  .note { font-size: 12.5px; fill: #59636e }
  rect { fill: #f6f8fa; stroke: #8c959f }
  path { fill: none; stroke: #59636e; stroke-width: 1.5 }
  .between { stroke: #0969da; stroke-dasharray: 5 4 }
  .head { fill: #59636e; stroke: none }
  .between-head { fill: #0969da; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .note { fill: #9198a1 }
    rect { fill: #151b23; stroke: #656c76 }
    path { stroke: #9198a1 }
    .between { stroke: #4493f8 }
    .head { fill: #9198a1; stroke: none }
    .between-head { fill: #4493f8; stroke: none }
  }
"""


def draw() -> str:
    """The picture as SVG, in the colours of a light or a dark page."""
    left, right = _MARGIN, _MARGIN + _WIDTH + _GUTTER
    rows = 1 + max(len(ROW.steps), len(LOSS.steps))
    width, height = right + _WIDTH + _MARGIN, _TOP + (rows - 1) * _PITCH + _BOX + _MARGIN
    parts = [*_lane(ROW, left), *_lane(LOSS, right), *_between(left + _WIDTH, right)]
    body = "\n".join(f"  {part}" for part in parts)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-labelledby="title">
  <title id="title">{ROW.title}. {LOSS.title}.</title>
  <style>{_STYLE}  </style>
{body}
</svg>
"""


def _lane(lane: Lane, x: int) -> list[str]:
    parts = [_text(x, 28, lane.title, "title"), *_state(lane.start, x, 0)]
    for place, step in enumerate(lane.steps, start=1):
        start, end = _y(place - 1) + _BOX, _y(place)
        parts += [
            *_arrow(f"M{x + 20} {start}V{end - 7}", x + 20, end, "head", down=True),
            _text(x + 36, start + 20, step.module, "module"),
            _text(x + 36, start + 37, step.note, "note"),
            *_state(step.result, x, place),
        ]
    return parts


def _state(text: str, x: int, place: int) -> list[str]:
    box = f'<rect x="{x}" y="{_y(place)}" width="{_WIDTH}" height="{_BOX}" rx="6"/>'
    return [box, _text(x + 12, _y(place) + 20, text)]


def _between(left: int, right: int) -> list[str]:
    """From the batches to the loss, and from its update back to the weights."""
    middle = (left + right) // 2
    batch, update = _y(_BEFORE) + _BOX // 2, _y(_AFTER) + _BOX // 2
    first, last = _y(0) + _BOX // 2, _y(len(LOSS.steps)) + _BOX // 2
    there = f"M{left} {batch}H{middle}V{first}H{right - 7}"
    back = f"M{right} {last}H{middle}V{update}H{left + 7}"
    return [
        *_arrow(there, right, first, "between-head", classes="between"),
        *_arrow(back, left, update, "between-head", classes="between", to_left=True),
    ]


def _arrow(
    path: str,
    x: int,
    y: int,
    head: str,
    classes: str = "",
    down: bool = False,
    to_left: bool = False,
) -> list[str]:
    """A line and the triangle at its end (x, y)."""
    back = 8 if to_left else -8
    corners = "l-5 -8h10z" if down else f"l{back} -5v10z"
    of_class = f' class="{classes}"' if classes else ""
    return [f'<path{of_class} d="{path}"/>', f'<path class="{head}" d="M{x} {y}{corners}"/>']


def _text(x: int, y: int, text: str, classes: str = "") -> str:
    of_class = f' class="{classes}"' if classes else ""
    return f'<text{of_class} x="{x}" y="{y}">{escape(text)}</text>'


def _y(place: int) -> int:
    return _TOP + place * _PITCH


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
