"""Side by side: who is who stays with the server until the vote; votes are counted and become rows to learn from."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import Conflict
from models_app.models import Comparison, LanguageModel
from models_app.services.collect_preferences import collect_preferences, rows_of
from models_app.services.compare_sources import compare_sources
from models_app.services.count_wins import count_wins
from models_app.services.try_prompt import Params, follow, generate
from models_app.services.vote_comparison import vote_comparison
from tests.factories import make_dataset, make_version
from tests.models_app.test_consumers import connect

HELLO = [{"role": "user", "content": "Say hello"}]
GREEDY = Params(max_new_tokens=8, temperature=0)


def answered(owner: User, vote: str = "", *, blind: bool = True, names: str = "one two", **values: Any) -> Comparison:
    """A comparison whose models have answered, without asking them."""
    sides = [
        {"side": side, "ref": f"model-{at}", "name": name, "family": name.split(".")[0], "model_id": None}
        for at, (side, name) in enumerate(zip("ABCD", names.split(), strict=False), 1)
    ]
    facts = {"thinking": "", "tokens": 2, "tokens_per_second": 7.5, "stop_reason": "stop"}
    outputs = {side["side"]: {"text": f"answer of {side['side']}", **facts} for side in sides}
    values = {"outputs": outputs, **values}
    return Comparison.objects.create(
        owner=owner, messages=HELLO, params={"temperature": 0}, blind=blind, sides=sides, vote=vote, **values
    )


@pytest.mark.engine
def test_a_blind_comparison_tells_nothing_but_the_text(
    alice: User, api: APIClient, page: Client, base: LanguageModel, version: LanguageModel, django_capture_on_commit_callbacks: Any
) -> None:
    refs = [f"model-{version.pk}", f"model-{base.pk}"]
    with django_capture_on_commit_callbacks():
        made, request_id = compare_sources(owner=alice, sources=refs, messages=HELLO, params=GREEDY, blind=True)
    generate(request_id)
    found = list(follow(request_id=request_id))
    assert found[0] == {"type": "started", "models": ["A", "B"], "comparison": made.pk}
    assert {json.dumps(sorted(message)) for message in found if message["type"] == "done"} == {
        '["model_id", "stop_reason", "type"]'
    }
    told = api.get(f"/api/models/comparisons/{made.pk}").json()
    assert [side["text"] for side in told["sides"]] == [
        "".join(m["text"] for m in found if m["type"] == "token" and m["model_id"] == side) for side in "AB"
    ]
    shown = page.get(f"/models/comparisons/{made.pk}").content.decode()
    for secret in ("tuned", "tiny-base", *refs, "tokens/s"):
        assert secret not in json.dumps(told)
        assert secret not in shown
    revealed = api.post(f"/api/models/comparisons/{made.pk}/vote", {"vote": "B"}).json()
    assert {side["source"] for side in revealed["sides"]} == set(refs)
    made.refresh_from_db()
    first = {f"model-{version.pk}": version, f"model-{base.pk}": base}[made.sides[0]["ref"]]
    assert revealed["sides"][0]["model_id"] == first.pk
    assert made.outputs["A"]["tokens"] > 0


@pytest.mark.engine
def test_a_side_that_cannot_answer_fails_alone(
    alice: User, api: APIClient, page: Client, base: LanguageModel, version: LanguageModel, django_capture_on_commit_callbacks: Any
) -> None:
    third = make_version(alice, base=base, name="torn", family="torn")
    shutil.copytree(version.directory, third.directory)
    (third.directory / "adapter_model.safetensors").write_bytes(b"torn")
    refs = [f"model-{model.pk}" for model in (third, base, version)]
    with django_capture_on_commit_callbacks():
        made, request_id = compare_sources(owner=alice, sources=refs, messages=HELLO, params=GREEDY, blind=True)
    generate(request_id)
    (failed,) = [message for message in follow(request_id=request_id) if message["type"] == "failed"]
    assert "loaded" not in failed["message"], "the reason may tell who it is"
    url, side = f"/api/models/comparisons/{made.pk}", failed["model_id"]
    told = {each["side"]: each for each in api.get(url).json()["sides"]}
    assert [name for name, each in told.items() if each["failed"]] == [side]
    assert told[side]["error"] is None
    shown = page.get(f"/models/comparisons/{made.pk}").content.decode()
    best = next(name for name in told if name != side)
    assert (f"{best} is best" in shown, f"{side} is best" in shown) == (True, False)
    assert list(api.post(f"{url}/vote", {"vote": side}).json()["fields"]) == ["vote"]
    revealed = {each["side"]: each for each in api.post(f"{url}/vote", {"vote": best}).json()["sides"]}
    assert "could not be loaded" in revealed[side]["error"]
    assert {name for row in count_wins(owner=alice)["pairs"] for name in (row["a"], row["b"])} == {str(base), str(version)}


def test_with_one_answer_there_is_nothing_to_vote_on_and_nothing_to_hide(alice: User, page: Client) -> None:
    made = answered(alice)
    made.sides[0]["failed"] = True
    made.outputs["A"] |= {"error": "Its weights are torn."}
    made.save()
    with pytest.raises(Conflict):
        vote_comparison(comparison=made, vote="B")
    assert "A · one" in page.get(f"/models/comparisons/{made.pk}").content.decode()
    told = page.get(f"/models/comparisons/{made.pk}", headers={"HX-Request": "true"}).content.decode()
    assert 'data-side-name="one"' in told and "Its weights are torn." in told and "<html" not in told


def test_a_blind_order_is_drawn_anew(alice: User, base: LanguageModel, version: LanguageModel) -> None:
    refs = [f"model-{version.pk}", f"model-{base.pk}"]
    orders = set()
    for _ in range(40):
        made, _ = compare_sources(owner=alice, sources=refs, messages=HELLO, params=GREEDY, blind=True)
        orders.add(made.sides[0]["ref"])
    assert orders == set(refs)
    made, _ = compare_sources(owner=alice, sources=refs, messages=HELLO, params=GREEDY)
    assert [side["ref"] for side in made.sides] == refs


@pytest.mark.django_db(transaction=True)
@pytest.mark.engine
async def test_it_streams_over_a_socket_and_the_api_waits_for_all(
    inference_worker: None, alice: User, api: APIClient, base: LanguageModel, version: LanguageModel
) -> None:
    socket: WebsocketCommunicator = connect("/ws/compare", alice)
    await socket.connect()
    body = {"sources": [f"model-{version.pk}", f"model-{base.pk}"], "prompt": "Say hello", "max_new_tokens": 6, "temperature": 0}
    await socket.send_json_to(body)
    found = []
    while not found or found[-1]["type"] not in ("end", "error"):
        found.append(await socket.receive_json_from(60))
    assert found[-1] == {"type": "end"}
    tokens = [message["model_id"] for message in found if message["type"] == "token"]
    assert tokens != sorted(tokens), "the answers come together"
    made = await Comparison.objects.aget(pk=found[0]["comparison"])
    assert made.is_answered
    await socket.send_json_to({**body, "sources": ["model-1"]})
    assert list((await socket.receive_json_from(5))["fields"]) == ["sources"]
    await socket.disconnect()
    told = await sync_to_async(api.post)("/api/models/comparisons", body)
    assert (told.status_code, [side["text"] for side in told.data["sides"]]) == (201, [made.outputs[side]["text"] for side in "AB"])


@pytest.mark.parametrize(
    "sources", [[], ["model-1"], ["model-1", "model-1"], ["model-1", "job-1-step-1"], ["x", "y"], ["model-1"] * 5]
)
def test_what_cannot_be_compared(sources: list[str], api: APIClient, base: LanguageModel) -> None:
    named = [ref.replace("model-1", f"model-{base.pk}") for ref in sources]
    refused = api.post("/api/models/comparisons", {"sources": named, "prompt": "a"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["sources"])
    assert Comparison.objects.count() == 0


def test_what_can_be_compared_is_listed(api: APIClient, page: Client, base: LanguageModel, version: LanguageModel) -> None:
    rows = api.get("/api/models/comparisons/sources").json()
    assert [(row["source"], row["group"]) for row in rows] == [
        (f"model-{version.pk}", "Versions"),
        (f"model-{base.pk}", "Base models"),
    ]
    shown = page.get(f"/models/side-by-side?source=model-{base.pk}&source=model-{version.pk}&prompt=Hello+there").content.decode()
    assert "Hello there" in shown
    refused = page.post("/models/side-by-side", {"prompt": "a", "temperature": 0, "max_new_tokens": 4,
                                           "source_a": f"model-{base.pk}", "source_b": f"model-{base.pk}"})  # fmt: skip
    assert refused.status_code == 422
    assert "each of them once" in refused.content.decode()


def test_one_vote_each(alice: User, api: APIClient, page: Client) -> None:
    made = answered(alice)
    url = f"/api/models/comparisons/{made.pk}/vote"
    assert list(api.post(url, {"vote": "C"}).json()["fields"]) == ["vote"]
    shown = page.post(f"/models/comparisons/{made.pk}/vote", {"vote": "A"}, headers={"HX-Request": "true"}).content.decode()
    assert "A is best" in shown
    assert 'data-side-name="one"' in shown
    assert api.post(url, {"vote": "B"}).status_code == 409
    silent = answered(alice, outputs={})
    with pytest.raises(Conflict):
        vote_comparison(comparison=silent, vote="A")


def test_wins_are_counted_by_pair_and_family(alice: User, charlie: User, api: APIClient, page: Client) -> None:
    answered(alice, "A", names="fam.1 base")
    answered(alice, "B", names="base fam.1")
    answered(alice, "B", names="fam.1 base")
    answered(alice, "tie", names="fam.1 base")
    answered(alice, "A", names="fam.2 base fam.1")  # the two that lost say nothing about each other
    answered(alice, "", names="fam.1 base")
    answered(charlie, "A", names="fam.1 base")
    found = count_wins(owner=alice)
    first = found["pairs"][0]
    assert (first["a"], first["b"], first["wins_a"], first["wins_b"], first["ties"], first["rate_a"]) == (
        "base",
        "fam.1",
        1,
        2,
        1,
        0.375,
    )
    assert {(row["a"], row["b"], row["votes"]) for row in found["pairs"][1:]} == {("base", "fam.2", 1), ("fam.1", "fam.2", 1)}
    assert [(row["a"], row["b"], row["wins_b"], row["votes"]) for row in found["families"]] == [("base", "fam", 3, 5)]
    assert api.get("/api/models/comparisons/win-rates").json() == found
    assert "fam.1" in page.get("/models/comparisons").content.decode()


def test_a_vote_becomes_rows(alice: User) -> None:
    made = answered(alice, "B", names="one two three")
    assert rows_of(made) == [
        {"prompt": HELLO, "chosen": [{"role": "assistant", "content": "answer of B"}],
         "rejected": [{"role": "assistant", "content": f"answer of {side}"}]} for side in "AC"
    ]  # fmt: skip
    same = {"A": {"text": "yes"}, "B": {"text": "yes"}}
    assert rows_of(answered(alice, "A", outputs=same)) == []
    assert rows_of(answered(alice, "tie")) == []


def test_votes_are_collected_into_a_dataset_and_its_next_version(alice: User, api: APIClient, page: Client) -> None:
    first, second = answered(alice, "A"), answered(alice, "B")
    answered(alice, "none")
    told = api.post("/api/models/comparisons/preferences", {"name": "votes", "comparison": first.pk})
    assert told.status_code == 201
    dataset = Dataset.objects.get(pk=told.json()["id"])
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.kind, dataset.rows, dataset.version) == ("ready", "preference", 1, 1)
    shown = page.post("/models/comparisons/collect", {"dataset": dataset.pk, "name": ""})
    assert shown.status_code == 302
    after = Dataset.objects.get(family=dataset.family, version=2)
    ingest(after.pk)
    after.refresh_from_db()
    assert (after.status, after.rows, after.origin_detail["added"], "rows" in after.origin_detail) == ("ready", 2, 1, False)
    assert [line["chosen"][0]["content"] for line in map(json.loads, after.original_file.read_text().splitlines())] == [
        "answer of A",
        "answer of B",
    ]
    dataset.refresh_from_db()
    assert dataset.rows == 1
    second.refresh_from_db()
    assert second.kept_in == after
    again = api.post("/api/models/comparisons/preferences", {"name": "more"})
    assert (again.status_code, list(again.json()["fields"])) == (400, ["comparison"])


def test_where_rows_cannot_go(alice: User, charlie: User, api: APIClient) -> None:
    answered(alice, "A")
    for body, field in (
        ({}, "name"),
        ({"dataset": make_dataset(alice).pk}, "dataset"),
        ({"dataset": make_dataset(charlie, kind="preference").pk}, "dataset"),
        ({"name": "x", "comparison": answered(charlie, "A").pk}, "comparison"),
    ):
        refused = api.post("/api/models/comparisons/preferences", body)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [field]), body
    assert not Comparison.objects.exclude(kept_in=None).exists()
    with pytest.raises(Exception, match="no vote"):
        collect_preferences(owner=alice, comparison=answered(alice, "tie"), name="x")


def test_strangers_see_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    made = answered(alice)
    assert charlie_api.get(f"/api/models/comparisons/{made.pk}").status_code == 404
    assert charlie_api.post(f"/api/models/comparisons/{made.pk}/vote", {"vote": "A"}).status_code == 404
    assert charlie_page.get(f"/models/comparisons/{made.pk}").status_code == 404
    for verb in ("vote", "collect"):
        assert charlie_page.post(f"/models/comparisons/{made.pk}/{verb}", {"vote": "A", "name": "x"}).status_code == 404
    assert charlie_api.get("/api/models/comparisons").json()["results"] == []
    made.refresh_from_db()
    assert made.vote == ""
