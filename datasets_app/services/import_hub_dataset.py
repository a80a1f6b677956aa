"""Bring a data set from the Hugging Face Hub."""

from __future__ import annotations

import re

from accounts.limits import refuse_when_full
from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import invalid_field

_REPO = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
_PREFIX = re.compile(r"^(https?://[^/]+/)?(datasets/)?")
SHORT = {"subset": 200, "split": 100, "revision": 200}


def import_hub_dataset(
    *, owner: User, repo_id: str, subset: str = "", split: str = "", revision: str = "", name: str = "", description: str = ""
) -> Dataset:
    """A dataset row at once; its files are downloaded and read in the background, with progress.

    `repo_id` is owner/name or the page's address. Without a split it is train, or all there is; without a revision the default
    branch, whose commit is kept. Refuses a name that can't be one (Invalid), and an owner
    without room (Conflict); what the Hub refuses is in the dataset's report.
    """
    repo = _PREFIX.sub("", repo_id.strip()).split("/tree/")[0].strip("/")
    if not _REPO.fullmatch(repo) or ".." in repo:
        raise invalid_field("repo_id", "A repository's name looks like owner/name.")
    wanted = {"repo_id": repo, "subset": subset.strip(), "split": split.strip(), "revision": revision.strip()}
    for field, longest in SHORT.items():
        if len(wanted[field]) > longest or "\x00" in wanted[field]:
            raise invalid_field(field, f"At most {longest} characters.")
    refuse_when_full(owner)
    short = repo.rpartition("/")[2]
    title = name.strip() or " · ".join(part for part in (short, wanted["subset"], wanted["split"]) if part)
    dataset = Dataset.objects.create(
        owner=owner, name=title[:200], description=description, source_name=f"{short[:200]}.zip", origin=Dataset.Origin.HUB, origin_detail=wanted
    )  # fmt: skip
    ingest.delay_on_commit(dataset.pk)
    return dataset
