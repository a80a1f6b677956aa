"""A finished run becomes the next version of its family."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from django.db import connection

from accounts.models import User
from finetune.core import storage
from finetune.core.errors import Conflict, Invalid
from models_app.models import LanguageModel
from models_app.services.delete_model import delete_model
from models_app.services.register_version import register_version
from tests.factories import make_base_model

pytestmark = pytest.mark.engine  # the outputs are real adapters


def register(owner: User, base: LanguageModel, output: Path, origin: str = "job-1", **values) -> LanguageModel:
    fixed = {"family": "helpdesk", "method": "lora", "adapter": True, "metrics": {"eval_loss": 1.5}}
    return register_version(owner=owner, base_model=base, origin=origin, source_dir=output, **{**fixed, **values})


@pytest.fixture
def base(alice: User) -> LanguageModel:
    return make_base_model(alice, architecture="LlamaForCausalLM", context_length=256, license="apache-2.0")


def test_it_keeps_the_output_and_its_facts(alice: User, base: LanguageModel, adapter_copy: Path) -> None:
    version = register(alice, base, adapter_copy, notes="first try")
    assert (version.status, version.version, version.is_latest, version.name) == ("ready", 1, True, "helpdesk")
    assert (version.kind, version.source, version.method, version.adapter) == ("fine_tuned", "training", "lora", True)
    assert (version.base_model, version.metrics, version.version_notes) == (base, {"eval_loss": 1.5}, "first try")
    assert (version.architecture, version.context_length, version.license) == ("LlamaForCausalLM", 256, "apache-2.0")
    assert version.directory == storage.model_dir(version.pk)
    assert (version.directory / "adapter_model.safetensors").exists()
    assert version.bytes == storage.tree_bytes(version.directory)


def test_the_version_outlives_the_run(alice: User, base: LanguageModel, adapter_copy: Path) -> None:
    version = register(alice, base, adapter_copy)
    shutil.rmtree(adapter_copy)
    assert (version.directory / "adapter_config.json").exists()


def test_the_same_run_again_is_the_same_version(alice: User, base: LanguageModel, adapter_copy: Path) -> None:
    first = register(alice, base, adapter_copy)
    shutil.rmtree(adapter_copy)
    assert register(alice, base, adapter_copy) == first
    assert LanguageModel.objects.filter(family="helpdesk").count() == 1


def test_a_call_that_died_between_row_and_files_is_completed(alice: User, base: LanguageModel, adapter_copy: Path) -> None:
    half = LanguageModel.objects.create(
        owner=alice, name="helpdesk", family="helpdesk", kind="fine_tuned", source="training", status="downloading",
        origin="job-1", base_model=base, adapter=True, is_latest=False,
    )  # fmt: skip
    version = register(alice, base, adapter_copy)
    assert version.pk == half.pk
    assert (version.status, version.is_latest) == ("ready", True)


def test_the_next_run_is_the_next_version_and_the_latest(alice: User, base: LanguageModel, adapter_copy: Path) -> None:
    first = register(alice, base, adapter_copy)
    second = register(alice, base, adapter_copy, "job-2")
    first.refresh_from_db()
    assert (first.version, first.is_latest) == (1, False)
    assert (second.version, second.is_latest) == (2, True)


def test_families_and_people_count_for_themselves(alice: User, charlie: User, base: LanguageModel, adapter_copy: Path) -> None:
    register(alice, base, adapter_copy)
    other_family = register(alice, base, adapter_copy, "job-2", family="poems")
    other_person = register(charlie, make_base_model(charlie), adapter_copy, "job-3")
    assert other_family.version == other_person.version == 1
    assert LanguageModel.objects.filter(is_latest=True, kind="fine_tuned").count() == 3


def test_it_refuses_a_strangers_origin(alice: User, charlie: User, base: LanguageModel, adapter_copy: Path) -> None:
    register(alice, base, adapter_copy)
    with pytest.raises(Conflict):
        register(charlie, make_base_model(charlie), adapter_copy)
    assert not LanguageModel.objects.filter(owner=charlie, kind="fine_tuned").exists()


def test_a_broken_output_leaves_nothing_behind(alice: User, base: LanguageModel, adapter_copy: Path) -> None:
    (adapter_copy / "adapter_model.safetensors").write_bytes(b"torn")
    before = set(storage.model_dir(0).parent.glob("*"))
    with pytest.raises(Invalid, match=r"adapter_model\.safetensors"):
        register(alice, base, adapter_copy)
    with pytest.raises(Invalid, match="left no model"):
        register(alice, base, adapter_copy / "missing")
    assert not LanguageModel.objects.filter(family="helpdesk").exists()
    assert set(storage.model_dir(0).parent.glob("*")) == before
    shutil.rmtree(adapter_copy)


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_get_twenty_numbers(adapter_copy: Path) -> None:
    alice = User.objects.create_user("alice", "alice@example.org")
    base = make_base_model(alice)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            register(alice, base, adapter_copy, f"job-{number}")
        except BaseException as error:  # noqa: BLE001 (reported below)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number % 20,)) for number in range(25)]  # five of them twice
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = LanguageModel.objects.filter(family="helpdesk")
    assert failures == []
    assert sorted(versions.values_list("version", flat=True)) == list(range(1, 21))
    assert set(versions.values_list("status", flat=True)) == {"ready"}
    assert list(versions.filter(is_latest=True).values_list("version", flat=True)) == [20]
    for version in versions:
        delete_model(model=version)
