"""What the OpenAPI document says of every operation alike: its refusals, and examples of what is sent most."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from rest_framework import serializers

from finetune.core.answers import add_examples

METHODS = ("get", "post", "put", "patch", "delete")
# Code → (name of the component, description, example).
REFUSALS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "400": (
        "Invalid",
        "The input can't be accepted; `fields` names what is wrong and says what to do.",
        {"detail": "learning_rate: Must be above 0.", "code": "invalid", "fields": {"learning_rate": ["Must be above 0."]}},
    ),
    "401": ("SignIn", "No valid token or session.", {"detail": "Sign in first.", "code": "not_authenticated"}),
    "403": ("Forbidden", "Known, but not allowed.", {"detail": "You may not do this.", "code": "permission_denied"}),
    "404": ("NotFound", "It does not exist, or it is somebody else's.", {"detail": "Not found.", "code": "not_found"}),
    "409": (
        "Conflict",
        "Right request, wrong state.",
        {"detail": "This job has already ended (succeeded); there is nothing to cancel.", "code": "job_succeeded"},
    ),
    "413": ("TooLarge", "More bytes than this installation takes.", {"detail": "The request is too large.", "code": "too_large"}),
    "415": ("MediaType", "Not a body this route reads.", {"detail": "Unsupported media type “text/plain”.", "code": "unsupported_media_type"}),
    "429": ("TooMany", "Too many requests; wait as `Retry-After` says.", {"detail": "Too many requests. Try again in 12 s.", "code": "throttled"}),
    "503": (
        "Unavailable",
        "A worker or an outside system does not answer; try again later.",
        {"detail": "The inference worker does not answer.", "code": "no_worker"},
    ),
}  # fmt: skip
ERROR = {
    "type": "object",
    "description": "Every refusal of /api.",
    "required": ["detail", "code"],
    "properties": {
        "detail": {"type": "string", "description": "What is wrong and what to do, for people."},
        "code": {"type": "string", "description": "A stable name, for programs."},
        "fields": {
            "type": "object",
            "description": "Field → messages.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
# What a newcomer sends first, by operation.
REQUESTS: dict[str, dict[str, Any]] = {
    "auth_register": {"username": "ada", "email": "ada@example.org", "password": "a long passphrase"},
    "auth_login": {"username": "ada", "password": "a long passphrase"},
    "training_create": {
        "name": "support bot", "model_id": 1, "dataset_id": 1, "method": "lora",
        "config": {"learning_rate": 0.0002, "num_train_epochs": 3, "lora_r": 16}, "start": True,
    },
    "training_estimate_create": {"model_id": 1, "dataset_id": 1, "method": "lora", "config": {}},
    "models_test_create": {"prompt": "What are your opening hours?", "max_new_tokens": 64, "temperature": 0.7},
    "models_create": {"name": "", "repo_id": "HuggingFaceTB/SmolLM2-135M-Instruct"},
    "datasets_split_create": {"train": 0.9, "validation": 0.1, "seed": 42},
    "datasets_import_hub_create": {"repo_id": "HuggingFaceH4/no_robots", "split": "train"},
    "models_export": {"format": "gguf", "quantization": "q8_0"},
    "openai_create_job": {"model": "model-1", "training_file": "file-1", "suffix": "support bot"},
    "openai_create_chat_completion": {
        "model": "support bot", "messages": [{"role": "user", "content": "What are your opening hours?"}], "temperature": 0.2,
    },
}  # fmt: skip


# Of operations that Django REST framework writes by itself, and so nobody's docstring describes.
SUMMARIES = {
    "api_training_list": "Your jobs",
    "api_training_create": "Create a job; with `start` it is queued at once",
    "api_training_retrieve": "One job",
    "api_training_partial_update": "Rename a job, or change a draft",
    "api_training_destroy": "Delete a job that has ended, with its files",
    "api_training_start_create": "Put a draft into the queue",
    "api_training_cancel_create": "Stop a job; its checkpoints stay",
    "api_training_resume_create": "Go on from a checkpoint, the newest unless one is named",
    "api_training_clone_create": "A draft with the same options",
    "api_training_checkpoints_list": "A job's checkpoints",
    "api_training_command_retrieve": "How to run the job by hand",
    "api_training_events_retrieve": "What happened, from a place in its history on",
    "api_training_files_list": "The files of a run",
    "api_training_logs_retrieve": "The engine's log",
    "api_training_metrics_retrieve": "The curves, thinned to what a chart can show",
    "api_training_status_retrieve": "Status, progress and last metrics: cheap to ask often",
    "api_models_evaluations_retrieve": "One evaluation",
    "api_training_templates_list": "Templates: the built-in ones, then yours",
    "api_training_templates_create": "Save a template",
    "api_training_templates_retrieve": "One template",
    "api_training_templates_update": "Change a template of yours",
    "api_training_templates_destroy": "Delete a template of yours",
}
TAGS = {
    "auth": "Account",
    "datasets": "Datasets",
    "models": "Models",
    "training": "Training",
    "dashboard": "Dashboard",
    "v1": "OpenAI-compatible",
}


class Schema(AutoSchema):
    """Groups operations by what they are about, and says of a field that is only read that it may be empty, where its column may."""

    def get_tags(self) -> list[str]:
        parts = self.path.strip("/").split("/")
        name = parts[1] if parts[0] == "api" else parts[0]
        return [TAGS.get(name, name)]

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        """The operation's own words. Those of its class are about several, unless it has only this one."""
        action = getattr(self.view, "action", None)
        told = get_doc(getattr(self.view, action or self.method.lower(), None) or object())
        alone = action is None and sum(hasattr(self.view, method) for method in METHODS) == 1
        return told or (get_doc(self.view.__class__) if alone else "")

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        described = super()._map_serializer_field(field, direction, bypass_extensions)
        if described and "enum" in described and _may_be_empty(field):
            described["enum"] = [*described["enum"], ""]
        return described

    def _insert_field_validators(self, field: Any, schema: Any) -> None:
        super()._insert_field_validators(field, schema)
        if _may_be_empty(field):
            schema.pop("format", None)


def _may_be_empty(field: Any) -> bool:
    if not (field.read_only and isinstance(field, (serializers.ChoiceField, serializers.URLField))):
        return False
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    column = next((column for column in model._meta.fields if column.name == field.source), None) if model else None
    return column is not None and column.blank


def _said_in_3_1(schema: Any) -> Any:
    """As OpenAPI 3.1 says it: null is a type (and a choice among others) instead of `nullable`, which 3.1 does not know.

    Anything, or null, is anything: `oneOf: [{}, null]` would refuse null, which is both.
    """
    if isinstance(schema, list):
        return [_said_in_3_1(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("oneOf") == [{}, {"type": "null"}]:
        return {}
    said = {key: _said_in_3_1(value) for key, value in schema.items()}
    if said.get("nullable") is True and isinstance(said.get("type"), str):
        del said["nullable"]
        said["type"] = [said["type"], "null"]
    if isinstance(said.get("type"), list) and "null" in said["type"] and None not in said.get("enum", [None]):
        said["enum"] = [*said["enum"], None]
    return said


def describe_refusals(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A drf-spectacular hook: the refusals each operation can give, and an example where there is one."""
    components = result["components"]
    components["schemas"] = _said_in_3_1(components["schemas"])
    components["schemas"]["Error"] = ERROR
    components["responses"] = {name: _response(words, example) for name, words, example in REFUSALS.values()}
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                _describe(path, method, operations[method])
    return result


def _response(words: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": words, "content": {"application/json": {"schema": schema, "example": example}}}


def _summarise(operation: dict[str, Any]) -> None:
    """A line for the list of operations: what was given, or the description's first sentence."""
    told = operation.get("description", "").strip()
    first, _, rest = told.partition(". ")
    operation.setdefault("summary", SUMMARIES.get(operation["operationId"]) or first.replace("\n", " ").rstrip("."))
    if first and not rest and operation["summary"] == first.replace("\n", " ").rstrip("."):
        del operation["description"]


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    _summarise(operation)
    add_examples(operation)
    body = operation.get("requestBody", {}).get("content", {})
    if example := REQUESTS.get(operation["operationId"]):
        for media, content in body.items():
            if media == "application/json":
                content.setdefault("example", example)
    if path.startswith("/api/"):
        for code in _codes(path, method, operation, body):
            operation["responses"].setdefault(code, {"$ref": f"#/components/responses/{REFUSALS[code][0]}"})


def _codes(path: str, method: str, operation: dict[str, Any], body: dict[str, Any]) -> list[str]:
    """What this operation can be refused with, by what it takes."""
    queried = any(parameter["in"] != "path" for parameter in operation.get("parameters", []))
    codes = {"401", "429"} if path != "/api/schema" else set()
    if body or queried or method != "get":
        codes |= {"400"}
    if "{" in path or queried:  # a page that does not exist
        codes |= {"404"}
    if method != "get":
        codes |= {"403", "409", "503"}
    if body:
        codes |= {"413", "415"}
    if any(word in path for word in ("huggingface", "hub", "preview", "download", "statistics", "spec", "command", "workers")):
        codes |= {"403", "409", "503"}
    return sorted(codes)
