"""Every page is photographed and judged for accessibility: a new one has to be added to the gallery."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import resolve

from tests.contract.test_private_by_default import filled, routes
from tests.e2e.gallery import Filled, addresses

# Addresses that are no pages to look at: files, fragments of a page, answers for machines, and what only the Hub can fill.
APART = {
    "healthz", "readyz", "metrics", "job-files", "job-estimate", "dataset-outcome", "dataset-diff", "dataset-download", "hub-model",
    "model-latest", "export-download", "settings-data-download", "template-file",
}  # fmt: skip


@pytest.mark.django_db
def test_no_page_is_forgotten(page: Client) -> None:
    shown = {resolve(path.partition("?")[0]).url_name for path in addresses(Filled(*(1,) * 10)).values()}
    paths = [filled(route, 1) for route in sorted(set(routes())) if not route.startswith(("api/", "v1/"))]
    answering = {resolve(path).url_name or path for path in paths if page.get(path).status_code != 405}
    missing = answering - shown - APART
    # Tables as files, and the one help page that stands for all.
    assert {
        name for name in missing if not name.endswith("-csv") and not name.startswith(("help-", "/help/examples/", "/help/images/"))
    } == set()
