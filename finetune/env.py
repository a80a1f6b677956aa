"""Typed readers for environment variables. A value that makes no sense stops the start with one line that names it."""

import json
import os
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str = "") -> str:
    """The variable, stripped; the default when it is unset or blank."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """`true`/`1`/`yes` or `false`/`0`/`no`; anything else is refused."""
    value = env_str(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false.")


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    """A whole number of at least `minimum`."""
    value = env_str(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name}={number} is below {minimum}.")
    return number


def env_list(name: str, default: list[str]) -> list[str]:
    """Comma-separated words."""
    value = env_str(name)
    return [word.strip() for word in value.split(",") if word.strip()] if value else default


def env_choice(name: str, default: str, choices: list[str]) -> str:
    """One of a few words."""
    value = env_str(name, default).lower()
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is none of {', '.join(choices)}.")
    return value


def env_rate(name: str, default: str) -> str | None:
    """A throttle rate such as `100/min`; set but empty means no limit (None)."""
    if name in os.environ and not os.environ[name].strip():
        return None
    value = env_str(name, default)
    count, _, period = value.partition("/")
    if not count.isdigit() or period[:1] not in {"s", "m", "h", "d"}:
        raise ImproperlyConfigured(f"{name}={value!r} is not a rate such as 100/min.")
    return value


def database_from_url(url: str) -> dict:
    """`postgresql://user:password@host:port/name?option=value` or `sqlite:///path` → a Django DATABASES entry."""
    parts = urlsplit(url)
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or dict(parse_qsl(parts.query)).get("host", "")),
            "PORT": str(parts.port or ""),
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 16, "timeout": 10}},
        }
    if parts.scheme == "sqlite":
        return sqlite(Path(unquote(parts.path)))
    raise ImproperlyConfigured("DATABASE_URL must begin with postgresql:// or sqlite:///.")


def sqlite(path: Path) -> dict:
    """SQLite as a server needs it: readers never block (WAL), writers queue instead of failing (IMMEDIATE, busy_timeout)."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
        },
    }


def bucket_from_url(url: str) -> tuple[dict, str]:
    """`s3://bucket/prefix` → a Django STORAGES entry and what every object's name begins with.

    Keys, region and address are boto's own variables (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3, …), or a machine's role.
    """
    from botocore.config import Config  # imported only where there is a bucket

    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.username or parts.query:
        raise ImproperlyConfigured("STORAGE_URL must look like s3://bucket or s3://bucket/prefix.")
    elsewhere = env_str("AWS_ENDPOINT_URL_S3") or env_str("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4}, max_pool_connections=16,
        # Servers other than Amazon's often know neither names of hosts for buckets nor its newer checksums; ours verify everything.
        s3={"addressing_style": "path" if elsewhere else "auto"},
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    options = {"bucket_name": unquote(parts.netloc), "client_config": config, "region_name": env_str("AWS_REGION") or None}
    prefix = parts.path.strip("/")
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}, f"{prefix}/" if prefix else ""


def instance_secrets(path: Path) -> dict[str, str]:
    """SECRET_KEY and FIELD_ENCRYPTION_KEYS of this installation: made at the first start, readable by its user only."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        pass
    values = {"SECRET_KEY": secrets.token_urlsafe(50), "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(values, file)
    try:
        os.link(staged, path)  # fails when another process was first: then its secrets count
    except FileExistsError:
        return json.loads(path.read_text())
    finally:
        staged.unlink()
    return values
