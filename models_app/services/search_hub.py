"""Search the Hugging Face Hub for models."""

from __future__ import annotations

from typing import Any

from accounts.stored_token import stored_token
from finetune.core import hub_models
from finetune.core.errors import invalid_field
from finetune.core.hub_models import SORTS, Wanted
from models_app.hub_configs import read_configs
from models_app.hub_view import Shown, show

# What people can choose as a size → the Hub's own filter.
SIZES = {
    "under-500m": "max:500M",
    "500m-2b": "min:500M,max:2B",
    "2b-5b": "min:2B,max:5B",
    "5b-10b": "min:5B,max:10B",
    "10b-40b": "min:10B,max:40B",
    "over-40b": "min:40B",
}
MAX_LIMIT = 100
DEEPEST = 1000  # results that can be paged through
TEXTS = ("q", "task", "license", "library", "author")


def search_hub(
    *, owner: Any, q: str = "", limit: int = 20, page: int = 1, sort: str = "downloads", task: str = "", size: str = "",
    license: str = "", library: str = "", author: str = "",
) -> tuple[list[Shown], bool]:  # fmt: skip
    """One page of results, best first, and whether there are more; private ones too where the owner's token may see them.

    Refuses (Invalid, naming the field) a sort or size that does not exist, a limit outside 1–100, a page beyond the 1000th result;
    Unavailable when the Hub does not answer.
    """
    _check(limit, page, sort, size, {"q": q, "task": task, "license": license, "library": library, "author": author})
    wanted = Wanted(q.strip(), sort, task.strip(), SIZES.get(size, ""), license.strip(), library.strip(), author.strip())
    skip = (page - 1) * limit
    token = stored_token(owner)
    found = hub_models.search_models(wanted, limit=limit + 1, skip=skip, token=token)
    shown = found[:limit]
    return show(owner, shown, read_configs(owner, shown, token=token)), len(found) > limit and skip + 2 * limit <= DEEPEST


def _check(limit: int, page: int, sort: str, size: str, texts: dict[str, str]) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid_field("limit", f"Between 1 and {MAX_LIMIT}.")
    if page < 1 or page * limit > DEEPEST:
        raise invalid_field("page", f"Only the first {DEEPEST} results can be paged through. Narrow the search.")
    if sort not in SORTS:
        raise invalid_field("sort", f"Choose one of: {', '.join(SORTS)}.")
    if size and size not in SIZES:
        raise invalid_field("size", f"Choose one of: {', '.join(SIZES)}.")
    for field, text in texts.items():
        if len(text) > 200 or "\x00" in text:
            raise invalid_field(field, "At most 200 characters.")
