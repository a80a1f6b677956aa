"""The table of options in the docs is what the engine knows."""

from __future__ import annotations

from django.conf import settings

from training.engine.__main__ import main
from training.engine.option_table import markdown, plain
from training.engine.spec import METHODS, config_fields


def test_the_table_in_the_docs_is_up_to_date(capsys) -> None:
    assert main(["options", "--markdown"]) == 0
    assert capsys.readouterr().out == (settings.BASE_DIR / "docs" / "hyperparameters.md").read_text(), (
        "run: python -m training.engine options --markdown > docs/hyperparameters.md"
    )


def test_it_leaves_nothing_out() -> None:
    for text in (markdown(), plain()):
        assert all(item.name in text for item in config_fields())
    assert all(f"| `{method}` |" in markdown() for method in METHODS)
