"""`tfx-pcgrad submit --target vertex`: what Google's client sends, and what a person is told."""

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform.utils import resource_manager_utils

from kubeflow_runs import compile_for
from pcgrad_pipelines.command import main as tfx_pcgrad
from pcgrad_pipelines.kubeflow.runner import CANCELED, DONE, FAILED
from vertex_api import PROJECT_NUMBER, VertexApi


@pytest.fixture(scope="module")
def taxi(tmp_path_factory):
    """The compiled taxi pipeline."""
    return compile_for("vertex", tmp_path_factory.mktemp("taxi") / "taxi.json")


@pytest.fixture
def server(monkeypatch):
    """A running server, which Google's client takes for Vertex AI and for Cloud Storage."""
    config = vars(aiplatform.initializer.global_config)
    before = dict(config)
    with VertexApi() as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.host)
        # Its API cannot be had at another address.
        monkeypatch.setattr(resource_manager_utils, "get_project_number", lambda _: PROJECT_NUMBER)
        aiplatform.init(
            api_endpoint=running.host, api_transport="rest", credentials=AnonymousCredentials()
        )
        yield running
    config.update(before)


def submit(compiled, *arguments):
    place = ["--project=p", "--region=europe-west1"]
    return tfx_pcgrad(["submit", str(compiled), "--target=vertex", *place, *arguments])


RIGHTS = [
    "--service-account=trainer@p.iam.gserviceaccount.com",
    "--network=projects/12345/global/networks/ml",
]
KEY = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"


def test_a_run_has_a_service_account_a_network_and_a_key(taxi, server, capsys):
    options = [*RIGHTS, f"--encryption-key={KEY}", "--run-name=first", "--parameter=epochs=3"]
    assert submit(taxi, *options) == DONE
    ((query, job),) = server.jobs
    assert job["displayName"] == "first"
    assert job["serviceAccount"] == "trainer@p.iam.gserviceaccount.com"
    assert job["network"] == "projects/12345/global/networks/ml"
    assert job["encryptionSpec"]["kmsKeyName"] == KEY
    assert job["runtimeConfig"]["parameterValues"] == {"epochs": 3}
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith(f"projects/p/locations/europe-west1/pipelineJobs/{query['pipelineJobId']}")


@pytest.mark.parametrize(
    ("state", "error", "code", "expected"),
    [
        ("SUCCEEDED", None, DONE, " succeeded"),
        ("FAILED", "Trainer:\nout of memory", FAILED, " failed: Trainer: out of memory"),
        ("CANCELLED", None, CANCELED, " was canceled"),
    ],
)
def test_the_exit_code_is_how_the_run_ended(taxi, server, state, error, code, expected, capsys):
    server.states, server.error = [f"PIPELINE_STATE_{state}"], error
    assert submit(taxi, "--wait") == code
    assert capsys.readouterr().out.splitlines()[-1].endswith(expected)


def test_a_run_recurs(taxi, server, capsys):
    assert submit(taxi, *RIGHTS, "--cron=0 3 * * *") == DONE
    assert capsys.readouterr().out.splitlines()[-1].endswith("/schedules/1")
    assert not server.jobs
    (schedule,) = server.schedules
    assert schedule["cron"] == "0 3 * * *"
    job = schedule["createPipelineJobRequest"]["pipelineJob"]
    assert job["serviceAccount"] == "trainer@p.iam.gserviceaccount.com"


def test_times_with_seconds_are_refused(taxi, capsys):
    assert submit(taxi, "--cron=0 0 3 * * *") == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("--cron: '0 0 3 * * *' has 6 fields; give 5, as '0 3 * * *'")
