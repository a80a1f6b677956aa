"""Models on machines that share a bucket: asked for on one, read on the one that answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from finetune.core import bucket, storage, store
from finetune.core.errors import Conflict, Unavailable
from models_app.answering import weights_at
from models_app.models import LanguageModel
from models_app.ollama_kinds import route_of
from models_app.services.try_prompt import checkpoint_weights, weights_of
from tests.factories import make_base_model, make_job, make_version

On = Callable[[str], Path]


@pytest.fixture
def published(on: On, alice: User, tiny_dir: Path, adapter_dir: Path) -> LanguageModel:
    """A version and its base, made on another machine than the web's, where we are."""
    on("worker")
    base = make_base_model(alice)
    version = make_version(alice, base=base)
    for model, source in ((base, tiny_dir), (version, adapter_dir)):
        store.publish(Path(shutil.copytree(source, storage.model_dir(model.pk))))
    on("web")
    return version


def test_looking_at_a_model_and_asking_it_bring_no_weights_to_the_web(
    published: LanguageModel, page: Client, on: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*values: object) -> None:
        raise Unavailable("The shared store does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(bucket, "get", silent)
        shown = page.get(f"/models/{published.pk}").content.decode()
        assert "Merge the adapter into its base" in shown and "of memory" not in shown
        places = weights_of(published)
        assert not (on("web") / "models").exists()
    weights = weights_at(places)
    assert (Path(weights.base) / "config.json").exists() and (Path(str(weights.adapter)) / "adapter_config.json").exists()
    assert "of memory" in page.get(f"/models/{published.pk}").content.decode()


def test_the_pages_of_exports_and_ollama_read_a_configuration_and_no_more(published: LanguageModel, page: Client, on: On) -> None:
    assert "GGUF f16" in page.get(f"/models/{published.pk}/exports").content.decode()
    assert route_of(published, "adapter") == "adapter"
    assert page.get(f"/models/{published.pk}/lineage").status_code == 200
    assert not (on("web") / "models").exists()


def test_a_checkpoint_of_another_machine_is_told_by_what_was_published(published: LanguageModel, alice: User, on: On) -> None:
    job = make_job(alice, model=published.base_model)
    for machine, step, source in (("worker", 4, published), ("worker", 8, published.base_model)):
        folder = on(machine) / "runs" / str(job.pk) / "1" / "checkpoints" / f"checkpoint-{step}"
        store.publish(Path(shutil.copytree(source.place, folder)))
    on("web")
    name = f"runs/{job.pk}/1/checkpoints/checkpoint-"
    base = f"models/{published.base_model.pk}"
    assert checkpoint_weights(job.pk, 4, published.base_model) == {"base": base, "adapter": f"{name}4"}
    assert checkpoint_weights(job.pk, 8, published.base_model) == {"base": f"{name}8", "adapter": None}
    assert not (on("web") / "runs").exists()


def test_a_model_that_nobody_has_is_missing(published: LanguageModel) -> None:
    storage.remove_tree(storage.model_dir(published.base_model.pk))
    with pytest.raises(Conflict, match="not on this machine"):
        weights_of(published)
