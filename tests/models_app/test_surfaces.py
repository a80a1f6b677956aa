"""Lists and details of models, as JSON and as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.hub import CachedModel
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_job, make_version
from tests.fakes import FakeHub

FIELDS = {
    *("id", "name", "kind", "source", "repo_id", "revision", "status", "version", "version_tag", "version_notes", "is_latest"),
    *("family", "base_model", "job", "method", "adapter", "parameters", "architecture", "dtype", "bytes", "license"),
    *("context_length", "metrics", "progress", "error", "ollama_name", "hub_url", "push_status", "push", "created_at"),
}
pytestmark = pytest.mark.usefixtures("fake_hub")


@pytest.fixture
def models(alice: User, charlie: User) -> list[LanguageModel]:
    """A base, two versions of it and a remote base of alice's; one of charlie's."""
    base = make_base_model(alice, name="Sample base")
    old = make_version(alice, base=base, version=1, is_latest=False)
    new = make_version(alice, base=base, version=2, method="lora")
    remote = make_base_model(
        alice, name="Smol", family="acme/smol", repo_id="acme/smol", status="remote", source="hub", parameters=None
    )
    make_base_model(charlie, name="secret of charlie")
    return [base, old, new, remote]


def names(response: Any) -> list[str]:
    return [f"{row['name']} {row['version']}" for row in response.json()["results"]]


def test_the_object_has_the_agreed_fields(api: APIClient, models: list[LanguageModel], alice: User) -> None:
    job = make_job(alice, model=models[0], status="succeeded", output_model=models[2])
    found = api.get(f"/api/models/{models[2].pk}").json()
    assert set(found) == FIELDS
    assert (found["base_model"], found["job"], found["version"]) == (models[0].pk, job.pk, 2)
    assert api.get(f"/api/models/{models[0].pk}").json()["job"] is None


def test_the_list_is_ones_own_newest_first(api: APIClient, models: list[LanguageModel]) -> None:
    assert names(api.get("/api/models")) == ["Smol 1", "tuned 2", "tuned 1", "Sample base 1"]
    assert names(api.get("/api/models/")) == names(api.get("/api/models"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=base", ["Smol 1", "Sample base 1"]),
        ("status=remote", ["Smol 1"]),
        ("family=tuned", ["tuned 2", "tuned 1"]),
        ("family=tuned&is_latest=true", ["tuned 2"]),
        ("is_latest=false", ["tuned 1"]),
        ("search=acme", ["Smol 1"]),
        ("ordering=name&kind=base", ["Sample base 1", "Smol 1"]),
        ("page_size=1&page=2", ["tuned 2"]),
    ],
)
def test_the_list_narrows_sorts_and_pages(api: APIClient, models: list[LanguageModel], query: str, expected: list[str]) -> None:
    assert names(api.get(f"/api/models?{query}")) == expected


@pytest.mark.parametrize("query", ["kind=robot", "status=lost", "is_latest=maybe"])
def test_a_filter_that_cannot_be_is_named(api: APIClient, models: list[LanguageModel], query: str) -> None:
    response = api.get(f"/api/models?{query}")
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [query.split("=")[0]]


def test_versions_are_the_familys_newest_first(api: APIClient, charlie_api: APIClient, models: list[LanguageModel]) -> None:
    assert names(api.get(f"/api/models/{models[1].pk}/versions")) == ["tuned 2", "tuned 1"]
    assert charlie_api.get(f"/api/models/{models[1].pk}/versions").status_code == 404


@pytest.mark.parametrize("pk", ["0", "999999", "99999999999999999999999", "abc"])
def test_what_is_not_there_is_not_found(api: APIClient, page: Client, pk: str) -> None:
    assert api.get(f"/api/models/{pk}").status_code == 404
    assert page.get(f"/models/{pk}").status_code == 404


def test_strangers_see_nothing(charlie_api: APIClient, charlie_page: Client, models: list[LanguageModel]) -> None:
    for model in models:
        assert charlie_api.get(f"/api/models/{model.pk}").status_code == 404
        assert charlie_page.get(f"/models/{model.pk}").status_code == 404
    assert names(charlie_api.get("/api/models")) == ["secret of charlie 1"]
    body = charlie_page.get("/models/").content.decode()
    assert "secret of charlie" in body
    assert not any(f"/models/{model.pk}" in body for model in models)


def test_the_api_lists_without_a_query_for_each_row(
    api: APIClient, models: list[LanguageModel], alice: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(3, 20):
        version = make_version(alice, base=models[0], version=number)
        make_job(alice, model=models[0], dataset=None if number == 3 else alice.datasets.first(), output_model=version)
    with django_assert_max_num_queries(3):
        assert api.get("/api/models").json()["count"] == 21


def test_a_newcomer_is_offered_the_sample_and_a_good_small_model(page: Client) -> None:
    body = page.get("/models/").content.decode()
    assert "No models yet" in body
    assert "Try it with the sample" in body
    assert "Download HuggingFaceTB/SmolLM2-135M-Instruct" in body


def test_models_of_the_hub_cache_are_offered_until_added(page: Client, fake_hub: FakeHub, alice: User, tmp_path: Path) -> None:
    fake_hub.models = [CachedModel("acme/cached", "c" * 40, tmp_path, 12_000_000)]
    assert "acme/cached" in page.get("/models/").content.decode()
    make_base_model(alice, repo_id="acme/cached", revision="c" * 40, family="acme/cached", name="Cached")
    body = page.get("/models/").content.decode()
    assert "No further models found there" in body


def test_the_page_filters_searches_and_gives_htmx_the_table_alone(page: Client, models: list[LanguageModel]) -> None:
    whole = page.get("/models/?kind=base&search=smol").content.decode()
    assert "Smol" in whole
    assert "Sample base" not in whole
    part = page.get("/models/?is_latest=true&ordering=name", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert part.count("<tr>") == 4
    assert "Nothing matches" in page.get("/models/?search=zzz").content.decode()


def test_the_page_looks_again_only_while_something_is_being_made(page: Client, alice: User) -> None:
    model = make_base_model(alice, status="downloading")
    assert "every 2s" in page.get("/models/").content.decode()
    assert "every 2s" in page.get(f"/models/{model.pk}").content.decode()
    LanguageModel.objects.update(status="ready")
    assert "every 2s" not in page.get("/models/").content.decode()
    part = page.get(f"/models/{model.pk}", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "every 2s" not in part


def test_the_detail_shows_what_is_known_and_what_can_be_done(page: Client, models: list[LanguageModel], alice: User) -> None:
    job = make_job(alice, model=models[0], status="succeeded", output_model=models[2])
    LanguageModel.objects.filter(pk=models[2].pk).update(metrics={"eval_loss": 1.25, "note": "text"}, version_tag="prod")
    tuned = page.get(f"/models/{models[2].pk}").content.decode()
    for part in ("tuned v2", "1.2500", "prod", f"/training/{job.pk}", "Compare with the base model", f"/models/{models[1].pk}"):
        assert part in tuned, part
    base = page.get(f"/models/{models[0].pk}").content.decode()
    assert f"/training/new?model={models[0].pk}" in base
    assert "Compare with the base model" not in base
    remote = page.get(f"/models/{models[3].pk}").content.decode()
    assert "/models/hub/download" in remote
    assert "as soon as it is ready" in remote
