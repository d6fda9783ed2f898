"""A server that answers as Kubeflow Pipelines' API does, as far as its client asks."""

import json
import re
import urllib.parse

from local_server import Handler, LocalServer

API = "/apis/v2beta1"


class KfpApi(LocalServer):
    """A running server, which notes what it is sent.

    Attributes:
        token: What a request's header `Authorization` must bear; None: anybody may ask.
        multi_user: Whether a namespace must be named.
        runs: What it was sent to start.
        recurring: Likewise, again and again.
        experiments: By name.
        pipelines: By name.
        versions: The files uploaded, by id of the pipeline and name of the version.
        states: Those of a run, one for each time that it is asked for; the last one stays.
        details: What is known of the steps.
        logs: Those that it shows, by pod.
        error: Status and body with which it refuses to start anything.
        broken: How many of the next questions about a run get no answer.
        health: What it says of itself, and the status.
    """

    def __init__(self):
        super().__init__(_Handler)
        self.token, self.multi_user = None, False
        self.runs, self.recurring = [], []
        self.experiments, self.pipelines, self.versions = {}, {}, {}
        self.states, self.details, self.error = ["SUCCEEDED"], [], None
        self.broken, self.health = 0, ({"multi_user": False}, 200)
        self.logs = {}


class _Handler(Handler):
    server: KfpApi

    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        where = address.path.removeprefix(API)
        if self._is_refused():
            return
        if where == "/healthz":
            self._answer(*self.server.health)
        elif where == "/experiments":
            name = _wanted(query)
            found = [e for e in self.server.experiments.values() if e["display_name"] == name]
            self._answer({"experiments": found} if found else {})
        elif where == "/pipelines":
            found = [self.server.pipelines[n] for n in self.server.pipelines if n == _wanted(query)]
            self._answer({"pipelines": found} if found else {})
        elif match := re.fullmatch(r"/runs/(\w+)", where):
            self._answer_run(match[1])
        elif match := re.fullmatch(r"/apis/v1alpha1/runs/\w+/nodes/([-\w]+)/log", where):
            # As ReadRunLogV1, which has answered 200 before it looks.
            self._answer(self.server.logs.get(match[1], {"error_message": "Failed to read logs"}))
        else:
            self._answer({"error": f"no such method: {where}"}, 404)

    def do_POST(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        where = address.path.removeprefix(API)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_refused():
            return
        if self.server.error is not None and where != "/experiments":
            self._answer(*self.server.error)
        elif where == "/experiments":
            body = json.loads(content)
            if self.server.multi_user and not body.get("namespace"):
                self._answer({"error": "Namespace is empty"}, 400)
                return
            made = {**body, "experiment_id": f"e{len(self.server.experiments) + 1}"}
            self.server.experiments[body["display_name"]] = made
            self._answer(made)
        elif where == "/runs":
            self.server.runs.append(json.loads(content))
            self._answer({"run_id": f"r{len(self.server.runs)}"})
        elif where == "/recurringruns":
            self.server.recurring.append(json.loads(content))
            self._answer({"recurring_run_id": f"j{len(self.server.recurring)}"})
        elif where == "/pipelines/upload":
            made = {"pipeline_id": f"p{len(self.server.pipelines) + 1}", **query}
            self.server.pipelines[query["name"]] = made
            self._answer({"pipeline_id": made["pipeline_id"], "display_name": query["name"]})
        elif where == "/pipelines/upload_version":
            key = query["pipelineid"], query["name"]
            if key in self.server.versions:
                self._answer({"error": "already exists"}, 409)
                return
            self.server.versions[key] = content
            version = f"v{len(self.server.versions)}"
            self._answer({"pipeline_id": key[0], "pipeline_version_id": version})
        else:
            self._answer({"error": f"no such method: {where}"}, 404)

    def _answer_run(self, run):
        if self.server.broken:
            self.server.broken -= 1
            self.close_connection = True
            return
        states = self.server.states
        state = states.pop(0) if len(states) > 1 else states[0]
        self._answer(
            {"run_id": run, "state": state, "run_details": {"task_details": self.server.details}}
        )

    def _is_refused(self):
        wanted = self.server.token
        if wanted is None or self.headers["Authorization"] == f"Bearer {wanted}":
            return False
        self._answer({"error": "Unauthorized"}, 401)
        return True

    def _answer(self, value, status=200):
        kind, content = "application/json", value
        if not isinstance(value, bytes):
            content = json.dumps(value).encode()
        elif self.path.endswith("/log"):
            kind = "text/html" if value.startswith(b"<") else "text/plain"
        self.send(content, kind, status)


def _wanted(query):
    """The name that a filter asks for."""
    (predicate,) = json.loads(query["filter"])["predicates"]
    return predicate.get("string_value", predicate.get("stringValue"))
