"""A webhook receiver: agrees to the node's question, proves each message, and keeps a copy of the rows in SQLite. Standard library only.

python receiver.py subscription.json PORT copy.sqlite NODE.dxmesh
"""

import base64
import hashlib
import hmac
import json
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

TOLERANCE_SECONDS = 300
MOST_BYTES = 64 << 20


def is_proven(headers, body: bytes, secret: str, now: float) -> bool:
    """Say whether a message is from the node, and fresh (Standard Webhooks, symmetric signatures)."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest())
    given = [one.partition(",")[2].encode() for one in headers.get("webhook-signature", "").split() if one.startswith("v1,")]
    return any(hmac.compare_digest(wanted, one) for one in given)  # while a secret is being replaced there are two


class Copy:
    """The rows by key; an event that was here before changes nothing."""

    def __init__(self, path: str) -> None:
        self.lock = Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("CREATE TABLE IF NOT EXISTS row (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self.db.execute("CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id))")

    def take(self, events: list) -> None:
        """Enter a whole message or nothing of it: it is answered 204 only once it is kept."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                for event in events:
                    is_new = self.db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (event["source"], event["id"])).rowcount
                    if not is_new:
                        continue
                    key = event.get("subject") or event["id"]  # a view without a key has rows, and no changes of them
                    if event["type"] == "dxmesh.row.deleted.v1":
                        self.db.execute("DELETE FROM row WHERE key = ?", (key,))
                    else:
                        value = json.dumps(event["data"], ensure_ascii=False)
                        self.db.execute(
                            "INSERT INTO row VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
                        )
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise


class Receiver(BaseHTTPRequestHandler):
    """Answers OPTIONS, by which the node asks whether it may send, and POST, by which it sends."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    copy: Copy
    kept: Path
    node: str

    def do_OPTIONS(self) -> None:
        """Agree to this node and no other (CloudEvents Web Hooks, section 4)."""
        asked = self.headers.get("WebHook-Request-Origin")
        self._answer(200 if asked == self.node else 403, {"WebHook-Allowed-Origin": self.node} if asked == self.node else {})

    def do_POST(self) -> None:
        """Take a message: 401 when it is not proven, 204 once its rows are kept."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MOST_BYTES:
            self._answer(413, {"Connection": "close"})
            return
        body = self.rfile.read(length)
        secret = json.loads(self.kept.read_text())["secret"]
        if not is_proven(self.headers, body, secret, time.time()):
            self._answer(401)
            return
        self.copy.take(json.loads(body))
        self._answer(204)

    def _answer(self, status: int, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main(kept: str, port: str, copy: str, node: str) -> None:
    """Serve until ended."""
    Receiver.kept, Receiver.copy, Receiver.node = Path(kept), Copy(copy), node
    with ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver) as server:
        print(f"receiving at http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
