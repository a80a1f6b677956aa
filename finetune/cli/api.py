"""The HTTP API as the commands use it: renews the access token, waits when told to, turns refusals into sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

import httpx

from finetune.cli.errors import Failed
from finetune.cli.login import Login, keep_login

POLL_SECONDS = 0.5
CHUNK = 1024 * 1024


class Api:
    """One signed-in person at one installation."""

    def __init__(self, login: Login):
        self.login = login
        self._http = httpx.Client(base_url=login.url, timeout=httpx.Timeout(120, connect=10))

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The decoded answer, None without content. Failed with the server's own words when it refuses."""
        answer = self._send(method, path, **options)
        if answer.is_error:
            raise Failed(words_of(answer))
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        for _ in range(3):
            answer = self._try(method, path, **options)
            if answer.status_code == 401 and self._renew():
                continue
            if answer.status_code != 429:
                return answer
            time.sleep(min(60, int(answer.headers.get("Retry-After", "1"))))
        return answer

    def _try(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.login.access}"} if self.login.access else {}
        try:
            return self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            raise Failed(f"{self.login.url} does not answer ({error}). Is it running, and is the address right?") from None

    def _renew(self) -> bool:
        """Exchange the refresh token; True when there is a new access token."""
        if not self.login.refresh:
            return False
        answer = self._http.post("/api/auth/refresh", json={"refresh": self.login.refresh})
        if answer.is_error:
            return False
        self.login.access, self.login.refresh = answer.json()["access"], answer.json()["refresh"]
        keep_login(self.login)
        return True

    def pages(self, path: str, most: int, **params: Any) -> list[dict[str, Any]]:
        """The first `most` results of a list."""
        found: list[dict[str, Any]] = []
        page = 1
        while len(found) < most:
            got = self.call("GET", path, params={**params, "page": page, "page_size": min(200, most)})
            found += got["results"]
            page += 1
            if not got["next"]:
                break
        return found[:most]

    def find(self, path: str, word: str, ref: str, **params: Any) -> dict[str, Any]:
        """An object by its id or exact name (the newest of that name). Failed when there is none."""
        if ref.isdigit():
            return self.call("GET", f"{path}/{ref}")
        for row in self.pages(path, 200, search=ref, **params):
            if ref in (row.get("name"), row.get("repo_id"), row.get("family")):
                return row
        raise Failed(f"You have no {word} called “{ref}”. `python -m finetune {word}s` lists them.")

    def wait(
        self, path: str, states: set[str], seconds: float = 600, each: Any = lambda state: None, key: str = "status"
    ) -> dict[str, Any]:
        """Poll an object until its `key` is one of `states`; `each` is called with it every time."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.call("GET", path)
            each(found)
            if found[key] in states:
                return found
            if time.monotonic() > deadline:
                raise Failed(f"Still {found[key]} after {seconds:.0f} s. Look again later.")
            time.sleep(POLL_SECONDS)

    def lines(self, path: str, body: dict[str, Any]) -> Iterator[str]:
        """The lines of a streamed answer."""
        with self._open("POST", path, json=body) as answer:
            yield from answer.iter_lines()

    def save(self, path: str, folder: Path, each: Any = lambda done, total: None) -> Path:
        """Stream a download into `folder` under the name the server gives; a broken one leaves only a `.part`."""
        with self._open("GET", path) as answer:
            target = folder / _filename(answer.headers.get("Content-Disposition", ""))
            total, done, part = int(answer.headers.get("Content-Length", 0)), 0, target.with_name(f"{target.name}.part")
            with open(part, "wb") as out:
                for chunk in answer.iter_bytes(CHUNK):
                    done += out.write(chunk)
                    each(done, total)
            part.replace(target)
        return target

    @contextmanager
    def _open(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        self.call("GET", "/api/auth/me")  # so that the access token is fresh
        headers = {"Authorization": f"Bearer {self.login.access}"}
        with self._http.stream(method, path, headers=headers, **options) as answer:
            if answer.is_error:
                answer.read()
                raise Failed(words_of(answer))
            yield answer


def words_of(answer: httpx.Response) -> str:
    """A refusal in the server's words, each named field on a line."""
    try:
        told = answer.json()
    except ValueError:
        return f"The server answered with {answer.status_code} and no reason; its log has more. Is {answer.url.host} an AiFineTune?"
    told = told.get("error", told)
    fields = [f"  {name}: {' '.join(words)}" for name, words in (told.get("fields") or {}).items()]
    said = told.get("detail") or told.get("message") or f"The server answered with {answer.status_code}."
    if answer.status_code == 401:
        said = f"{said} Run `python -m finetune login`."
    return "\n".join([said, *(line for line in fields if line.strip() != said)])


def _filename(disposition: str) -> str:
    """The last part of the attachment's name: what a server says never becomes a path."""
    message = Message()
    message["Content-Disposition"] = disposition
    return Path(message.get_filename() or "download").name or "download"
