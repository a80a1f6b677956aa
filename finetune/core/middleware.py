"""Small HTTP rules that hold for the whole product."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

from finetune.core.errors import refusal_in

CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'{nonce}; script-src 'self'; "
    "connect-src 'self'{sockets}; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)

# What no page of ours needs, no script that got into one shall have.
PERMISSIONS = ", ".join(f"{name}=()" for name in ("camera", "microphone", "geolocation", "payment", "usb", "serial", "bluetooth"))


class Around:
    """A middleware that does something before a request, after it, or both."""

    def __init__(self, get_response: Callable):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.after(request, self.get_response(self.before(request)))

    def before(self, request: HttpRequest) -> HttpRequest:
        return request

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return response


class ContentSecurityPolicy(Around):
    """Nothing loads from another host, nothing is inline; styles with a nonce only where a view set `request.style_nonce`."""

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        nonce = f" 'nonce-{request.style_nonce}'" if hasattr(request, "style_nonce") else ""
        host = request.META.get("HTTP_HOST", "")
        response.headers.setdefault("Content-Security-Policy", CSP.format(nonce=nonce, sockets=f" ws://{host} wss://{host}"))
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise for an ASGI server: a whole answer instead of a file iterator, which Django would warn about and read anyway."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        with found.file or BytesIO() as file:
            response = HttpResponse(file.read(), status=int(found.status))
        del response["Content-Type"]
        for name, value in found.headers:
            response[name] = value
        return response


class OptionalApiSlash(Around):
    """`/api/x/` and `/api/x` are the same route, for every method; likewise under /v1/."""

    def before(self, request: HttpRequest) -> HttpRequest:
        if request.path_info.startswith(("/api/", "/v1/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
            request.path = request.path.rstrip("/")
        return request


class NoNulInQueries(Around):
    """A NUL in `?search=` finds nothing. PostgreSQL takes none in a text, and would make an error of ours of it."""

    def before(self, request: HttpRequest) -> HttpRequest:
        if "%00" in request.META.get("QUERY_STRING", ""):
            request.META["QUERY_STRING"] = request.META["QUERY_STRING"].replace("%00", "%EF%BF%BD")
        return request


class DomainErrors(Around):
    """A verb's refusal on a page: a toast for htmx, else a message and back to where the person was."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        refusal = refusal_in(exception)
        if refusal is None:
            return None
        if request.htmx:  # type: ignore[attr-defined]
            response = render(request, "components/toast.html", {"level": "error", "text": refusal.message}, status=refusal.status)
            response["HX-Retarget"], response["HX-Reswap"] = "#toasts", "beforeend"
            return response
        back = request.headers.get("Referer", "")
        if request.method == "POST" and url_has_allowed_host_and_scheme(back, {request.get_host()}):
            messages.error(request, refusal.message)
            return redirect(back)
        context = {"title": "That did not work", "text": refusal.message}
        return render(request, "error.html", context, status=refusal.status)
