"""The sample base model: one for each person."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from accounts.models import User
from finetune.core.errors import Invalid
from models_app.models import LanguageModel
from models_app.services.register_sample import register_sample, reserve_sample


def test_reserving_shows_a_model_that_is_being_made(alice: User, charlie: User) -> None:
    model = reserve_sample(owner=alice)
    assert (model.status, model.source, model.kind) == ("downloading", "sample", "base")
    assert reserve_sample(owner=alice) == model
    assert reserve_sample(owner=charlie) != model


@pytest.mark.engine
def test_registering_makes_it_ready_once(alice: User, tiny_dir: Path, tmp_path: Path) -> None:
    made = Path(shutil.copytree(tiny_dir, tmp_path / "made"))
    reserved = reserve_sample(owner=alice)
    model = register_sample(owner=alice, directory=made)
    shutil.rmtree(made)
    assert model.pk == reserved.pk
    assert (model.status, model.architecture, model.is_latest) == ("ready", "LlamaForCausalLM", True)
    assert (model.directory / "model.safetensors").exists()
    assert register_sample(owner=alice, directory=made) == model
    assert LanguageModel.objects.count() == 1


def test_a_failed_sample_can_be_made_again(alice: User) -> None:
    model = reserve_sample(owner=alice)
    model.move("failed", when="downloading")
    assert reserve_sample(owner=alice).status == "downloading"


def test_it_refuses_an_empty_directory_and_changes_nothing(alice: User, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        register_sample(owner=alice, directory=tmp_path)
    assert LanguageModel.objects.get().status == "downloading"
