"""Who is signed in where: one file that only its owner can read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from finetune.cli.errors import Failed

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass
class Login:
    """An address and the tokens for it. `refresh` is empty for a key given by AIFT_TOKEN, which nothing can renew."""

    url: str
    access: str
    refresh: str = ""
    username: str = ""


def login_file() -> Path:
    """AIFT_CONFIG, else `aifinetune/login.json` in the person's configuration directory."""
    if named := os.environ.get("AIFT_CONFIG"):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "aifinetune" / "login.json"


def read_login() -> Login:
    """From AIFT_TOKEN (and AIFT_URL), else from the file. Failed when nobody is signed in."""
    if token := os.environ.get("AIFT_TOKEN"):
        return Login(os.environ.get("AIFT_URL", DEFAULT_URL), token)
    try:
        return Login(**json.loads(login_file().read_text()))
    except FileNotFoundError:
        raise Failed("Nobody is signed in here. Run `python -m finetune login`, or set AIFT_URL and AIFT_TOKEN.") from None
    except (ValueError, TypeError):
        raise Failed(f"{login_file()} can't be read. Run `python -m finetune login` again.") from None


def keep_login(login: Login) -> None:
    """Write the file whole, never readable for others, not even for a moment."""
    file = login_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(asdict(login), out)
    os.replace(beside, file)


def forget_login() -> None:
    login_file().unlink(missing_ok=True)
