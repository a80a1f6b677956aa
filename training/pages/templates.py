"""The templates' pages."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.person import person
from finetune.core.errors import DomainError
from finetune.core.pages import page_of, refuse, render_page
from finetune.core.templatetags.ui import method_words
from training.engine.spec import METHODS
from training.forms import TemplateForm
from training.pages.own import own_job
from training.recipes import LARGEST, write_recipe
from training.services.delete_template import delete_template
from training.services.load_template import load_template
from training.services.save_template import save_template
from training.services.update_template import update_template
from training.template_list import Template, find_template, free_name, list_templates


@require_GET
def templates(request: HttpRequest) -> HttpResponse:
    """One's own and the built-in ones; htmx asks for the table alone."""
    method, words = request.GET.get("method", ""), request.GET.get("search", "").strip().lower()
    found = [item for item in list_templates(request.user, method=method) if words in f"{item.name} {item.description}".lower()]
    found.sort(key=lambda item: hasattr(item, "built_in"))  # one's own first; a stable sort keeps the rest
    context = {"page": page_of(request, found), "methods": [(name, method_words(name)) for name in METHODS]}
    return render_page(request, "training/templates.html", context, fragment="results")


@require_POST
def load(request: HttpRequest) -> HttpResponse:
    """A template from a file: ours, LLaMA-Factory's or Axolotl's."""
    file = request.FILES.get("file")
    if file is None:
        messages.error(request, "Choose a file first.")
        return redirect("templates")
    try:
        made = load_template(owner=person(request), content=file.read(LARGEST + 1), filename=file.name or "")
    except DomainError as error:
        messages.error(request, f"{file.name}: {error}")
        return redirect("templates")
    messages.success(request, f"“{made.name}” is a template now.")
    return redirect("template", made.pk)


@require_GET
def download(request: HttpRequest, pk: str) -> HttpResponse:
    """The template as a file that `load` takes."""
    found = _find(request, pk)
    text = write_recipe(name=found.name, description=found.description, method=found.method, config=found.config)
    answer = HttpResponse(text, content_type="application/yaml")
    answer["Content-Disposition"] = content_disposition_header(True, f"{found.name}.yaml") or "attachment"
    return answer


@require_POST
def save_from_job(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a job's method and options under its name."""
    job = own_job(request, pk)
    made = save_template(owner=job.owner, name=free_name(request.user, job.name), method=job.method, config=job.config)
    messages.success(request, f"“{made.name}” is a template now. Give it a name that says what it is good for.")
    return redirect("template", made.pk)


@require_http_methods(["GET", "POST"])
def template(request: HttpRequest, pk: str) -> HttpResponse:
    """One template with what it changes; one's own can be renamed."""
    found = _find(request, pk)
    form = TemplateForm(request.POST or None, initial={"name": found.name, "description": found.description})
    if request.method == "POST" and form.is_valid():
        try:
            update_template(template=found, **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("template", pk)
    status = 422 if request.method == "POST" else 200
    return render_page(request, "training/template.html", {"template": found, "form": form}, status=status)


@require_POST
def delete(request: HttpRequest, pk: str) -> HttpResponse:
    found = _find(request, pk)
    delete_template(template=found)
    messages.success(request, f"“{found.name}” was deleted.")
    return redirect("templates")


def _find(request: HttpRequest, pk: str) -> Template:
    found = find_template(request.user, pk)
    if found is None:
        raise Http404
    return found
