"""login, logout, whoami."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import Namespace

from finetune.cli.api import Api
from finetune.cli.errors import Failed
from finetune.cli.login import DEFAULT_URL, Login, forget_login, keep_login, login_file, read_login
from finetune.cli.show import Show


def login(args: Namespace, show: Show) -> None:
    """Exchange a password for tokens and keep those; the password is not kept."""
    url = (args.url or os.environ.get("AIFT_URL") or DEFAULT_URL).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise Failed(f"“{url}” is no address. Give one such as {DEFAULT_URL}.")
    username = args.username or input("Username or e-mail: ")
    password = sys.stdin.readline().rstrip("\n") if args.password_stdin else getpass.getpass("Password: ")
    told = Api(Login(url, "")).call("POST", "/api/auth/login", json={"username": username, "password": password})
    keep_login(Login(url, told["access"], told["refresh"], told["user"]["username"]))
    show.result({"url": url, "user": told["user"]}, f"Signed in at {url} as {told['user']['username']} ({login_file()}).")


def logout(args: Namespace, show: Show) -> None:
    """End the tokens on the server and forget them."""
    kept = read_login()
    if kept.refresh:
        Api(kept).call("POST", "/api/auth/logout", json={"refresh": kept.refresh})
    forget_login()
    show.result({"url": kept.url}, f"Signed out at {kept.url}.")


def whoami(args: Namespace, show: Show) -> None:
    api = Api(read_login())
    me = api.call("GET", "/api/auth/me")
    show.result({"url": api.login.url, **me}, f"{me['username']} <{me['email']}> at {api.login.url}")
