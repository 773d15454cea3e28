"""A client of the media API that does not give up: chunks in any order and twice, then finalize."""

import json
import threading
from collections.abc import Sequence
from typing import Any

from tests.forms import FORM, form
from tests.raw import Answer
from tests.survival.persistent import Broken, Persistent

API = "/api/v1/media/upload"
JSON = "application/json"


class ChunkClient(Persistent):
    """Sends whole files in chunks; see Persistent."""

    def begin_surely(self, values: dict[str, str], size: int, chunk_size: int) -> str:
        """Begin an upload; its id. One whose answer was lost stays behind, unheard of."""
        asked = {
            "file_name": values["filename"],
            "content_type": values["filetype"],
            "file_size": size,
            "chunk_size": chunk_size,
        }
        if "post_id" in values:
            asked["post_id"] = values["post_id"]
        begun: str = self._api("POST", f"{API}/init", JSON, json.dumps(asked).encode())["upload_id"]
        return begun

    def chunks_surely(self, upload_id: str, chunks: dict[int, bytes]) -> None:
        """Send these in an order of chance, some of them twice; none may be missing afterwards."""
        order = [*chunks, *self.rng.sample(sorted(chunks), len(chunks) // 3)]
        self.rng.shuffle(order)
        acknowledged: set[int] = set()
        for index in order:
            said = self._chunk(upload_id, index, chunks[index])
            acknowledged.add(index)
            lost = acknowledged.intersection(said["missing"])
            if lost:
                raise Broken(f"{upload_id} lost the chunks {lost} that it had acknowledged.")

    def finalize_surely(self, upload_id: str, post_id: str) -> None:
        """Ask for the medium until it is there, with its post."""
        asked = json.dumps({"post_id": post_id}).encode()
        medium = self._api("POST", f"{API}/{upload_id}/finalize", JSON, asked)
        if medium["post_id"] != post_id:
            raise Broken(f"{upload_id} was finalized for {post_id}, but belongs to {medium}.")

    def status_surely(self, upload_id: str) -> dict[str, Any]:
        """How far the upload has come."""
        return self._api("GET", f"{API}/{upload_id}/status", None, b"")

    def _chunk(self, upload_id: str, index: int, chunk: bytes) -> dict[str, Any]:
        fields = [("upload_id", upload_id), ("chunk_index", str(index))]
        file = ("chunk", chunk, "blob", None)
        parts = [file, *fields] if self.rng.random() < 0.2 else [*fields, file]
        return self._api("POST", f"{API}/chunk", FORM, form(*parts))

    def _api(self, method: str, target: str, kind: str | None, body: bytes) -> dict[str, Any]:
        while True:
            answer = self._try(lambda: self._send_slowly(method, target, kind, body))
            if answer is None or self._is_later(answer):
                continue
            if answer.status not in (200, 202):
                raise Broken(f"{method} {target} was answered {answer}.")
            found: dict[str, Any] = answer.json()
            return found

    def _send_slowly(self, method: str, target: str, kind: str | None, body: bytes) -> Answer:
        fields = [] if kind is None else [("Content-Type", kind)]
        length = ("Content-Length", str(len(body)))
        with self.wire() as wire:
            wire.send(self.head(method, target, *fields, length, tus=False))
            self._trickle(wire, body)
            return wire.answer()


def send_in_chunks(
    clients: Sequence[ChunkClient], content: bytes, values: dict[str, str], *, chunk_size: int
) -> str:
    """Upload a file with these clients at once, each with chunks of its own; the upload's path."""
    first, *_ = clients
    said = dict(values)
    if first.rng.random() < 0.5:
        del said["post_id"]  # it comes with finalize
    upload_id = first.begin_surely(said, len(content), chunk_size)
    starts = range(0, len(content), chunk_size)
    chunks = {n: content[at : at + chunk_size] for n, at in enumerate(starts)}
    shares = [{n: chunks[n] for n in chunks if n % len(clients) == k} for k in range(len(clients))]
    failures: list[Exception] = []

    def send(client: ChunkClient, share: dict[int, bytes]) -> None:
        try:
            client.chunks_surely(upload_id, share)
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=send, args=each) for each in zip(clients, shares, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    status = first.status_surely(upload_id)
    if status["missing_chunks"] or status["status"] != "completed":
        raise Broken(f"All chunks were acknowledged, but the status is {status}.")
    first.finalize_surely(upload_id, values["post_id"])
    return f"/files/{upload_id}"
