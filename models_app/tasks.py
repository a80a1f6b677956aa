"""The background halves of this app's verbs, so that Celery finds them."""

from models_app.run_evaluation import run_evaluations
from models_app.services.download_model import fetch
from models_app.services.export_model import build
from models_app.services.import_ollama import send
from models_app.services.push_model import push
from models_app.services.reconcile_evaluations import reconcile as reconcile_evaluations
from models_app.services.reconcile_models import reconcile
from models_app.services.try_prompt import generate

__all__ = ["build", "fetch", "generate", "push", "reconcile", "reconcile_evaluations", "run_evaluations", "send"]
