"""A server that answers as Vertex AI's API for pipelines and Cloud Storage do, as far as asked."""

import json
import urllib.parse

from local_server import Handler, LocalServer

PROJECT_NUMBER = "12345"


class VertexApi(LocalServer):
    """A running server, which notes what it is sent.

    Attributes:
        jobs: What it was sent to start: the query and the job.
        schedules: What it was sent to start again and again.
        states: Those of a job, one for each time that it is asked for; the last one stays.
        error: What a job that is asked for says went wrong.
    """

    def __init__(self):
        super().__init__(_Handler)
        self.jobs, self.schedules = [], []
        self.states, self.error = ["PIPELINE_STATE_SUCCEEDED"], None


class _Handler(Handler):
    server: VertexApi

    def do_GET(self):
        if self.path.startswith("/storage/"):
            # The client looks whether the bucket of the pipeline root is there, and whose it is.
            self._answer({"kind": "storage#bucket", "projectNumber": PROJECT_NUMBER})
            return
        name = urllib.parse.urlsplit(self.path).path.partition("/v1/")[2]
        states = self.server.states
        state = states.pop(0) if len(states) > 1 else states[0]
        found = {"name": name, "state": state}
        if self.server.error is not None:
            found["error"] = {"code": 9, "message": self.server.error}
        self._answer(found)

    def do_POST(self):
        address = urllib.parse.urlsplit(self.path)
        parent, _, kind = address.path.partition("/v1/")[2].rpartition("/")
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if kind == "schedules":
            self.server.schedules.append(sent)
            self._answer({**sent, "name": f"{parent}/schedules/1"})
        else:
            query = dict(urllib.parse.parse_qsl(address.query))
            self.server.jobs.append((query, sent))
            name = f"{parent}/pipelineJobs/{query.get('pipelineJobId')}"
            self._answer({**sent, "name": name, "state": "PIPELINE_STATE_PENDING"})

    def _answer(self, value):
        self.send(json.dumps(value).encode())
