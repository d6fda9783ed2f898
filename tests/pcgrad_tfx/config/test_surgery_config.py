"""How a configuration says which method combines the gradients."""

import json

import pytest

from pcgrad_tfx.config.surgery import method_and_arguments, surgery_text
from pcgrad_tfx.config.training_config import trainer_config

FARE = {"name": "fare", "kind": "regression", "column": "fare"}
MILES = {"name": "miles", "kind": "regression", "column": "miles"}
CONFIG = {"tasks": [FARE, MILES], "features": {"numeric": ["hour"]}}
TABLE = {"method": "gradnorm", "alpha": 0.5}


@pytest.mark.parametrize("surgery", [TABLE, json.dumps(TABLE)])
def test_a_table_or_its_json_text(surgery):
    config = trainer_config({**CONFIG, "surgery": surgery})
    assert method_and_arguments(config.surgery) == ("gradnorm", {"alpha": 0.5})
    assert surgery_text(config.surgery) == "gradnorm (alpha = 0.5)"
    assert trainer_config(json.loads(json.dumps(config.model_dump(mode="json")))) == config


def test_a_table_without_arguments_is_the_name():
    assert trainer_config({**CONFIG, "surgery": {"method": "famo"}}).surgery == "famo"
    assert surgery_text("famo") == "famo"


def test_a_gram_matrix_now_and_then_wants_a_method_that_takes_one():
    assert trainer_config({**CONFIG, "surgery_every": 5}).surgery_every == 5
    with pytest.raises(ValueError, match='surgery_every: surgery = "famo" takes no Gram matrix'):
        trainer_config({**CONFIG, "surgery": "famo", "surgery_every": 5})
    with pytest.raises(ValueError, match='surgery_every: with gramian = "features" the Gram'):
        trainer_config({**CONFIG, "gramian": "features", "surgery_every": 5})


@pytest.mark.parametrize(
    ("surgery", "message"),
    [
        ({"method": "gradnom"}, '"gradnom" is not one of .*; did you mean "gradnorm"'),
        ({"method": "gradnorm", "alfa": 1}, "'gradnorm' has no argument 'alfa'; did you mean"),
        ({"method": "gradnorm", "alpha": -1}, "`alpha` must be 0 or greater, not -1"),
        ({"method": "none", "c": 1}, "\"none\" takes no arguments; remove 'c'"),
        ({"c": 1}, 'names no method; add method = "pcgrad"'),
        ('{"method": ', "is no JSON object"),
        (3, "3 is not one of"),
        (None, "null is not one of"),
        (["pcgrad"], "is not one of"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(surgery, message):
    with pytest.raises(ValueError, match=rf"\Acustom_config: surgery: [^\n]*{message}[^\n]*\Z"):
        trainer_config({**CONFIG, "surgery": surgery})
