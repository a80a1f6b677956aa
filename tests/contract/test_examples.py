"""Every operation shows what it answers: a real answer, recorded by the tests (tests/answers.py), that its own schema accepts."""

from __future__ import annotations

from finetune.core.answers import FILE, MEDIA
from finetune.core.schema import REFUSALS
from tests.answers import document, operations, problem

# Not recorded yet. `make examples` fills them in; none may be added.
WITHOUT = {
    "get /api/auth/modal-tokens 200",
    "get /api/datasets/gates 200",
    "get /api/datasets/mappings/{id} 200",
    "get /api/models/evaluations/{id} 200",
    "get /api/models/evaluations/{id}/compare 200",
    "get /api/models/evaluations/{id}/samples 200",
    "get /api/models/huggingface/info/{repo_id} 200",
    "get /api/models/ollama/copies/{id} 200",
    "get /api/models/{id}/evaluations 200",
    "get /api/models/{id}/exports/{export} 200",
    "get /api/models/{id}/ollama-copies 200",
    "get /api/models/{id}/version-compare 200",
    "post /api/auth/modal-tokens/validate 200",
    "post /api/auth/trackers/{kind} 200",
    "post /api/models/comparisons 201",
    "post /api/models/evaluations/{id}/cancel 202",
    "post /api/models/{id}/evaluations 202",
    "post /api/models/{id}/export 202",
    "post /api/models/{id}/import-ollama 202",
    "post /api/models/{id}/push-hf 202",
    "post /api/training/cloud/prices 200",
    "post /api/training/queue/pause 200",
}


def test_every_success_has_an_example_that_is_true_to_its_schema() -> None:
    found = []
    for path, method, told in operations():
        for code, answer in told["responses"].items():
            for media, content in answer.get("content", {}).items() if code < "3" else ():
                name, example = f"{method} {path} {code}", content.get("example")
                if example is None and name not in WITHOUT:
                    found.append(f"{name} {media} has no example: run `make examples`")
                elif example is not None and (wrong := problem(content["schema"], example)):
                    found.append(f"{name}: {wrong}")
                elif example is not None and name in WITHOUT and media == MEDIA:
                    found.append(f"{name} has one: take it out of WITHOUT")
    assert found == []


def test_refusals_have_examples_of_one_shape() -> None:
    shared = document()["components"]["responses"]
    assert {name for name, _, _ in REFUSALS.values()} == set(shared)
    for answer in shared.values():
        content = answer["content"]["application/json"]
        assert problem(content["schema"], content["example"]) == ""
        assert {"detail", "code"} <= set(content["example"])
    for path, method, told in operations():
        refused = [code for code in told["responses"] if code >= "4"]
        assert "401" in refused or path == "/api/schema", (method, path)


def test_nothing_of_a_machine_and_no_secret_is_in_them() -> None:
    text = FILE.read_text()
    for word in ("/tmp/", "/home/", "/root/", "pytest", "eyJhbGciOiJ", "passphrase"):
        assert word not in text, word
