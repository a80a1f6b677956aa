"""Experiment trackers on loopback: what a run of theirs is made of, as their own clients send it (docs/adr/0010 says how that was seen)."""

from __future__ import annotations

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "k" * 40


class Trackers(ThreadingHTTPServer):
    """Weights & Biases (key KEY) and MLflow (user ada, password KEY) at one address. `fail` answers the next requests with 503."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fail = 0
        self.calls: list[str] = []
        self.wandb: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def allowed(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    # --- Weights & Biases -----------------------------------------------------------------------------------------------------

    def graphql(self, body: dict[str, Any]) -> dict[str, Any]:
        variables = body.get("variables") or {}
        if body["operationName"] == "Viewer":
            return {"data": {"viewer": {"id": "u1", "entity": "ada", "username": "ada"}}}
        assert body["operationName"] == "UpsertBucket" and "upsertBucket(input:" in body["query"]
        for name in re.findall(r"\$(\w+): ", body["query"]):
            assert name in variables, name
        entity, project, name = variables["entity"] or "ada", variables["project"], variables["name"]
        run = self.wandb.setdefault(f"{entity}/{project}/{name}", {"history": [], "summary": {}, "complete": None})
        run |= {"config": json.loads(variables["config"]), "title": variables["displayName"], "tags": variables["tags"]}
        bucket = {"id": "b1", "name": name, "project": {"name": project, "entity": {"name": entity}}}
        return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}

    def stream(self, path: str, body: dict[str, Any]) -> None:
        run = self.wandb[path]
        for name, part in body.get("files", {}).items():
            lines = [json.loads(line) for line in part["content"]]
            if name == "wandb-summary.json":
                run["summary"] = lines[0]
            else:  # lines replace those from the offset on
                assert part["offset"] <= len(run["history"])
                run["history"][part["offset"] : part["offset"] + len(lines)] = lines
        if body.get("complete"):
            run["complete"] = body["exitcode"]

    # --- MLflow ---------------------------------------------------------------------------------------------------------------

    def mlflow(self, path: str, values: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "experiments/search":
            return 200, {"experiments": []}
        if path == "experiments/get-by-name":
            found = self.experiments.get(values["experiment_name"])
            return (200, {"experiment": {"experiment_id": found}}) if found else (404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
        if path == "experiments/create":
            return 200, {"experiment_id": self.experiments.setdefault(values["name"], str(len(self.experiments) + 1))}
        if path == "runs/search":
            key = re.fullmatch(r"tags\.`aifinetune\.run` = '([\w-]+)'", values["filter"])
            assert key
            found = [{"info": {"run_id": name}} for name, run in self.runs.items() if run["tags"]["aifinetune.run"] == key[1]]
            return 200, {"runs": found}
        if path == "runs/create":
            name = f"run{len(self.runs) + 1}"
            tags = {tag["key"]: tag["value"] for tag in values["tags"]}
            self.runs[name] = {"tags": tags, "params": {}, "metrics": set(), "status": "RUNNING", "name": values["run_name"]}
            return 200, {"run": {"info": {"run_id": name}}}
        run = self.runs.get(values["run_id"])
        if run is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Run with id={values['run_id']} not found"}
        if path == "runs/update":
            run |= {"status": values["status"], "end": values["end_time"]}
            return 200, {}
        assert path == "runs/log-batch" and len(values.get("metrics", ())) <= 1000 and len(values.get("params", ())) <= 100
        run["params"] |= {item["key"]: item["value"] for item in values.get("params", ())}
        run["metrics"] |= {(item["key"], item["value"], item["step"], item["timestamp"]) for item in values.get("metrics", ())}
        return 200, {}


class _Handler(BaseHTTPRequestHandler):
    server: Trackers

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_GET(self) -> None:
        self._answer({name: found[0] for name, found in parse_qs(urlsplit(self.path).query).items()})

    def _answer(self, body: dict[str, Any]) -> None:
        path = urlsplit(self.path).path
        self.server.calls.append(path)
        user = "ada" if path.startswith("/api/2.0/mlflow") else "api"
        if self.server.fail:
            self.server.fail -= 1
            self._say(503, {})
        elif self.headers.get("Authorization") != f"Basic {base64.b64encode(f'{user}:{KEY}'.encode()).decode()}":
            self._say(401, {"error": "no such key"})
        elif path == "/graphql":
            self._say(200, self.server.graphql(body))
        elif path.startswith("/files/"):
            self.server.stream(path.removeprefix("/files/").removesuffix("/file_stream"), body)
            self._say(200, {})
        else:
            self._say(*self.server.mlflow(path.removeprefix("/api/2.0/mlflow/"), body))

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass
