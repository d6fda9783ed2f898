"""Runs on a server of open-source Kubeflow Pipelines, by its own client."""

from __future__ import annotations

import collections
import contextlib
import datetime
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcgrad_pipelines.kubeflow.submit import Job, Json, Outcome, SubmitError, read_spec
from pcgrad_tfx.formatting import one_line

if TYPE_CHECKING:
    import kfp

TOKEN_VARIABLE = "KFP_TOKEN"

# kfp's own; the first is the name of the experiment that the server makes for itself.
_DEFAULT_EXPERIMENT, _EXPERIMENT_VARIABLE = "Default", "KF_PIPELINES_DEFAULT_EXPERIMENT_NAME"

# Seconds.
_LONGEST_PAUSE = 30.0
_LOST_AFTER = 600.0

# What Kubeflow's launcher and Argo say around the step's own lines, and the API when it has no log.
_NOT_THE_STEPS = re.compile(r"[IWEF]\d{4} \d\d:\d\d:|time=|Error: exit status|goroutine |\{\"error")


def read_token(file: str | None) -> str | None:
    """The token that the server wants, from a file or the environment variable `KFP_TOKEN`.

    Args:
        file: Its path.

    Returns:
        The token, None without one.

    Raises:
        SubmitError: If there is no such file, or it is empty.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SubmitError(f"--token-file: {file}: {error.strerror}") from None
    if not token.isprintable() or not token:
        raise SubmitError(f"--token-file: {file} holds no token; it is one line of text")
    return token


class KfpServer:
    """A server of open-source Kubeflow Pipelines.

    Args:
        host: Its address.
        namespace: Of a multi-user Kubeflow; None: that of the client's context.
        token: What the server wants to see of whoever asks.

    Raises:
        SubmitError: If it cannot be reached, or is none.
    """

    def __init__(self, host: str, namespace: str | None = None, token: str | None = None) -> None:
        self._host = host if "://" in host else f"https://{host}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._check()
        import kfp

        with self._one_line():
            # "kubeflow" is the client's word for none.
            self._client: kfp.Client = kfp.Client(
                host=self._host, namespace=namespace or "kubeflow", existing_token=token
            )

    def start(self, job: Job) -> str:
        """Starts a run, or has it started again and again.

        Returns:
            The id of the run or the recurring run.

        Raises:
            SubmitError: If the server cannot be reached or refuses.
        """
        spec = read_spec(job.path)
        pipeline = spec["pipelineInfo"]["name"]
        now = datetime.datetime.now().astimezone()
        with self._one_line():
            experiment = self._client.create_experiment(
                job.experiment or os.environ.get(_EXPERIMENT_VARIABLE) or _DEFAULT_EXPERIMENT,
                namespace=job.namespace,
            )
            source = (
                {"pipeline_package_path": str(job.path)}
                if job.version is None
                else self._upload(job, pipeline)
            )
            arguments = {
                "experiment_id": experiment.experiment_id,
                "job_name": job.name or f"{pipeline} {now:%Y-%m-%d %H-%M-%S}",
                "params": dict(job.parameters),
                # The server itself does not read it.
                "pipeline_root": spec.get("defaultPipelineRoot"),
                "service_account": job.service_account,
                **source,
            }
            if job.cron is None:
                return str(self._client.run_pipeline(**arguments).run_id)
            # A training on data that have been learned since helps nobody.
            recurring = self._client.create_recurring_run(
                **arguments, cron_expression=job.cron, no_catchup=True
            )
            return str(recurring.recurring_run_id)

    def _upload(self, job: Job, pipeline: str) -> dict[str, str]:
        """Uploads a version of a pipeline, which is made if there is none of that name."""
        named = {"operation": "EQUALS", "key": "display_name", "stringValue": pipeline}
        found = self._client.list_pipelines(
            namespace=job.namespace, filter=json.dumps({"predicates": [named]})
        ).pipelines
        known = found[0] if found else self._client.upload_pipeline(
            str(job.path), pipeline, namespace=job.namespace
        )  # fmt: skip
        version = self._client.upload_pipeline_version(
            str(job.path), job.version, pipeline_id=known.pipeline_id
        )
        return {"pipeline_id": known.pipeline_id, "version_id": version.pipeline_version_id}

    def wait(self, run: str, spec: Json) -> tuple[Outcome, str]:
        """Waits for the end of a run.

        kfp's own `wait_for_run_completion` waits for ever if a run is canceled.

        Args:
            run: Its id.
            spec: What it runs.

        Returns:
            How it ended, and what there is to say about it.
        """
        import urllib3
        from google.api_core import exceptions, retry

        def passes(error: BaseException) -> bool:
            """Whether it may be right again: a forwarded port breaks now and then."""
            broken = isinstance(error, urllib3.exceptions.HTTPError)
            return broken or getattr(error, "status", 0) in {502, 503, 504}

        ask = retry.Retry(passes, timeout=_LOST_AFTER)(self._client.get_run)
        pause = 1.0
        while True:
            try:
                with self._one_line():
                    state = ask(run)
            except exceptions.RetryError as error:
                return Outcome.LOST, f": {one_line(error.cause)}"
            if state.state in _OUTCOMES:
                outcome = _OUTCOMES[state.state]
                return outcome, self._why(state, spec) if outcome is Outcome.FAILED else ""
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _why(self, run: Any, spec: Json) -> str:
        """At which step a run has failed, and the last thing that the step said.

        Beside the run's own error the API of the versions 2.x has only the states of steps
        (`toModelTask` in backend/src/apiserver/server/api_converter.go of kubeflow/pipelines) and
        the logs of pods (`ReadRunLogV1` in run_log_server.go).
        """
        details = getattr(run.run_details, "task_details", None) or []
        failed = [task for task in details if task.state == "FAILED"]
        names = [task.display_name.removesuffix("-driver") for task in failed]
        step = next((name for name in names if name in spec["root"]["dag"]["tasks"]), None)
        pod = next(
            (
                task.pod_name
                for task in reversed(failed)
                # Of steps that are retried, "executor(1)".
                if task.display_name.partition("(")[0].endswith(("executor", "-driver"))
            ),
            None,
        )
        said = getattr(run.error, "message", None) or (pod and self._last_line(run.run_id, pod))
        place = f" at {step}" if step else ""
        if said:
            return f"{place}: {one_line(said)}"
        return f"{place}; its log says why: kubectl logs {pod} -c main" if pod else place

    def _last_line(self, run: str, pod: str) -> str | None:
        """The last line of a step's log, None if the server does not show it."""
        try:
            with self._get(f"/apis/v1alpha1/runs/{run}/nodes/{pod}/log") as log:
                if log.headers.get_content_subtype() == "html":
                    # The user interface's own page.
                    return None
                lines = collections.deque((line.decode(errors="replace") for line in log), 1000)
        except (OSError, http.client.HTTPException):
            return None
        own = [line for line in lines if line.strip() and not _NOT_THE_STEPS.match(line)]
        return own[-1] if own else None

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        import kfp_server_api
        import urllib3

        try:
            yield
        except kfp_server_api.ApiException as error:
            detail = error.body or error.reason
            raise SubmitError(f"{self._host} refuses: {error.status} {one_line(detail)}") from None
        except (urllib3.exceptions.HTTPError, TimeoutError) as error:
            raise SubmitError(f"--host: {self._host}: {one_line(error)}") from None

    def _get(self, path: str) -> contextlib.closing[http.client.HTTPResponse]:
        """What the client has no method for."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(f"{self._host.rstrip('/')}{path}", headers=self._headers)
        return contextlib.closing(opener.open(request, timeout=10))

    def _check(self) -> None:
        """Asks whether there is one: the client asks for half a minute, then shows a traceback."""
        host = self._host
        try:
            with self._get("/apis/v2beta1/healthz") as answer:
                json.load(answer)
        except urllib.error.HTTPError as error:
            hint = f"; does it want a token (--token-file, {TOKEN_VARIABLE})?"
            hint *= error.code in {401, 403} and not self._headers
            raise SubmitError(f"--host: {host} answers {error.code} {error.reason}{hint}") from None
        except json.JSONDecodeError:
            raise SubmitError(
                f"--host: {host} is not the API of Kubeflow Pipelines; is there a login in front "
                "of it?"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise SubmitError(
                f"--host: cannot reach {host} ({reason}); is the server up?"
            ) from None


_OUTCOMES = {
    "SUCCEEDED": Outcome.SUCCEEDED,
    "FAILED": Outcome.FAILED,
    "SKIPPED": Outcome.FAILED,
    "CANCELED": Outcome.CANCELED,
}
