"""Runs on Vertex AI, by Google's client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pcgrad_pipelines.kubeflow.submit import Job, Json, Outcome, SubmitError, read_spec
from pcgrad_tfx.formatting import one_line


class Vertex:
    """Vertex AI.

    Args:
        project: Google Cloud's project.
        region: The region to run in.
    """

    def __init__(self, project: str, region: str) -> None:
        self._place = {"project": project, "location": region}

    def start(self, job: Job) -> str:
        """Starts a run, or has runs started.

        Args:
            job: What is to run.

        Returns:
            The resource name of the run or of the schedule.

        Raises:
            SubmitError: If there are no credentials, or Vertex AI refuses or cannot be reached.
        """
        from google.cloud import aiplatform

        name = job.name or read_spec(job.path)["pipelineInfo"]["name"]
        rights = {"service_account": job.service_account, "network": job.network}
        with _one_line():
            run = aiplatform.PipelineJob(
                display_name=name,
                template_path=str(job.path),
                parameter_values=dict(job.parameters),
                encryption_spec_key_name=job.encryption_key,
                **self._place,
            )
            if job.cron is not None:
                schedule = run.create_schedule(cron=job.cron, display_name=name, **rights)
                return str(schedule.resource_name)
            run.submit(**rights)
        return str(run.resource_name)

    def wait(self, run: str, spec: Json) -> tuple[Outcome, str]:
        """Waits for the end of a run.

        Args:
            run: Its resource name.
            spec: What it runs.

        Returns:
            How it ended, and what there is to say about it.

        Raises:
            SubmitError: If Vertex AI refuses or cannot be reached.
        """
        from google.cloud import aiplatform

        with _one_line():
            job = aiplatform.PipelineJob.get(run, **self._place)
            # It raises an error if the run does not succeed.
            with contextlib.suppress(RuntimeError):
                job.wait()
            state, error = job.gca_resource.state.name, job.gca_resource.error
        if state == "PIPELINE_STATE_SUCCEEDED":
            return Outcome.SUCCEEDED, ""
        if state == "PIPELINE_STATE_CANCELLED":
            return Outcome.CANCELED, ""
        return Outcome.FAILED, f": {one_line(error.message)}".removesuffix(": ")


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    from google.api_core import exceptions
    from google.auth import exceptions as auth_exceptions

    try:
        yield
    except auth_exceptions.GoogleAuthError as error:
        raise SubmitError(
            f"Google Cloud: {one_line(error)}; try: gcloud auth application-default login"
        ) from None
    except (exceptions.GoogleAPIError, ValueError) as error:
        raise SubmitError(f"Vertex AI refuses: {one_line(error)}") from None
