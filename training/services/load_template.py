"""A template from a file."""

from __future__ import annotations

from pathlib import PurePath

from accounts.models import User
from training.models import JobTemplate
from training.recipes import Recipe, read_recipe
from training.services.save_template import DESCRIPTION_LENGTH, save_template
from training.template_list import free_name


def load_template(*, owner: User, content: bytes, filename: str) -> JobTemplate:
    """A new template of `owner` from a file of ours, LLaMA-Factory's or Axolotl's. Its name gets a number where it is taken; what a
    template can't say (model, data, folders, options that aren't here) is named in its description.

    Invalid: `file` for what is none of these, else what save_template refuses.
    """
    recipe = read_recipe(content)
    name = recipe.name or PurePath(filename).stem[:190] or "template"
    description = recipe.description or _origin(recipe)
    return save_template(
        owner=owner, name=free_name(owner, name), method=recipe.method, config=recipe.config, description=description
    )


def _origin(recipe: Recipe) -> str:
    if not recipe.program:
        return ""
    words = f"From a {recipe.program} file."
    for number in range(len(recipe.left_out), 0, -1):
        more = len(recipe.left_out) - number
        rest = f" and {more} more" if more else ""
        full = f"{words} Not taken: {', '.join(recipe.left_out[:number])}{rest}."
        if len(full) <= DESCRIPTION_LENGTH:
            return full
    return words
