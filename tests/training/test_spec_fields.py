"""Every surface knows exactly the options of the engine's spec."""

from __future__ import annotations

from accounts.models import User
from training.engine.options import GROUPS
from training.engine.spec import METHODS, config_fields
from training.forms import JobForm
from training.spec_fields import describe_fields, form_text, form_value, openapi_schema

NAMES = [item.name for item in config_fields()]


def test_the_schema_and_the_catalogue_name_every_option_and_explain_it() -> None:
    assert list(openapi_schema()["properties"]) == NAMES
    for method in METHODS:
        options = describe_fields(method)
        assert [option["name"] for option in options] == [item.name for item in config_fields(method)]
        assert all(option["help"] and option["group"] in GROUPS for option in options)


def test_the_form_shows_every_option_that_means_something_to_the_method(alice: User) -> None:
    for method in METHODS:
        form = JobForm(owner=alice, method=method)
        shown = {field.name for field in form.simple()} | {field.name for _, fields in form.advanced() for field in fields}
        assert shown == {item.name for item in config_fields(method)}
        assert not form.advanced_is_open()


def test_prompts_are_one_a_line_and_words_are_words() -> None:
    options = {item["name"]: item for item in describe_fields("lora")}
    prompts = form_value(options["sample_prompts"], "What is tea?\n\n Say hello, please. \n")
    assert prompts == ["What is tea?", "Say hello, please."]
    assert form_value(options["sample_prompts"], form_text(prompts, "sample_prompts")) == prompts
    names = form_value(options["lora_target_modules"], "q_proj, v_proj")
    assert form_value(options["lora_target_modules"], form_text(names, "lora_target_modules")) == names == ["q_proj", "v_proj"]
