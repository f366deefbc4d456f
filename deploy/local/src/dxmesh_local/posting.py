"""A webhook that the demo runs as the department would: the example's receiver, whose first answer is an error."""

import json
import runpy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID

from dxmesh_client import Client, ProblemAnswer
from dxmesh_local.story import WAIT_SECONDS, Story, until


class Receiver(ThreadingHTTPServer):
    """An address on this machine: proves and keeps messages by examples/webhooks/receiver.py, and answers the first with 500."""

    def __init__(self, example: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        taught = runpy.run_path(str(example))
        self.is_proven, self.copy = taught["is_proven"], taught["Copy"](":memory:")
        self.answers: list[tuple[str, int]] = []  # webhook-id and status of each message, in order
        self.subscription: dict[str, Any] = {}
        self.is_subscribed = threading.Event()

    @property
    def url(self) -> str:
        """Return where messages are posted to."""
        return f"http://127.0.0.1:{self.server_port}/rows"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows that were kept."""
        with self.copy.lock:
            return [json.loads(value) for (value,) in self.copy.db.execute("SELECT value FROM row")]

    def take(self, headers: Any, body: bytes) -> int:
        """Take a message; return the answer: 401 when it is not proven, 500 to the first, 204 once its rows are kept."""
        self.is_subscribed.wait(WAIT_SECONDS)
        if not self.is_proven(headers, body, self.subscription["secret"], time()):
            status = 401
        elif not self.answers:
            status = 500
        else:
            self.copy.take(json.loads(body))
            status = 204
        self.answers.append((headers["webhook-id"], status))
        return status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: Receiver

    def do_OPTIONS(self) -> None:
        self._answer(200, {"WebHook-Allowed-Origin": self.headers["WebHook-Request-Origin"]})

    def do_POST(self) -> None:
        self._answer(self.server.take(self.headers, self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the demo's output to what it tells."""


@contextmanager
def receiving(story: Story) -> Iterator[Receiver]:
    """Run a receiver while the block lasts."""
    with Receiver(story.examples / "webhooks" / "receiver.py") as receiver:
        threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield receiver
        finally:
            receiver.shutdown()


def subscribe(requester: Client, grant_id: UUID, receiver: Receiver, rows: list[dict[str, Any]], story: Story) -> None:
    """Have a grant's rows posted, and compare what was kept with the rows of the topic."""
    url = _url(requester, grant_id)
    receiver.subscription = requester.call("POST", url, json={"mode": "webhook", "url": receiver.url}).json()
    receiver.is_subscribed.set()
    until(lambda: bool(receiver.rows), "no signed message was kept")
    statuses = [status for _, status in receiver.answers]
    message_ids = {message_id for message_id, _ in receiver.answers}
    story.require(statuses == [500, 204] and len(message_ids) == 1, f"not one message, sent again after its 500: {receiver.answers}")
    story.require(sorted(map(str, receiver.rows)) == sorted(map(str, rows)), "the webhook kept other rows than the topic has")
    one = f"{url}/{receiver.subscription['subscription_id']}"
    until(lambda: requester.call("GET", one).json()["row_count"] == len(rows), "the node does not count what the webhook took")
    story.say(
        f"   posted to a webhook, signed: its first answer was 500, the message came again, and {len(receiver.rows)} rows are kept, once"
    )
    story.numbers |= {"rows_posted": len(receiver.rows), "webhook_answers": ", ".join(map(str, statuses))}


def stopped(requester: Client, grant_id: UUID, receiver: Receiver, story: Story) -> None:
    """Require that a webhook ended with its grant, and that nothing can make it go on."""
    one = f"{_url(requester, grant_id)}/{receiver.subscription['subscription_id']}"
    until(lambda: bool(requester.call("GET", one).json()["state"] == "ended"), "the webhook goes on without its grant")
    try:
        requester.call("POST", f"{one}/replay", json={})
    except ProblemAnswer as refused:
        story.require(refused.slug == "subscription-state", f"a replay was refused for another reason: {refused}")
    else:
        story.require(False, "rows are to be posted again although the grant is over")
    story.require(len(receiver.answers) == 2, f"more was posted than the two messages: {receiver.answers}")


def _url(requester: Client, grant_id: UUID) -> str:
    return f"{requester.profile.exchange}/v1/grants/{grant_id}/subscriptions"
