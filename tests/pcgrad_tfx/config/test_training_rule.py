"""What is chosen where `[training]` leaves it open, and the page that says so."""

import json
import pathlib
import re

import pytest

from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.training_rule import with_choices

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "training.md"
OPEN = [name for name, value in Training().model_dump().items() if value is None]
CHOSEN = ["epochs", "batch_size", "hidden_units", "encoding_bins", "gramian"]


@pytest.mark.parametrize(
    ("rows", "columns", "wanted"),
    [
        (1, 1, (100, 32, 0)),
        (1_999, 5, (100, 32, 0)),
        (2_000, 5, (100, 64, 16)),
        (8_000, 12, (100, 128, 16)),
        (63_999, 12, (24, 128, 16)),
        (269_000, 12, (12, 256, 16)),
        (10_000, 400, (100, 128, 5)),
        (100_000, 1_025, (31, 256, 0)),
    ],
)
def test_choices(rows, columns, wanted):
    chosen = with_choices(Training(), rows, columns)
    assert (chosen.epochs, chosen.batch_size, chosen.encoding_bins) == wanted
    assert chosen.hidden_units == (256, 256)


@pytest.mark.parametrize(("tasks", "gramian"), [(15, "tape"), (16, "layerwise")])
def test_many_tasks_go_layer_by_layer(tasks, gramian):
    assert with_choices(Training(), 10_000, 5, tasks).gramian == gramian


def test_what_is_given_stays():
    given = Training(
        epochs=3, batch_size=7, hidden_units=(), encoding_bins=0, gramian="auto", learning_rate=0.1
    )
    assert with_choices(given, 10_000, 5) == given


def test_nothing_else_is_open():
    chosen = with_choices(Training(), 10_000, 5).model_dump()
    assert {name for name in OPEN if chosen[name] is not None} == set(CHOSEN)


def test_the_page_has_every_key_with_its_default():
    table = PAGE.read_text().partition("## The rule")[0]
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
    assert set(shown) == set(Training.model_fields)
    for name, value in Training().model_dump(mode="json").items():
        wanted = f"`{json.dumps(value)}`"
        if value is None:
            wanted = "by rule" if name in CHOSEN else "none"
        assert shown[name].strip() == wanted, name
