"""A line for each component; the noise goes to the log file."""

import io
import logging
import os
import pathlib
import sys

import pytest

from pcgrad_pipelines.local.console import ComponentLines, LineStream, quiet


@pytest.fixture
def console():
    return io.StringIO()


@pytest.fixture
def log(console):
    handler = ComponentLines(LineStream(console))
    logger = logging.getLogger("console under test")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


@pytest.mark.parametrize("wording", ["node %s is %s.", "Component %s is %s."])
def test_a_component_has_one_line_with_its_time(log, console, wording):
    log.info(wording, "Transform", "running")
    assert console.getvalue() == "  Transform           "
    log.info("third-party noise")
    log.info(wording, "Transform", "finished")
    assert console.getvalue() == "  Transform              0.0 s\n"


def test_a_cached_component_says_so_and_the_next_does_not(log, console):
    log.info("node %s is running.", "Transform")
    log.info("A cached execution %d is used.", 7)
    log.info("node %s is finished.", "Transform")
    log.info("node %s is running.", "Trainer")
    log.info("node %s is finished.", "Trainer")
    first, second = console.getvalue().splitlines()
    assert first.endswith("cached")
    assert second.endswith("0.0 s")


def test_other_output_gets_lines_of_its_own(console):
    stream = LineStream(console)
    stream.open_line("  Trainer ")
    print("Epoch 1", file=stream)
    stream.close_line("  Trainer ", "3 s")
    assert console.getvalue() == "  Trainer \nEpoch 1\n  Trainer 3 s\n"


def test_the_component_that_failed_is_known(log):
    (components,) = log.handlers
    log.info("node %s is running.", "Transform")
    log.info("node %s is finished.", "Transform")
    assert components.running is None
    log.info("node %s is running.", "Trainer")
    assert components.running == "Trainer"


def test_noise_goes_to_the_log_file_and_print_to_the_console(tmp_path, capfd):
    log_file = tmp_path / "logs" / "run.log"
    with quiet(log_file, verbose=False):
        print("for a person")
        print("a warning", file=sys.stderr)
        os.write(1, b"from C++ to 1\n")
        os.write(2, b"from C++ to 2\n")
    print("afterwards")
    console = capfd.readouterr()
    assert console.out == "for a person\nafterwards\n"
    assert console.err == ""
    assert sorted(log_file.read_text().splitlines()) == [
        "a warning", "from C++ to 1", "from C++ to 2",
    ]  # fmt: skip


def test_verbose_leaves_standard_error_alone(tmp_path, capfd):
    with quiet(tmp_path / "run.log", verbose=True):
        print("a warning", file=sys.stderr)
    assert capfd.readouterr().err == "a warning\n"


def test_a_full_disk_takes_only_what_would_be_logged(capfd):
    with quiet(pathlib.Path("/dev/full"), verbose=False):
        print("a warning", file=sys.stderr)
        print("for people")
    assert capfd.readouterr().out == "for people\n"
