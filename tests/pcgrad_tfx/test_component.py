"""A component is its names and types; its executor gets the artifacts by these names."""

import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from pcgrad_tfx.component import Component, Executor


class Noting(Executor):
    def run(self, inputs, outputs, properties):
        self.noted = inputs, outputs, properties


class Example(
    Component,
    executor=Noting,
    parameters={"text": str, "size": int},
    inputs={"model": standard_artifacts.Model, "schema": standard_artifacts.Schema},
    outputs={"report": standard_artifacts.String},
    optional={"size", "schema"},
):
    pass


class Derived(Example):
    pass


def model():
    return tfx.dsl.Channel(type=standard_artifacts.Model)


@pytest.mark.parametrize("kind", [Example, Derived])
def test_what_is_declared_is_what_it_takes_and_makes(kind):
    component = kind(text="a", model=model())
    assert component.id == kind.__name__
    assert component.outputs["report"].type is standard_artifacts.String
    assert component.exec_properties == {"text": "a"}
    assert set(component.inputs) == {"model"}
    assert kind(text="a", size=1, model=model()).exec_properties == {"text": "a", "size": 1}


@pytest.mark.parametrize(
    ("given", "named"),
    [({"text": "a"}, "model"), ({"model": model()}, "text")],
)
def test_what_is_missing_is_named(given, named):
    with pytest.raises((TypeError, ValueError), match=named):
        Example(**given)


def test_an_optional_input_without_an_artifact_is_left_out():
    given, made = standard_artifacts.Model(), standard_artifacts.String()
    executor = Noting()
    executor.Do({"model": [given], "schema": []}, {"report": [made]}, {"text": "a"})
    assert executor.noted == ({"model": given}, {"report": made}, {"text": "a"})
