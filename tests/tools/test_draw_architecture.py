"""The picture of docs/architecture.md names modules that exist, and is what its script draws."""

import importlib.util
import re
import xml.etree.ElementTree as ET

import pytest

from tools.draw_architecture import LOSS, PICTURE, ROW, draw

STEPS = [*ROW.steps, *LOSS.steps]
MODULES = {
    name for step in STEPS for text in step for name in re.findall(r"\bpcgrad\w*\.[\w.]+", text)
}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_exist(name):
    assert importlib.util.find_spec(name) is not None


def test_every_arrow_has_a_module():
    assert {step.module for step in STEPS} <= MODULES


def test_the_committed_picture_is_what_is_drawn():
    assert PICTURE.read_text(encoding="utf-8") == draw()


def test_what_is_drawn():
    texts = [element.text for element in ET.fromstring(draw()).iter() if element.text]
    for lane in (ROW, LOSS):
        for text in (lane.title, lane.start, *(text for step in lane.steps for text in step)):
            assert text in texts
