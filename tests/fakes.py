"""Stand-ins for outside systems, with the methods of their doors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from finetune.core import hub
from finetune.core.errors import Invalid
from finetune.core.hub import CachedModel, HubIdentity


@dataclass
class FakeHub:
    """finetune.core.hub without a network: knows some tokens, and some models in its cache."""

    tokens: dict[str, HubIdentity] = field(default_factory=dict)
    models: list[CachedModel] = field(default_factory=list)
    trouble: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def whoami(self, token: str) -> HubIdentity:
        self.asked.append(token)
        if self.trouble:
            raise self.trouble
        if token not in self.tokens:
            raise Invalid("The Hugging Face Hub refused this token.")
        return self.tokens[token]

    def cached_models(self) -> list[CachedModel]:
        return list(self.models)

    def find_cached(self, repo_id: str, revision: str = "") -> CachedModel | None:
        matches = [model for model in self.models if model.repo_id == repo_id and revision in ("", "main", model.revision)]
        return matches[-1] if matches else None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Put it in the door's place for one test."""
        for name in ("whoami", "cached_models", "find_cached"):
            monkeypatch.setattr(hub, name, getattr(self, name))
        return self
