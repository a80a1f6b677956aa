"""deploy/nginx as it is, run by a real nginx with TLS in front of the real processes."""

from __future__ import annotations

import asyncio
import datetime
import json
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from tests.e2e.conftest import Stack, free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: apt-get install nginx-light)"),
]
DEPLOY: Path = settings.BASE_DIR / "deploy/nginx"


@dataclass(frozen=True)
class Proxy:
    http: str
    https: str
    trust: ssl.SSLContext


def certificate(folder: Path) -> ssl.SSLContext:
    """fullchain.pem and privkey.pem for localhost; returns who trusts them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    built = built.not_valid_after(now + datetime.timedelta(days=2))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    (folder / "fullchain.pem").write_bytes(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "privkey.pem").write_bytes(key.private_bytes(*plain))
    return ssl.create_default_context(cafile=folder / "fullchain.pem")


def configuration(folder: Path, web: str, http: int, https: int) -> Path:
    """The files of deploy/nginx with this machine's ports and folders instead of the containers'."""
    for name in ("https.conf", "site.conf"):
        text = (DEPLOY / name).read_text().replace("web:8000", web)
        text = text.replace("listen 80 default_server", f"listen 127.0.0.1:{http} default_server")
        text = text.replace("listen 443 ssl default_server", f"listen 127.0.0.1:{https} ssl default_server")
        text = text.replace("http2 on;", "")  # Debian's nginx is older than this word for it
        text = text.replace("/etc/nginx/aifinetune/", f"{folder}/").replace("/etc/nginx/certificates", str(folder))
        (folder / name).write_text(text)
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off;\n{places} include {folder}/https.conf; }}\n"
    )
    return main


@pytest.fixture(scope="module")
def proxy(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    for parent in list(folder.parents)[:2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    http, https = free_port(), free_port()
    trust = certificate(folder)
    main = configuration(folder, stack.url.removeprefix("http://"), http, https)
    process = subprocess.Popen([str(NGINX), "-c", str(main), "-e", str(folder / "error.log")])
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not _listens(https):
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.1)
        yield Proxy(f"http://localhost:{http}", f"https://localhost:{https}", trust)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    name = f"proxy-{uuid.uuid4().hex[:8]}"
    with httpx.Client(base_url=proxy.https, verify=proxy.trust, timeout=60) as client:
        body = {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}
        answer = client.post("/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        yield client


def test_plain_http_leads_to_tls_and_probes_and_metrics_are_as_they_should(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.http}/datasets/?page=2")
    assert answer.status_code == 301 and answer.headers["Location"] == "https://localhost/datasets/?page=2"
    assert httpx.get(f"{proxy.http}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{proxy.https}/metrics", verify=proxy.trust).status_code == 404
    page = httpx.get(f"{proxy.https}/sign-in", verify=proxy.trust, follow_redirects=True)
    assert page.status_code == 200 and "nginx/" not in page.headers["Server"]


def test_an_upload_larger_than_every_buffer_and_its_download(client: httpx.Client) -> None:
    row = json.dumps({"instruction": "Say it.", "output": "x" * 1000}) + "\n"
    content = row.encode() * 24_000  # 25 MB
    made = client.post("/api/datasets/upload", files={"file": ("large.jsonl", content)})
    assert made.status_code in {201, 202}, made.text
    back = client.get(f"/api/datasets/{made.json()['id']}/download")
    assert back.status_code == 200 and back.content == content


def test_a_socket_through_tls_and_one_from_another_site(client: httpx.Client, proxy: Proxy) -> None:
    sample = client.post("/api/training/sample").json()["model_id"]
    token = client.headers["Authorization"].removeprefix("Bearer ")
    address = f"{proxy.https.replace('https', 'wss', 1)}/ws/models/{sample}"

    async def first(origin: str) -> dict:
        subprotocols = [websockets.Subprotocol("bearer"), websockets.Subprotocol(token)]
        async with websockets.connect(address, ssl=proxy.trust, subprotocols=subprotocols, origin=origin) as socket:  # type: ignore[arg-type]
            return json.loads(await asyncio.wait_for(socket.recv(), 20))

    assert asyncio.run(first("https://localhost"))["type"] == "model"
    with pytest.raises(websockets.InvalidStatus):
        asyncio.run(first("https://evil.example"))
