"""The Kubeflow runner's `--submit`: what a server is sent, and what a person is told."""

import http.server
import json
import socket
import threading

import pytest

from kubeflow_runs import compile_for
from pcgrad_pipelines.kubeflow.runner import DONE, FAILED, main
from pcgrad_pipelines.kubeflow.submit import parse_parameters, push_destination, read_spec


@pytest.fixture(scope="module")
def taxi(tmp_path_factory):
    """The compiled taxi pipeline."""
    return compile_for("kfp", tmp_path_factory.mktemp("taxi") / "taxi.yaml")


def submit(compiled, host, *arguments):
    return main(
        ["--target=kfp", "--submit", f"--compiled={compiled}", f"--host={host}", *arguments]
    )


class Server(http.server.BaseHTTPRequestHandler):
    """As much of Kubeflow Pipelines' API as starting a run takes; notes the runs."""

    runs: list[dict[str, object]]
    refuses = False
    health = {"multi_user": False}, 200

    def do_GET(self):
        if self.path.startswith("/apis/v2beta1/healthz"):
            self.answer(*self.health)
        else:
            self.answer({})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/apis/v2beta1/experiments"):
            self.answer({"experiment_id": "e1", "display_name": "Default"})
        elif self.refuses:
            self.answer({"error": "pipeline spec is invalid"}, 400)
        else:
            self.runs.append(body)
            self.answer({"run_id": "r1"})

    def answer(self, value, status=200):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A running server: its address, and its class."""
    monkeypatch.setenv("HOME", str(tmp_path))  # kfp keeps its context there.
    handler = type("Handler", (Server,), {"runs": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()


def test_a_run_is_started_with_its_parameters(taxi, server, capsys):
    host, handler = server
    given = ["epochs=3", "surgery=none", "learning_rate=1e-2", "push_destination=/mnt/models/a=b"]
    assert submit(taxi, host, *(f"--parameter={item}" for item in given)) == DONE
    assert capsys.readouterr().out.splitlines()[-1].endswith(" r1")
    (run,) = handler.runs
    assert run["runtime_config"] == {
        "parameters": {
            "epochs": 3,
            "surgery": "none",
            "learning_rate": 0.01,
            "push_destination": '{"filesystem": {"base_directory": "/mnt/models/a=b"}}',
        },
        "pipeline_root": "minio://mlpipeline/v2",
    }
    assert run["pipeline_spec"]["schemaVersion"] == "2.1.0"
    assert run["pipeline_spec"]["pipelineInfo"] == {"name": "taxi"}


def test_a_push_destination_is_a_folder_or_the_json_of_one(taxi):
    spec = read_spec(taxi)
    wanted = push_destination("gs://b/models")
    for given in ("gs://b/models", wanted, f" {wanted}"):
        found = parse_parameters([f"push_destination={given}"], spec)
        assert json.loads(found["push_destination"]) == json.loads(wanted)


def test_volumes_are_sent_along(tmp_path, server):
    host, handler = server
    options = ["--volume=models=/mnt/models", "--push-destination=/mnt/models/taxi"]
    assert submit(compile_for("kfp", tmp_path / "taxi.yaml", *options), host) == DONE
    (run,) = handler.runs
    executors = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"][
        "executors"
    ]
    mount = {"constant": "models", "mountPath": "/mnt/models"}
    assert executors["Pusher_executor"] == {"pvcMount": [mount]}


def test_a_server_that_refuses_gets_one_line(taxi, server, capsys):
    host, handler = server
    handler.refuses = True
    assert submit(taxi, host) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f'{host} refuses: 400 {{"error": "pipeline spec is invalid"}}'


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ((b"<html>Please log in</html>", 200), "is there a login in front of it?"),
        (({}, 403), "answers 403 Forbidden"),
    ],
)
def test_a_server_that_wants_a_login_gets_one_line(taxi, server, health, expected, capsys):
    host, handler = server
    handler.health = health
    assert submit(taxi, host) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"--host: {host} ")
    assert line.endswith(expected)
    assert not handler.runs


def test_a_server_that_cannot_be_reached_gets_one_line(taxi, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert submit(taxi, f"http://127.0.0.1:{port}") == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"--host: cannot reach http://127.0.0.1:{port}" in line
    assert "Connection refused" in line


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("epochs", "--parameter: 'epochs' is not of the form NAME=VALUE"),
        ("epoch=3", "--parameter: unknown 'epoch'; did you mean \"epochs\"?"),
        ("epochs=3.5", "--parameter: epochs: '3.5' is not a whole number"),
        ("learning_rate=fast", "--parameter: learning_rate: 'fast' is not a number"),
    ],
)
def test_a_wrong_parameter_gets_one_line(taxi, parameter, expected, capsys):
    assert submit(taxi, "http://127.0.0.1:1", f"--parameter={parameter}") == FAILED
    assert capsys.readouterr().out.splitlines() == [expected]


def test_vertex_ai_needs_credentials(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    compiled = compile_for("vertex", tmp_path / "taxi.json")
    command = ["--target=vertex", "--submit", f"--compiled={compiled}"]
    assert main([*command, "--project=p", "--region=europe-west1"]) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("Google Cloud: ")
    assert line.endswith("try: gcloud auth application-default login")
