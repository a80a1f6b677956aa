"""{% ollama_card %}: the person's Ollama server on the settings page of connections, without asking it."""

from __future__ import annotations

from django import template

from models_app.ollama_forms import ServerForm
from models_app.services.describe_ollama import server_of

register = template.Library()


@register.inclusion_tag("models/parts/ollama_card.html", takes_context=True)
def ollama_card(context: dict) -> dict:
    """Its address and a button that asks it."""
    url = server_of(context["user"])
    return {"url": url, "form": ServerForm(initial={"server": url}), "csrf_token": context.get("csrf_token")}
