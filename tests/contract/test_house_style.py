"""Sizes and names: a file one can read in a sitting, a verb one can find by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from training.engine.spec import config_fields

ROOT: Path = settings.BASE_DIR
PACKAGES = ("finetune", "accounts", "datasets_app", "models_app", "training", "celery_worker")
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_outgrows_a_head() -> None:
    everything = [
        *sources(),
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "static").glob("*.js"),
        *(ROOT / "tests").rglob("*.py"),
    ]
    sizes = {relative(path): len(path.read_text().splitlines()) for path in everything}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_LINES} == {}


def test_no_function_outgrows_a_screen() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{relative(path)}:{node.name}"] = lines
    assert long == {}


def verbs() -> list[Path]:
    return [path for path in sources() if path.parent.name == "services" and path.name != "__init__.py"]


@pytest.mark.parametrize("path", verbs(), ids=relative)
def test_a_verbs_module_defines_the_verb_with_keyword_arguments_and_a_docstring(path: Path) -> None:
    functions = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert path.stem in functions, f"{relative(path)} should define {path.stem}()"
    verb = functions[path.stem]
    assert not verb.args.args or verb.decorator_list, "a verb takes keyword-only arguments"
    assert ast.get_docstring(verb), "a verb says what goes in, what comes out and what it refuses"


@pytest.mark.parametrize("path", list(sources()), ids=relative)
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    trivial = path.name in {"__init__.py", "apps.py", "manage.py"} or "commands" in path.parts
    assert trivial or ast.get_docstring(tree), f"{relative(path)} has no docstring"


def test_every_option_explains_itself() -> None:
    for item in config_fields():
        rules = item.metadata
        assert rules["help"].endswith("."), item.name
        assert rules["group"], item.name
        bounded = rules["min"] is not None or rules["above"] is not None
        assert bounded or rules["choices"] or item.type in {"bool", "bool | None", "list[str]", "str", "str | None"}, item.name


def test_there_is_no_utils_module() -> None:
    assert [relative(path) for path in sources() if path.stem in {"utils", "helpers", "misc"}] == []


# Beat's task: it runs in no transaction and wakes workers for rows that were committed long ago.
WITHOUT_TRANSACTION = {"training/services/reconcile_jobs.py"}


def test_tasks_are_queued_after_commit() -> None:
    """A bare .delay() inside a transaction could reach a worker before its row exists."""
    offenders = [
        f"{relative(path)}:{number}"
        for path in sources()
        if path.parts[len(ROOT.parts)] != "celery_worker" and relative(path) not in WITHOUT_TRANSACTION
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ".delay(" in line or ".apply_async(" in line
    ]
    assert offenders == []
