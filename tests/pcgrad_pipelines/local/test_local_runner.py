"""The local runner's command line, and what a person reads when something is wrong."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from local_runs import RUNNER
from pcgrad_pipelines.local.doctor import find_killed, find_unfinished
from pcgrad_pipelines.local.interruption import INTERRUPTED, TERMINATED
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG, DONE, FAILED, main
from pcgrad_pipelines.script import silent_imports

pytestmark = pytest.mark.long

HEADER = "tips,fare,company,hour"
GOOD_ROWS = [f"{i % 4}.5,{10 + i % 7}.0,Company {i % 3},{i % 24}" for i in range(200)]
CONFIG = """
name = "tiny"
[data]
path = "data.csv"
[[tasks]]
name = "big_tip"
kind = "binary"
column = "tips"
divide_by = "fare"
above = 0.2
[[tasks]]
name = "fare"
kind = "regression"
column = "fare"
[features]
numeric = ["hour"]
categorical = ["company"]
"""


def test_help_is_immediate_and_names_the_flags_and_exit_codes():
    program = (
        "import sys; from pcgrad_pipelines.local.runner import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([m for m in ('tensorflow', 'tfx', 'keras') if m in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, cwd=DEFAULT_CONFIG.parents[2],
    )  # fmt: skip
    for flag in (
        "--config", "--output", "--no-reference", "--surgery", "--epochs", "--batch-size", "--seed",
        "--orchestrator", "--beam-runner", "--beam-arg", "--doctor", "--verbose", "exit codes",
    ):  # fmt: skip
        assert flag in process.stdout
    assert process.stdout.endswith("[]\n")


def write(folder, rows, header=HEADER, encoding="utf-8", config=CONFIG):
    (folder / "mine.toml").write_text(config)
    lines = [header, *rows, ""] if header else []
    (folder / "data.csv").write_bytes("\n".join(lines).encode(encoding))
    return ["--config", str(folder / "mine.toml"), "--output", str(folder / "out")]


def spoil(row, *, line=100):
    return [*GOOD_ROWS[:line], row, *GOOD_ROWS[line:]]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"header": "tip,fare,company,hour"}, ["data.csv", "'tips'", "'tip'"]),
        ({"header": "", "rows": []}, ["data.csv", "empty"]),
        ({"rows": []}, ["data.csv", "without data rows"]),
        ({"header": HEADER.replace(",", ";")}, ["data.csv", "';'"]),
        ({"rows": spoil("a lot,12.0,Company 1,3")}, ["data.csv:102", "'tips'", "'a lot'"]),
        ({"rows": spoil("1.5,12.0")}, ["data.csv:102", "2", "4"]),
        ({"rows": GOOD_ROWS[:5]}, ["data.csv", "5", "100"]),
        ({"rows": spoil("1.5,nan,Company 1,3")}, ["data.csv:102", "'fare'", "nan"]),
    ],
    ids=[
        "missing label", "empty file", "header only", "separator", "word among numbers",
        "short row", "too few rows", "nan",
    ],
)  # fmt: skip
def test_bad_data_gets_one_line_before_anything_runs(tmp_path, capfd, changed, expected):
    arguments = write(tmp_path, **{"rows": GOOD_ROWS, **changed})
    assert main(arguments) == FAILED
    lines = capfd.readouterr().out.splitlines()
    (message,) = [line for line in lines if "data.csv" in line]
    for part in expected:
        assert part in message
    assert lines[-2] == message
    assert lines[-1].startswith("Full log: ")
    assert not (tmp_path / "out" / "artifacts").exists()


def test_an_empty_folder_gets_one_line(tmp_path, capfd):
    (tmp_path / "rides").mkdir()
    arguments = write(tmp_path, GOOD_ROWS, config=CONFIG.replace("data.csv", "rides"))
    assert main(arguments) == FAILED
    assert "rides" in capfd.readouterr().out.splitlines()[-2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--epochs", "0"], "epochs"),
        (["--beam-runner", "DaskRunner"], "DaskRunner loses data"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, expected, capfd):
    assert main(arguments) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert expected in line


def interrupted(arguments, beginning, number):
    """Runs until a line begins so, and sends a signal.

    Returns:
        The exit code and the lines that were printed.
    """
    command = [sys.executable, "-u", str(RUNNER), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        shown = []
        for line in process.stdout:
            shown.append(line.rstrip("\n"))
            if line.startswith(beginning):
                process.send_signal(number)
    return process.returncode, shown


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        pytest.param(signal.SIGINT, INTERRUPTED, "Interrupted.", id="Ctrl-C"),
        # One handler answers both, as the test below sees of each.
        pytest.param(
            signal.SIGTERM,
            TERMINATED,
            "Terminated (SIGTERM).",
            id="SIGTERM",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_interrupted_run_keeps_what_is_finished(tmp_path, capfd, number, code, said):
    command = [*write(tmp_path, GOOD_ROWS), "--epochs", "10000"]
    exit_code, shown = interrupted(command, f"  epoch {2:>5}/10000", number)
    assert exit_code == code, shown
    assert shown[-1].startswith(f"{said} Finished components and epochs")

    # It is no damage, but what is half written can be removed; the epochs stay.
    output = tmp_path / "out"
    assert find_killed(output) == []
    (trainer,) = find_unfinished(output)
    assert (trainer.kind, trainer.what.partition(",")[0]) == ("interrupted", "Trainer")
    assert main(["--output", str(output), "--doctor", "clean"]) == DONE
    assert "goes on (kept)" in capfd.readouterr().out
    assert find_unfinished(output) == []
    assert any((output / "checkpoints").rglob("*.index"))


def test_what_libraries_write_while_they_are_imported_is_dropped(capfd):
    for verbose in (False, True):
        with contextlib.suppress(ImportError), silent_imports(verbose):
            os.write(2, b"no GPU\n")
            raise ImportError
        os.write(2, b"said\n")
    assert capfd.readouterr().err == "said\nno GPU\nsaid\n"


@pytest.mark.parametrize(("closed", "said"), [("2>&-", ["No killed run"]), (">&- 2>&-", [])])
def test_closed_standard_streams_are_no_error(tmp_path, closed, said):
    command = f'"{sys.executable}" "{RUNNER}" --doctor --output "{tmp_path}" {closed}'
    done = subprocess.run(
        ["bash", "-c", command], stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path
    )
    assert [line for line in said if line not in done.stdout] == []
    assert bool(done.stdout) == bool(said)


def run_in_which_a_module_sends(folder, arguments, module, number):
    """Runs with a module that sends a signal when it is imported."""
    (folder / f"{module}.py").write_text(
        f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)\n"
    )
    return subprocess.run(
        [sys.executable, str(RUNNER), *arguments],
        env={**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=folder,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["pydantic", "ml_metadata", "pandas"])
def test_a_signal_while_something_is_imported_is_answered_in_a_line(tmp_path, module, number):
    """Sent by a module that the runner imports: at once, and when it looks at the data."""
    write(tmp_path, GOOD_ROWS)
    arguments = ["--init", str(tmp_path / "data.csv"), "--label", "fare"]
    process = run_in_which_a_module_sends(tmp_path, arguments, module, number)
    assert process.returncode == 128 + number, process.stdout
    assert process.stdout in ("Interrupted.\n", "Terminated (SIGTERM).\n")


def test_a_run_that_has_not_begun_ends_without_importing_more(tmp_path):
    """A second signal would end it without a word."""
    arguments = write(tmp_path, GOOD_ROWS)
    process = run_in_which_a_module_sends(tmp_path, arguments, "tensorflow", signal.SIGINT)
    assert process.returncode == INTERRUPTED
    assert process.stdout.splitlines()[-1].startswith("Interrupted. Finished components")
