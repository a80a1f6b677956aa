"""Words of the settings pages: which pages there are, and the device behind a User-Agent."""

from __future__ import annotations

import re
from typing import Any

from django import template

from accounts import unread

register = template.Library()

PAGES = [
    ("settings", "Account"),
    ("settings-connections", "Connections"),
    ("settings-new-jobs", "New jobs"),
    ("settings-sessions", "Sign-ins"),
    ("settings-api-keys", "API keys"),
    ("settings-notifications", "Notifications"),
    ("settings-data", "Your data"),
    ("account-delete", "Delete account"),
]
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@register.inclusion_tag("accounts/parts/tabs.html", takes_context=True)
def settings_tabs(context: dict) -> dict:
    """The settings' pages; the one that is shown is marked."""
    here = context["request"].path.removesuffix("/new").removesuffix("/save")  # what a form posts to answers with its page
    return {"settings_pages": PAGES, "here": here}


@register.filter
def device(user_agent: str) -> str:
    """“Firefox on Linux”, or the program's own name, or that nobody knows."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    program = re.match(r"[\w.-]{2,40}", user_agent)
    return program.group() if program else "Unknown device"


@register.simple_tag
def unread_notifications(user: Any) -> int:
    """How many this person has not read."""
    return unread.count(user)
