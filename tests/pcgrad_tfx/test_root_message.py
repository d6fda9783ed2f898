"""What a person is told of an error."""

import pytest

from pcgrad_tfx.errors import brief, root_message, shown


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no column 'a'"), "no column 'a'"),
        (ValueError("no column 'a' [while running 'Run[Transform]']"), "no column 'a'"),
        (
            RuntimeError(
                "Traceback (most recent call last):\n"
                '  File "beam.py", line 1, in process\n'
                "pcgrad_tfx.errors.DataError: split 'train': out of range\n\n"
                "Split  Column\ntrain  hour [while running 'Run[ValidationGate]']"
            ),
            "split 'train': out of range\n\nSplit  Column\ntrain  hour",
        ),
        (
            TypeError(
                'in user code:\n\n    File "model.py", line 3, in call  *\n'
                "        return self.head(x, 1)\n\n    TypeError: head() takes 1 argument\n"
            ),
            "head() takes 1 argument",
        ),
        (KeyError("hour"), "KeyError: 'hour'"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_the_message_is_that_of_the_root(error, message):
    assert root_message(error) == message


def test_the_cause_of_an_error_comes_first():
    error = RuntimeError("around it")
    error.__cause__ = ValueError("the reason")
    assert root_message(error) == "the reason"


def test_what_comes_from_outside_is_quoted_escaped_and_cut():
    assert shown("a b") == "'a b'"
    assert shown("a\n\x1b") == r"'a\n\x1b'"
    assert shown("x" * 5000) == "'" + "x" * 60 + "…' (5,000 characters)"
    assert brief("a b") == "a b"
    assert brief("a\n\x1b") == r"'a\n\x1b'"
    assert brief("x" * 5000) == "x" * 60 + "…"
