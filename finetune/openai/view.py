"""What the views of /v1 share: OpenAI's errors, its lists with cursors, the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from finetune.core.errors import invalid_field
from finetune.openai.errors import openai_errors

MOST = 100
LIMIT = OpenApiParameter("limit", int, description=f"How many, {MOST} at most.", default=20)
AFTER = OpenApiParameter("after", str, description="The id of the last one you have seen.")


class AlwaysJson(DefaultContentNegotiation):
    """JSON whatever is accepted, as OpenAI's server answers."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class OpenAIView(APIView):
    """A view of /v1."""

    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJson

    def get_exception_handler(self) -> Callable:
        return openai_errors

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    def parsed(self, shape: type[serializers.Serializer], known: dict[str, str] | None = None) -> dict[str, Any]:
        """The body in this shape; Invalid naming what it does not know, instead of leaving it out without a word.

        `known`: what OpenAI has and we have not → where it is done here.
        """
        data: Any = self.request.data
        form = shape(data=data)
        form.is_valid(raise_exception=True)
        for name in data:
            if name not in form.fields and data[name] not in (None, [], {}, ""):
                words = (known or {}).get(name)
                unknown = f"This server does not know “{name[:60]}”. Leave it out."
                raise invalid_field(name, words or unknown, code="unsupported_parameter" if words else "unknown_parameter")
        return form.validated_data


def whole(request: Request, name: str, default: int, most: int) -> int:
    """A number of the query string, from 1 up to `most`."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= most):
        raise invalid_field(name, f"Must be a whole number from 1 to {most}.")
    return int(text)


def listed(
    request: Request, rows: QuerySet, shown: Callable[[Any], dict[str, Any]], cursor: Callable[[str], int | None]
) -> Response:
    """A page of `rows`, newest first unless `?order=asc`, after the row whose id is `?after=`."""
    limit, order = whole(request, "limit", 20, MOST), request.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid_field("order", "Choose asc or desc.")
    rows = rows.order_by("pk" if order == "asc" else "-pk")
    if after := request.query_params.get("after"):
        pk = cursor(after)
        if pk is None:
            raise invalid_field("after", f"“{after[:60]}” is no id of this list.")
        rows = rows.filter(**{"pk__gt" if order == "asc" else "pk__lt": pk})
    return page_of([shown(row) for row in rows[: limit + 1]], limit)


def page_of(found: list[dict[str, Any]], limit: int) -> Response:
    """OpenAI's list object; `found` has one more than asked when there is more."""
    data = found[:limit]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return Response({"object": "list", "data": data, "has_more": len(found) > limit, **ends})
