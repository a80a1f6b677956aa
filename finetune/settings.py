"""Settings. One file for every mode: `make run` and production differ only in the environment (see .env.example)."""

import hashlib
import socket
import tempfile
from datetime import timedelta
from pathlib import Path

import uplot
from celery.schedules import crontab

from finetune import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.env_str("DATA_DIR", str(BASE_DIR / "data"))).expanduser().resolve()
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

# --- Secrets -----------------------------------------------------------------------------------------------
_instance = env.instance_secrets(DATA_DIR / "secrets.json")
SECRET_KEY = env.env_str("SECRET_KEY") or _instance["SECRET_KEY"]
# Newest first: the first key encrypts, all of them decrypt (cryptography's MultiFernet).
FIELD_ENCRYPTION_KEYS = env.env_list("FIELD_ENCRYPTION_KEYS", _instance["FIELD_ENCRYPTION_KEYS"].split(","))

# --- Web ---------------------------------------------------------------------------------------------------
DEBUG = env.env_bool("DEBUG", False)
HOST = env.env_str("HOST", "127.0.0.1")
PORT = env.env_int("PORT", 8000)
# Bound to every address, the server is reached by names it can't know: then they are the operator's to list.
_own_names = ["*"] if HOST in {"0.0.0.0", "::"} else [HOST]  # noqa: S104 - compared, not bound
ALLOWED_HOSTS = env.env_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", socket.gethostname(), *_own_names])
HTTPS = env.env_bool("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
# Probes inside the machine or the cluster speak plain HTTP to the process itself.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
# How long browsers refuse to speak plain HTTP to this name.
SECURE_HSTS_SECONDS = env.env_int("HSTS_SECONDS", 365 * 24 * 3600 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_SECONDS > 0
# Being on the browsers' own list is asked for by the owner of a whole domain, not by one of its services.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
CSRF_COOKIE_HTTPONLY = SESSION_COOKIE_HTTPONLY = True
# Proxies in front whose X-Forwarded-For is believed: this many addresses at its end are theirs.
TRUSTED_PROXIES = env.env_int("TRUSTED_PROXIES", 0)
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "finetune.dashboard.pages.csrf_failure"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
CSRF_TRUSTED_ORIGINS = env.env_list("CSRF_TRUSTED_ORIGINS", [])
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Uploads are streamed to disk by Django's file handler; the product's own limit is enforced while streaming.
MAX_UPLOAD_BYTES = env.env_int("MAX_UPLOAD_BYTES", 10 * 1000**3, minimum=1)
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024**2
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024**2
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads"
FILE_UPLOAD_TEMP_DIR.mkdir(exist_ok=True)

INSTALLED_APPS = [
    "django.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "finetune.core",
    "accounts",
    "datasets_app",
    "models_app",
    "training",
    "finetune.dashboard",
    "finetune.operations",
]
MIDDLEWARE = [
    "finetune.core.client_address.ClientAddress",
    "finetune.core.request_ids.RequestId",
    "finetune.operations.middleware.CountRequests",
    "django.middleware.security.SecurityMiddleware",
    "finetune.core.middleware.StaticFiles",
    "finetune.core.middleware.ContentSecurityPolicy",
    "finetune.core.middleware.OptionalApiSlash",
    "finetune.core.middleware.NoNulInQueries",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.sessions.NoteSessions",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "finetune.core.middleware.DomainErrors",
]
ROOT_URLCONF = "finetune.urls"
ASGI_APPLICATION = "finetune.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["finetune.core.templatetags.ui"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.env_str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static", ("uplot", Path(uplot.__file__).parent / "static")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# The bucket that machines with a DATA_DIR of their own share: s3://bucket/prefix. Without one, files are under DATA_DIR only.
STORAGE_URL = env.env_str("STORAGE_URL")
STORAGE_PREFIX = ""
if STORAGE_URL:
    STORAGES["shared"], STORAGE_PREFIX = env.bucket_from_url(STORAGE_URL)
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"

# --- Accounts ----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.UsernameOrEmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Data --------------------------------------------------------------------------------------------------
DATABASE_URL = env.env_str("DATABASE_URL")
DATABASES = {"default": env.database_from_url(DATABASE_URL) if DATABASE_URL else env.sqlite(DATA_DIR / "db.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _valkey_socket() -> Path:
    """Where `make run`'s private Valkey listens: a socket only this user can open, within a socket path's 100 characters."""
    inside = DATA_DIR / "run" / "valkey.sock"
    if len(str(inside)) < 100:
        return inside
    return Path(tempfile.gettempdir()) / f"aifinetune-{hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:16]}" / "valkey.sock"


VALKEY_SOCKET = _valkey_socket()
REDIS_URL = env.env_str("REDIS_URL", f"unix://{VALKEY_SOCKET}")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "aift"}}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # A consumer waits up to 5 s for its next message inside Redis; redis-py's own default gives up after 5 s, which
        # would end every quiet WebSocket. Nor must its limit of 100 connections turn browsers away that all come at once.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 15, "max_connections": 5000}], "capacity": 1000},
    }
}

# --- Workers -----------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "training.services.start_job.run_job": {"queue": "train"},
    "training.services.start_job.run_remote_job": {"queue": "cloud"},
    "models_app.services.try_prompt.generate": {"queue": "inference"},
    "models_app.run_evaluation.run_evaluations": {"queue": "inference"},
    "datasets_app.services.render_rows.render": {"queue": "inference"},
}
# Which module measures and renders rows with a model's tokenizer. It lies in an app above datasets_app, which asks for it by name.
ROW_TOKENS_MODULE = "training.engine.rowtokens"
# Which function says whether a model fits this machine: likewise above models_app, which asks for it by name.
MODEL_FIT = "training.fit.fit"
# Which function says how much of a device's memory training runs were promised: warm models leave that alone.
TRAINING_CLAIMS = "training.memory_claims.claimed_and_used"
# Which module finds the checkpoints of a person's jobs, so that they can be talked to.
CHECKPOINTS_MODULE = "training.kept_checkpoints"
# Seconds after which a model that nobody talks to leaves an inference worker's memory.
INFERENCE_IDLE_SECONDS = env.env_int("INFERENCE_IDLE_SECONDS", 600, minimum=1)
# Bytes that warm models may take on one device at most; 0 takes what is free.
INFERENCE_MEMORY_BYTES = env.env_int("INFERENCE_MEMORY_BYTES", 0, minimum=0)
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "aift:"}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "run" / "beat-schedule")
(DATA_DIR / "run").mkdir(exist_ok=True)  # beat makes no directory for it and would end at once
CELERY_BEAT_SCHEDULE = {
    "reconcile-jobs": {"task": "training.services.reconcile_jobs.reconcile", "schedule": 15.0},
    "report-runs": {"task": "training.services.report_run.report_due", "schedule": 10.0},
    "reconcile-datasets": {"task": "datasets_app.services.reconcile_datasets.reconcile", "schedule": 60.0},
    "refresh-prices": {"task": "training.services.refresh_prices.refresh", "schedule": crontab(hour=5, minute=10)},
    "forget-ended": {"task": "training.services.forget_jobs.forget_ended", "schedule": crontab(hour=4, minute=50)},
    "prune-files": {"task": "finetune.operations.services.prune_files.prune", "schedule": crontab(hour=4, minute=20)},
    "remove-accounts": {"task": "finetune.operations.services.delete_account.remove_accounts", "schedule": 30.0},
    "reconcile-archives": {"task": "finetune.operations.services.reconcile_archives.reconcile", "schedule": 60.0},
    "reconcile-models": {"task": "models_app.services.reconcile_models.reconcile", "schedule": 60.0},
    "reconcile-evaluations": {"task": "models_app.services.reconcile_evaluations.reconcile", "schedule": 60.0},
}
# A worker that has not renewed its hold on a job for this long has lost it.
JOB_LEASE_SECONDS = env.env_int("JOB_LEASE_SECONDS", 45, minimum=2)
# Jobs that may run at once on a machine without a GPU; one with GPUs has a slot for each that it may see.
TRAINING_SLOTS = env.env_int("TRAINING_SLOTS", 1, minimum=1)
# Tells machines apart whose host names are the same.
MACHINE_NAME = env.env_str("MACHINE_NAME")
# What one person may use; 0 is no limit. The admin gives single people other numbers (user limits).
MAX_RUNNING_JOBS_PER_USER = env.env_int("MAX_RUNNING_JOBS_PER_USER", 0)
MAX_QUEUED_JOBS_PER_USER = env.env_int("MAX_QUEUED_JOBS_PER_USER", 0)
MAX_STORAGE_BYTES_PER_USER = env.env_int("MAX_STORAGE_BYTES_PER_USER", 0)
MAX_USD_PER_MONTH_PER_USER = env.env_int("MAX_USD_PER_MONTH_PER_USER", 0)
# Whether a yes of theirs lets a run through that may cost more than that.
MAY_CONFIRM_MORE_COST = env.env_bool("MAY_CONFIRM_MORE_COST", False)
# Which function measures what a person's files take. It lies in an app above accounts, which asks for it by name.
STORAGE_USED = "finetune.operations.services.measure_storage.measure_storage"
# Training programs on this machine reach their own run and model only, where the kernel can hold them to it (Landlock).
ENGINE_CONFINEMENT = env.env_bool("ENGINE_CONFINEMENT", True)
# How far they stand back behind the web process and the workers (nice), and the bytes of memory one process may ask for; 0 is no bound.
ENGINE_NICE = env.env_int("ENGINE_NICE", 5)
ENGINE_MEMORY_BYTES = env.env_int("ENGINE_MEMORY_BYTES", 0)
# GPUs of the machine where jobs train; 0 counts those of the machine that is asked.
TRAINING_GPUS = env.env_int("TRAINING_GPUS", 0, minimum=0)

# Runs at a provider that one installation follows at once, and the image their container starts from; what it lacks is installed.
CLOUD_SLOTS = env.env_int("CLOUD_SLOTS", 16, minimum=1)
CLOUD_IMAGE = env.env_str("CLOUD_IMAGE", "python:3.12")

# --- API ---------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer", "rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_PAGINATION_CLASS": "finetune.core.drf.Pagination",
    "DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.SearchFilter", "rest_framework.filters.OrderingFilter"],
    "DEFAULT_SCHEMA_CLASS": "finetune.core.schema.Schema",
    "URL_FORMAT_OVERRIDE": None,  # ?format= is ours: the format of a dataset
    "DEFAULT_THROTTLE_CLASSES": ["finetune.core.throttling.DefaultThrottle"],
    "EXCEPTION_HANDLER": "finetune.core.drf.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
THROTTLE_RATES = {
    "login": env.env_rate("THROTTLE_LOGIN", "10/min"),
    "register": env.env_rate("THROTTLE_REGISTER", "5/min"),
    "default": env.env_rate("THROTTLE_DEFAULT", "100/min"),
}
# Who may register: everybody (open), people with an invitation, or nobody (closed). The first person always may.
REGISTRATION = env.env_choice("REGISTRATION", "open", ["open", "invitation", "closed"])
# Wrong passwords for one account from one address before that address has to wait; 0 never makes it wait.
LOCKOUT_FAILURES = env.env_int("LOCKOUT_FAILURES", 10)
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.env_int("ACCESS_TOKEN_MINUTES", 15, minimum=1)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "CHECK_REVOKE_TOKEN": True,  # a changed password ends every token issued before it
    "UPDATE_LAST_LOGIN": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AiFineTune API",
    "DESCRIPTION": "Fine-tune language models on your own machines.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "finetune.core.schema.describe_refusals"],
    "ENUM_NAME_OVERRIDES": {
        "DatasetStatus": "datasets_app.models.Dataset.Status",
        "ModelStatus": "models_app.models.LanguageModel.Status",
        "JobStatus": "training.models.TrainingJob.Status",
        "DatasetKind": "datasets_app.models.Dataset.Kind",
        "ModelKind": "models_app.models.LanguageModel.Kind",
        "FormatEnum": "datasets_app.models.Dataset.Format",
        "ExportFormat": "models_app.models.Export.Format",
        "ExportStatus": "models_app.models.Export.Status",
        "OllamaRoute": "models_app.models.OllamaCopy.Route",
        "EventKind": "training.models.JobEvent.Kind",
        "FitEnum": "models_app.hub_view.VERDICTS",
    },
}

# --- Mail --------------------------------------------------------------------------------------------------
# Without EMAIL_HOST no e-mail is sent, and the settings pages say so.
EMAIL_HOST = env.env_str("EMAIL_HOST")
EMAIL_PORT = env.env_int("EMAIL_PORT", 587, minimum=1)
EMAIL_HOST_USER = env.env_str("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.env_str("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.env_bool("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.env_str("DEFAULT_FROM_EMAIL", "aifinetune@localhost")
# This site's own address, for links in e-mails and webhooks.
SITE_URL = env.env_str("SITE_URL").rstrip("/")

# --- Outside systems ---------------------------------------------------------------------------------------
HF_ENDPOINT = env.env_str("HF_ENDPOINT", "https://huggingface.co")
# Whether repositories that only have pickled weights may be downloaded; they are turned into safetensors before anything reads them.
ALLOW_PICKLE_MODELS = env.env_bool("ALLOW_PICKLE_MODELS", False)
OLLAMA_HOST = env.env_str("OLLAMA_HOST", "http://127.0.0.1:11434")
# Other Ollama servers that people may name, as host or host:port. OLLAMA_HOST is always allowed, nothing else is.
OLLAMA_ALLOWED_HOSTS = env.env_list("OLLAMA_ALLOWED_HOSTS", [])
# Hosts on private networks that people's webhooks may call, as host or host:port. Hosts on the public net need no entry.
WEBHOOK_ALLOWED_HOSTS = env.env_list("WEBHOOK_ALLOWED_HOSTS", [])
# Hosts on private networks where people's experiment trackers may be, as host or host:port. Hosts on the public net need no entry.
TRACKER_ALLOWED_HOSTS = env.env_list("TRACKER_ALLOWED_HOSTS", [])
# llama.cpp's llama-quantize: with it GGUF files can have k-quants (q4_k_m and its like).
LLAMA_QUANTIZE = env.env_str("LLAMA_QUANTIZE")

# --- Operation -----------------------------------------------------------------------------------------------
# Who may read /metrics with `Authorization: Bearer …`; without one only an operator's session.
METRICS_TOKEN = env.env_str("METRICS_TOKEN")
# Days after which `manage.py prune` and the daily sweep remove something; 0 keeps it for ever.
RETAIN_CHECKPOINT_DAYS = env.env_int("RETAIN_CHECKPOINT_DAYS", 0)
RETAIN_LOG_DAYS = env.env_int("RETAIN_LOG_DAYS", 0)
RETAIN_FAILED_RUN_DAYS = env.env_int("RETAIN_FAILED_RUN_DAYS", 0)
# Days for which the bucket of a failed or cancelled job stays at its provider for a resume; 0 until the job is deleted.
RETAIN_CLOUD_DAYS = env.env_int("RETAIN_CLOUD_DAYS", 7)
LOG_FORMAT = env.env_choice("LOG_FORMAT", "line", ["line", "json"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "finetune.core.logs.Redact"}},
    "formatters": {
        "line": {
            "()": "finetune.core.logs.PlainLines",
            "format": "{asctime} {levelname} {name}:{about} {message}",
            "style": "{",
        },
        "json": {"()": "finetune.core.logs.JsonLines"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["redact"]}},
    # uvicorn brings handlers of its own, which know neither our format nor our filter. Its access log stays off.
    # httpx2 (the Hub's client) tells of every request with its whole address, and a signed address opens a file for everybody.
    "loggers": {
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": False},
        "httpx2": {"level": "WARNING"},
        # boto tells which address and which keys' source it found, and at DEBUG what it signs.
        **{name: {"level": "WARNING"} for name in ("boto3", "botocore", "s3transfer")},
    },
    "root": {"handlers": ["console"], "level": env.env_str("LOG_LEVEL", "INFO")},
}
