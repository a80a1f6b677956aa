"""The words and numbers templates show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.template import engines
from django.test import RequestFactory
from django.utils import timezone

from finetune.core.templatetags import ui


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0 B"), (999, "999 B"), (1_234, "1.2 kB"), (250_000_000, "250 MB"), (3.2e13, "32.0 TB"), ("", "–")]
)
def test_sizes_are_decimal_and_short(value: object, words: str) -> None:
    assert ui.size(value) == words


@pytest.mark.parametrize(("value", "words"), [(1_234, "1,234"), (134_515_008, "134.5M"), (7e9, "7.0B"), (None, "–")])
def test_counts_are_compact(value: object, words: str) -> None:
    assert ui.compact(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(4, "4 s"), (192, "3 min 12 s"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h"), (None, "–")]
)
def test_durations_have_two_units_at_most(seconds: object, words: str) -> None:
    assert ui.duration(seconds) == words


def test_a_time_is_relative_with_the_absolute_on_hover() -> None:
    moment = timezone.now() - timedelta(minutes=5, seconds=30)
    text = ui.ago(moment)
    assert ">5 min ago</time>" in text
    assert f'title="{moment:%Y-%m-%d %H:%M:%S} UTC"' in text


@pytest.mark.parametrize(
    ("status", "phase", "badge"),
    [
        ("running", "evaluating", '<span class="badge badge-run">Evaluating</span>'),
        ("succeeded", "evaluating", '<span class="badge badge-ok">Succeeded</span>'),
        ("something_new", "", '<span class="badge badge-idle">Something new</span>'),
    ],
)
def test_a_status_becomes_a_badge(status: str, phase: str, badge: str) -> None:
    assert ui.status_badge(status, phase) == badge


def render(template: str, path: str = "/", /, **context: object) -> str:
    return engines["django"].from_string(template).render(context, RequestFactory().get(path))


def test_a_badge_needs_no_phase() -> None:
    assert "Ready" in render('{% include "components/status.html" with status=status %}', status="ready")


@pytest.mark.parametrize(("path", "current"), [("/datasets/7", True), ("/datasets/", True), ("/models/", False), ("/", False)])
def test_the_navigation_marks_where_one_is(path: str, current: bool) -> None:
    link = render('{% nav_link "datasets" "Datasets" "database" %}', path)
    assert ('aria-current="page"' in link) is current


def test_home_is_current_on_home_only() -> None:
    assert 'aria-current="page"' in render('{% nav_link "home" "Home" "home" %}', "/")
    assert 'aria-current="page"' not in render('{% nav_link "home" "Home" "home" %}', "/datasets/")


def test_a_query_string_keeps_the_filters() -> None:
    assert render("{% query page=3 %}", "/datasets/?search=cats&page=2") == "?search=cats&amp;page=3"
    assert render("{% query page=None %}", "/datasets/?page=2") == "?"


def test_what_a_user_typed_is_never_markup() -> None:
    assert "<b>" not in render('{% include "components/toast.html" with level="error" text=text %}', text="<b>")
    assert "<b>" not in ui.status_badge("<b>")


def test_options_of_a_select_are_escaped_and_one_is_chosen() -> None:
    shown = ui.options([(1, "<b>one</b>"), (2, "two")], "2")
    assert shown == '<option value="1">&lt;b&gt;one&lt;/b&gt;</option><option value="2" selected>two</option>'


def test_a_forms_select_is_written_as_django_writes_it() -> None:
    groups = [("", "none"), ("Group", [(1, "o<e"), (2, "two")])]
    field = forms.Form()
    field.fields["x"] = forms.ChoiceField(choices=groups, initial=2, widget=forms.Select(attrs={"class": "wide"}))
    ours = str(field["x"])
    field.renderer = DjangoTemplates()
    assert " ".join(ours.split()) == " ".join(str(field["x"]).split())
