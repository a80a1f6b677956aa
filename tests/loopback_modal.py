"""Modal on the loopback interface, for the real modal client: its own protocol, with Sandboxes whose command is started as a process.

    with LoopbackModal() as modal_server:
        ...  # the client's configuration points there: tests/training/executors/conftest.py

It speaks what a run needs: hello, apps, images (recorded, not built), secrets, volumes (v2) with their blocks over HTTP, Sandboxes
with tags, output, exit codes, and reloading of volumes. A mounted volume is a copy that is exchanged with the volume when the container
syncs (here: all the time) and when it is reloaded.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server
from modal_proto import api_pb2 as pb
from modal_proto import task_command_router_pb2 as router_pb
from modal_proto.api_grpc import ModalClientBase
from modal_proto.task_command_router_grpc import TaskCommandRouterBase

from tests.loopback_jobs import kill, start
from tests.loopback_sandbox import Blocks, Box, lay_out

BLOCK = 8 * 1024 * 1024


class BlockServer(ThreadingHTTPServer):
    """The client opens a connection for each of a hundred small files at once: Python's own queue of five loses some of them."""

    request_queue_size = 1024
    daemon_threads = True


class LoopbackModal:
    """The servers, for one `with` block."""

    def __init__(self) -> None:
        self.accepted = {("ak-good", "as-good")}
        self.volumes: dict[str, dict[str, bytes]] = {}
        self.names: dict[str, str] = {}  # volume id → name
        self.secrets: dict[str, dict[str, str]] = {}
        self.blocks: dict[str, bytes] = {}
        self.images: list[pb.Image] = []
        self.boxes: list[Box] = []
        self.lose_answer, self.fail_build = 0, ""
        self.failures: dict[str, list[Status]] = {}  # RPC → what it answers first
        self.created: dict[str, Box] = {}  # by idempotency key
        self._scratch = tempfile.TemporaryDirectory(prefix="aift-loopback-modal-", ignore_cleanup_errors=True)
        self._http = BlockServer(("127.0.0.1", 0), type("Blocks", (Blocks,), {"owner": self}))
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def blocks_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        threading.Thread(target=self._serve, daemon=True).start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for box in self.boxes:
            kill(box.process)
        self._http.shutdown()
        self._http.server_close()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._scratch.cleanup()

    def forget(self) -> None:
        """End every container; nothing is left of any test."""
        for box in self.boxes:
            box.status = box.status or pb.GenericResult.GENERIC_STATUS_TERMINATED
            kill(box.process)
        for held in (self.boxes, self.volumes, self.secrets, self.blocks, self.images, self.created, self.failures):
            held.clear()
        self.lose_answer, self.fail_build = 0, ""

    def fail(self, status: Status, rpc: str, times: int) -> None:
        """The next `times` calls of this RPC are answered so, and do nothing."""
        self.failures[rpc] = [status] * times

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def begin() -> None:
            self._server = Server([_servicer(ModalClientBase, _Api(self)), _servicer(TaskCommandRouterBase, _Router(self))])
            await self._server.start("127.0.0.1", 0)
            self.port = self._server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            self._ready.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()

    # --- Containers ---------------------------------------------------------------------------------

    def begin(self, definition: pb.Sandbox, tags: dict[str, str]) -> Box:
        box = Box(definition, tags, Path(tempfile.mkdtemp(dir=self._scratch.name)))
        self.boxes.append(box)
        environment: dict[str, str] = {}
        for secret in definition.secret_ids:
            environment |= self.secrets[secret]
        mounts = {mount.mount_path: box.folder / mount.mount_path.strip("/") for mount in definition.volume_mounts}
        for mount in definition.volume_mounts:
            lay_out(self.volumes[self.names[mount.volume_id]], mounts[mount.mount_path])
        command = list(definition.entrypoint_args)
        for path, folder in mounts.items():
            command = [word.replace(path, str(folder)) if word.startswith(path) else word for word in command]
            environment = {name: str(folder) if value == path else value for name, value in environment.items()}
        box.process = start(command, environment, box.folder, "http://127.0.0.1:9")
        threading.Thread(target=self._follow, args=(box,), daemon=True).start()
        return box

    def end(self, box: Box, status: int, code: int) -> None:
        """What Modal does to it."""
        if not box.status:
            box.code, box.status = code, status
            kill(box.process)
            self.commit(box)

    def commit(self, box: Box) -> None:
        """What the container wrote goes to its volumes."""
        for mount in box.definition.volume_mounts:
            folder, files = box.folder / mount.mount_path.strip("/"), self.volumes.get(self.names[mount.volume_id])
            if files is None:
                continue
            found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
            for name in [name for name in files if name.startswith("run/checkpoints/") and name not in found]:
                del files[name]
            for name, path in found.items():
                try:
                    files[name] = path.read_bytes()
                except FileNotFoundError:
                    continue

    def reload(self, box: Box) -> None:
        for mount in box.definition.volume_mounts:
            lay_out(
                self.volumes[self.names[mount.volume_id]],
                box.folder / mount.mount_path.strip("/"),
                only=("run/cancel", "run/lease"),
            )

    def _follow(self, box: Box) -> None:
        assert box.process and box.process.stdout
        for line in box.process.stdout:
            box.lines.append(line)
        code = box.process.wait()
        if not box.status:
            self.commit(box)
            box.code = code
            box.status = pb.GenericResult.GENERIC_STATUS_SUCCESS if code == 0 else pb.GenericResult.GENERIC_STATUS_FAILURE


def _servicer(base: Any, answers: Any) -> Any:
    """A servicer of that protocol: what `answers` has, it answers; anything else is not implemented."""

    def method(name: str) -> Any:
        async def call(self: Any, stream: Any) -> None:
            act = getattr(answers, name, None)
            if act is None:
                raise GRPCError(Status.UNIMPLEMENTED, f"the loopback Modal does not know {name}")
            if trouble := answers.owner.failures.get(name):
                raise GRPCError(trouble.pop(), "arranged")
            await act(stream)

        return call

    return type("Servicer", (base,), {name: method(name) for name in base.__abstractmethods__})()


class _Router:
    def __init__(self, owner: LoopbackModal):
        self.owner = owner

    async def TaskReloadVolumes(self, stream: Any) -> None:
        asked = await stream.recv_message()
        self.owner.reload(next(box for box in self.owner.boxes if asked.task_id == f"ta-{box.id}"))
        await stream.send_message(router_pb.TaskReloadVolumesResponse())


class _Api:
    """One method for each RPC, named as it is."""

    def __init__(self, owner: LoopbackModal):
        self.owner = owner

    async def _asked(self, stream: Any) -> Any:
        asked = await stream.recv_message()
        who = (stream.metadata.get("x-modal-token-id"), stream.metadata.get("x-modal-token-secret"))
        if who not in self.owner.accepted:
            raise GRPCError(Status.UNAUTHENTICATED, "Token ID is malformed or revoked")
        return asked

    async def ClientHello(self, stream: Any) -> None:
        await self._asked(stream)
        await stream.send_message(pb.ClientHelloResponse())

    async def AuthTokenGet(self, stream: Any) -> None:
        await self._asked(stream)
        await stream.send_message(pb.AuthTokenGetResponse(token="x.eyJleHAiOjk5OTk5OTk5OTl9.x"))

    async def AppGetOrCreate(self, stream: Any) -> None:
        await self._asked(stream)
        await stream.send_message(pb.AppGetOrCreateResponse(app_id="ap-1"))

    async def EnvironmentGetOrCreate(self, stream: Any) -> None:
        await self._asked(stream)
        settings = pb.EnvironmentSettings(image_builder_version="2025.06")
        await stream.send_message(
            pb.EnvironmentGetOrCreateResponse(
                environment_id="en-1", metadata=pb.EnvironmentMetadata(name="main", settings=settings)
            )
        )

    async def ImageGetOrCreate(self, stream: Any) -> None:
        asked = await self._asked(stream)
        self.owner.images.append(asked.image)
        status = pb.GenericResult.GENERIC_STATUS_FAILURE if self.owner.fail_build else pb.GenericResult.GENERIC_STATUS_SUCCESS
        done = pb.GenericResult(status=status, exception=self.owner.fail_build)
        await stream.send_message(pb.ImageGetOrCreateResponse(image_id=f"im-{len(self.owner.images)}", result=done))

    async def SecretGetOrCreate(self, stream: Any) -> None:
        asked = await self._asked(stream)
        secret = f"st-{len(self.owner.secrets)}"
        self.owner.secrets[secret] = dict(asked.env_dict)
        await stream.send_message(pb.SecretGetOrCreateResponse(secret_id=secret))

    # --- Volumes --------------------------------------------------------------------------------------

    async def VolumeGetOrCreate(self, stream: Any) -> None:
        asked = await self._asked(stream)
        name = asked.deployment_name
        if name not in self.owner.volumes:
            if asked.object_creation_type != pb.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise GRPCError(Status.NOT_FOUND, f"Volume '{name}' not found")
            self.owner.volumes[name] = {}
        self.owner.names[f"vo-{name}"] = name
        meta = pb.VolumeMetadata(version=pb.VOLUME_FS_VERSION_V2, name=name)
        await stream.send_message(
            pb.VolumeGetOrCreateResponse(volume_id=f"vo-{name}", version=pb.VOLUME_FS_VERSION_V2, metadata=meta)
        )

    async def VolumeList(self, stream: Any) -> None:
        await self._asked(stream)
        items = [
            pb.VolumeListItem(
                label=name, volume_id=f"vo-{name}", metadata=pb.VolumeMetadata(version=pb.VOLUME_FS_VERSION_V2, name=name)
            )
            for name in self.owner.volumes
        ]
        await stream.send_message(pb.VolumeListResponse(items=items))

    async def VolumeDelete(self, stream: Any) -> None:
        asked = await self._asked(stream)
        self.owner.volumes.pop(self.owner.names[asked.volume_id], None)
        from google.protobuf import empty_pb2

        await stream.send_message(empty_pb2.Empty())

    async def VolumePutFiles2(self, stream: Any) -> None:
        asked = await self._asked(stream)
        missing = []
        for index, file in enumerate(asked.files):
            for place, block in enumerate(file.blocks):
                if block.contents_sha256.hex() not in self.owner.blocks:
                    url = f"{self.owner.blocks_url}/{block.contents_sha256.hex()}"
                    missing.append(pb.VolumePutFiles2Response.MissingBlock(file_index=index, block_index=place, put_url=url))
        if not missing:
            held = self.owner.volumes[self.owner.names[asked.volume_id]]
            for file in asked.files:
                held[file.path.lstrip("/")] = b"".join(self.owner.blocks[block.contents_sha256.hex()] for block in file.blocks)[
                    : file.size
                ]
        await stream.send_message(pb.VolumePutFiles2Response(missing_blocks=missing))

    async def VolumeListFiles2(self, stream: Any) -> None:
        asked = await self._asked(stream)
        name = self.owner.names[asked.volume_id]
        self._see(name)
        held = self.owner.volumes[name]
        entries = [pb.FileEntry(path=path, type=pb.FileEntry.FILE, size=len(body)) for path, body in sorted(held.items())]
        await stream.send_message(pb.VolumeListFiles2Response(entries=entries))

    async def VolumeGetFile2(self, stream: Any) -> None:
        asked = await self._asked(stream)
        body = self.owner.volumes[self.owner.names[asked.volume_id]].get(asked.path.lstrip("/"))
        if body is None:
            raise GRPCError(Status.NOT_FOUND, "no such file")
        urls = []
        for begin in range(0, len(body), BLOCK):
            part = body[begin : begin + BLOCK]
            digest = hashlib.sha256(part).hexdigest()
            self.owner.blocks[digest] = part
            urls.append(f"{self.owner.blocks_url}/{digest}")
        await stream.send_message(pb.VolumeGetFile2Response(get_urls=urls, size=len(body), start=0, len=len(body)))

    def _see(self, name: str) -> None:
        for box in self.owner.boxes:
            if not box.status and any(self.owner.names[mount.volume_id] == name for mount in box.definition.volume_mounts):
                self.owner.commit(box)

    # --- Sandboxes ------------------------------------------------------------------------------------

    async def SandboxCreate(self, stream: Any) -> None:
        asked = await self._asked(stream)
        # The client asks again with the same key when an answer does not come.
        key = str(stream.metadata.get("x-idempotency-key"))
        if key not in self.owner.created:
            self.owner.created[key] = self.owner.begin(asked.definition, {tag.tag_name: tag.tag_value for tag in asked.tags})
        box = self.owner.created[key]
        if self.owner.lose_answer:
            self.owner.lose_answer -= 1
            raise GRPCError(Status.INTERNAL, "the answer got lost")
        await stream.send_message(pb.SandboxCreateResponse(sandbox_id=box.id, metadata=pb.SandboxHandleMetadata(app_id="ap-1")))

    async def SandboxGetTaskId(self, stream: Any) -> None:
        asked = await self._asked(stream)
        await stream.send_message(pb.SandboxGetTaskIdResponse(task_id=f"ta-{asked.sandbox_id}"))

    async def SandboxWait(self, stream: Any) -> None:
        box = self._box(await self._asked(stream))
        answer = pb.SandboxWaitResponse(metadata=pb.SandboxHandleMetadata(app_id="ap-1"))
        if box.status:
            answer.result.CopyFrom(box.result)
        await stream.send_message(answer)

    async def SandboxList(self, stream: Any) -> None:
        asked = await self._asked(stream)
        tags = {tag.tag_name: tag.tag_value for tag in asked.tags}
        running = [box for box in self.owner.boxes if not box.status and tags.items() <= box.tags.items()]
        running = [box for box in running if not asked.before_timestamp or box.created < asked.before_timestamp]
        found = [pb.SandboxInfo(id=box.id, created_at=box.created, app_id="ap-1") for box in reversed(running)]
        await stream.send_message(pb.SandboxListResponse(sandboxes=found))

    SandboxListV2 = SandboxList  # it lists those of both kinds

    async def SandboxTagsGet(self, stream: Any) -> None:
        box = self._box(await self._asked(stream))
        await stream.send_message(
            pb.SandboxTagsGetResponse(tags=[pb.SandboxTag(tag_name=name, tag_value=value) for name, value in box.tags.items()])
        )

    async def SandboxTerminate(self, stream: Any) -> None:
        box = self._box(await self._asked(stream))
        self.owner.end(box, pb.GenericResult.GENERIC_STATUS_TERMINATED, 137)
        await stream.send_message(pb.SandboxTerminateResponse())

    async def SandboxGetLogs(self, stream: Any) -> None:
        asked = await self._asked(stream)
        box, sent = self._box(asked), int(asked.last_entry_id or 0)
        while True:
            over = bool(box.status)
            for line in box.lines[sent:]:
                sent += 1
                items = [pb.TaskLogs(data=line, file_descriptor=pb.FILE_DESCRIPTOR_STDOUT)]
                await stream.send_message(pb.TaskLogsBatch(items=items, entry_id=str(sent)))
            if over:
                await stream.send_message(pb.TaskLogsBatch(eof=True, entry_id=str(sent)))
                return
            await asyncio.sleep(0.05)

    async def TaskGetCommandRouterAccess(self, stream: Any) -> None:
        await self._asked(stream)
        await stream.send_message(pb.TaskGetCommandRouterAccessResponse(url=self.owner.url, jwt="x.eyJleHAiOjk5OTk5OTk5OTl9.x"))

    def _box(self, asked: Any) -> Box:
        found = next((box for box in self.owner.boxes if box.id == asked.sandbox_id), None)
        if found is None:
            raise GRPCError(Status.NOT_FOUND, "no such Sandbox")
        return found
