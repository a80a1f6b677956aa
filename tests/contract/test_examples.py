"""Every operation shows what it answers: a real answer, recorded by the tests (tests/answers.py), that its own schema accepts."""

from __future__ import annotations

from finetune.core.answers import FILE
from finetune.core.schema import REFUSALS
from tests.answers import document, operations, problem


def test_every_success_has_an_example_that_is_true_to_its_schema() -> None:
    found = []
    for path, method, told in operations():
        for code, answer in told["responses"].items():
            for media, content in answer.get("content", {}).items() if code < "3" else ():
                name, example = f"{method} {path} {code}", content.get("example")
                if example is None:
                    found.append(f"{name} {media} has no example: run `make examples`")
                elif wrong := problem(content["schema"], example):
                    found.append(f"{name}: {wrong}")
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
    for word in ("/tmp/", "/home/", "/root/", "pytest", "eyJhbGciOiJ", "passphrase", "EPYC", "Xeon", "Ryzen", "Apple M"):
        assert word not in text, word
