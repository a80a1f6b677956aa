"""An Ollama server on the loopback interface: blobs checked by their digests, models made of them, answers that are really computed.

    with LoopbackOllama() as ollama:
        settings.OLLAMA_HOST = ollama.url

It speaks version, tags, show, delete, blobs, create (streamed, with the real server's refusals) and generate. An answer comes from the uploaded
GGUF file itself: by llama.cpp where llama-cpp-python is installed, else by transformers, which reads Llama's GGUF files too. `requests` is
what was asked. Trouble is arranged with `fail` ({(method, path prefix): (status, words)}), `create_error`, `end_early` and `answer`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

QUANTIZE = {"F32", "F16", "BF16", "Q8_0", "Q4_K_S", "Q4_K_M"}
CONVERTED = {
    "LlamaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Phi3ForCausalLM",
    "Qwen2ForCausalLM",
    "MixtralForCausalLM",
}


class LoopbackOllama:
    """The server, for one `with` block."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.fail: dict[tuple[str, str], tuple[int, str]] = {}
        self.create_error, self.end_early, self.answer = "", False, ""
        self._folder = TemporaryDirectory(prefix="aift-ollama-")
        server = self

        class Handler(_Handler):
            ollama = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._folder.cleanup()

    def blob(self, digest: str) -> Path:
        return Path(self._folder.name) / digest.replace(":", "-")

    def asked(self, method: str, path: str) -> int:
        return sum(found == (method, path) or (found[0] == method and found[1].startswith(path)) for found in self.requests)


class _Handler(BaseHTTPRequestHandler):
    ollama: LoopbackOllama
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def _route(self) -> None:
        self.ollama.requests.append((self.command, self.path))
        for (method, prefix), (status, words) in self.ollama.fail.items():
            if method == self.command and self.path.startswith(prefix):
                self._body()
                return self._json({"error": words}, status)
        name = f"{self.command.lower()}{self.path.split('sha256')[0].rstrip('/').replace('/', '_')}"
        answer = getattr(self, name, None)
        return answer() if answer else self._json({"error": "not found"}, 404)

    do_GET = do_POST = do_HEAD = do_DELETE = _route

    # --- questions ------------------------------------------------------------------------------------------

    def get_api_version(self) -> None:
        self._json({"version": "0.99.0"})

    def get_api_tags(self) -> None:
        models = [
            {"name": name, "model": name, "size": made["size"], "modified_at": "2026-01-01T00:00:00Z"}
            for name, made in self.ollama.models.items()
        ]
        self._json({"models": models})

    def post_api_show(self) -> None:
        if made := self._named(self._given()["model"]):
            details = {"format": "gguf", "family": made["family"], "quantization_level": made["quantization"]}
            self._json(
                {"details": details, "template": made["request"].get("template", "{{ .Prompt }}"), "capabilities": ["completion"]}
            )

    def delete_api_delete(self) -> None:
        name = self._given()["model"]
        if self._named(name):
            del self.ollama.models[name]
            self._send(200, b"")

    def _named(self, name: str) -> dict[str, Any] | None:
        made = self.ollama.models.get(name)
        if made is None:
            self._json({"error": f"model '{name}' not found"}, 404)
        return made

    # --- blobs ----------------------------------------------------------------------------------------------

    def head_api_blobs(self) -> None:
        self._send(200 if self.ollama.blob(self.path.rpartition("/")[2]).exists() else 404, b"")

    def post_api_blobs(self) -> None:
        digest, body = self.path.rpartition("/")[2], self._body()
        found = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if found != digest:
            return self._json({"error": f'digest mismatch, expected "{digest}", got "{found}"'}, 400)
        self.ollama.blob(digest).write_bytes(body)
        return self._send(201, b"")

    # --- create: everything after the first checks is a line of a stream with status 200 ---------------------

    def post_api_create(self) -> None:
        given = self._given()
        if not given.get("files"):
            return self._json({"error": "neither 'from' or 'files' was specified"}, 400)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for line in self._made(given):
                self._line({"status": line})
        except (ValueError, FileNotFoundError) as error:
            self._line({"error": str(error)})
            return None
        if not self.ollama.end_early:
            self._line({"status": "success"})
        return None

    def _made(self, given: dict[str, Any]) -> Any:
        files = {name: self.ollama.blob(digest) for name, digest in {**given["files"], **given.get("adapters", {})}.items()}
        for name, digest in given["files"].items():
            if not files[name].exists():
                raise FileNotFoundError(f"blob {digest} not found")
        if self.ollama.create_error:
            raise ValueError(self.ollama.create_error)
        _check_parameters(given.get("parameters", {}))
        if "{%" in given.get("template", ""):
            raise ValueError("template error: template: :1: unexpected")
        if given.get("quantize", "F16") not in QUANTIZE:
            raise ValueError(f"unsupported quantization type {given['quantize']}")
        yield "parsing GGUF"
        yield from self._kept(given, files)
        yield "writing manifest"

    def _kept(self, given: dict[str, Any], files: dict[str, Path]) -> Any:
        weights = [path for name, path in files.items() if name.endswith(".gguf") and name in given["files"]]
        adapters = [files[name] for name in given.get("adapters", {})]
        made = {"request": given, "size": sum(path.stat().st_size for path in files.values()), "adapters": adapters}
        if weights:
            family, quantization = _read_gguf(weights[0])
            made |= {"file": weights[0], "family": family, "quantization": given.get("quantize", quantization)}
        else:
            yield "converting model"
            made |= {"folder": _converted(given, files), "family": "llama", "quantization": "F16"}
        self.ollama.models[given["model"]] = made

    # --- generate -------------------------------------------------------------------------------------------

    def post_api_generate(self) -> None:
        given = self._given()
        made = self._named(given["model"])
        if made is None:
            return None
        if given.get("_debug_render_only"):
            return self._json(
                {"_debug_info": {"rendered_template": _rendered(made["request"].get("template", ""), given["prompt"])}}
            )
        text = self.ollama.answer or _answer(made, given)
        return self._json({"response": text, "done": True, "done_reason": "stop"})

    # --- the wire -------------------------------------------------------------------------------------------

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _given(self) -> dict[str, Any]:
        return json.loads(self._body())

    def _json(self, content: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _line(self, content: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(content).encode() + b"\n")
        self.wfile.flush()


def _check_parameters(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if name == "stop" and not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
            raise ValueError('option "stop" must be of type array')
        if name != "stop" and isinstance(value, str):
            raise ValueError(f'option "{name}" must be a number')


def _read_gguf(file: Path) -> tuple[str, str]:
    import gguf

    reader = gguf.GGUFReader(file)
    kind = int(reader.get_field("general.file_type").contents())
    if kind == 0:
        raise ValueError("unknown type")  # as the real server says of files that are all float32
    return str(reader.get_field("general.architecture").contents()), {1: "F16", 7: "Q8_0", 32: "BF16"}[kind]


def _converted(given: dict[str, Any], files: dict[str, Path]) -> dict[str, Path]:
    config = json.loads(files["config.json"].read_text())
    architecture = config["architectures"][0]
    if architecture not in CONVERTED:
        raise ValueError(f'unsupported architecture "{architecture}"')
    if "rope_theta" not in config:
        raise ValueError("rope_theta is missing: the real server would silently take another")
    return files


def _rendered(template: str, prompt: str) -> str:
    """ChatML's Go template for one user's message; nothing else is asked of it."""
    before, _, rest = template.partition('{{ if eq .Role "user" }}')[2].partition("{{ .Content }}")
    return f"{before}{prompt}{rest.partition('{{ end }}')[0]}{template.rpartition('{{ end }}')[2]}"


def _answer(made: dict[str, Any], given: dict[str, Any]) -> str:
    """Greedy, as the prompt goes on; stopped where the model's parameters say."""
    tokens = given["options"]["num_predict"]
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        text = _by_transformers(made, given["prompt"], tokens)
    else:
        text = _by_llama(made, given["prompt"], tokens)
    for stop in made["request"]["parameters"].get("stop", []):
        text = text.partition(stop)[0]
    return text


def _by_llama(made: dict[str, Any], prompt: str, tokens: int) -> str:
    import llama_cpp

    lora = str(made["adapters"][0]) if made["adapters"] else None
    model = llama_cpp.Llama(str(made["file"]), n_ctx=256, verbose=False, lora_path=lora)
    try:
        ids = model.tokenize(prompt.encode(), add_bos=True, special=True)
        out: list[int] = []
        for token in model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
            if token == model.token_eos() or len(out) == tokens:
                break
            out.append(token)
        return model.detokenize(out).decode(errors="replace")
    finally:
        model.close()


def _by_transformers(made: dict[str, Any], prompt: str, tokens: int) -> str:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file: Path = made["file"]
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    out = model.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    return tokenizer.decode(out, skip_special_tokens=True)
