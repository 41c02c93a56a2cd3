"""The example files of proxies with a node behind; only paths, ports and periods are replaced."""

from __future__ import annotations

import datetime
import os
import socket
import subprocess
import time
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from tests.live.test_stream import Stream
from tests.support.tools import needs_tool
from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import RpcUnreachable
from timecoin.rpc.tls import TlsFiles, ensure_certificate

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "proxy"
START_S = 60.0
FLOOD = 200
"""More than both let pass at once; their periods are made so long that speed does not matter."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class ProxyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(0o755, parents=True)
        files = TlsFiles(self.directory / "proxy.pem", self.directory / "proxy.key", own=True)
        ensure_certificate(files, ["127.0.0.1"], datetime.datetime.now(datetime.UTC))
        self.files = files
        self.port = free_port()

    def example(self, name: str, replaced: dict[str, str]) -> str:
        """The text of an example; what is to be ``replaced`` must be in it."""
        text = (EXAMPLES / name).read_text("utf-8")
        for old, new in replaced.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        return text

    def behind(self, node: NodeRecord, command: list[str]) -> NodeRecord:
        """Run the proxy; the node as it is seen through it."""
        log_path = self.directory / "proxy.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        seen = msgspec.structs.replace(
            node,
            rpc_url=f"https://127.0.0.1:{self.port}/",
            tls_cert=str(self.files.certificate),
        )
        deadline = time.monotonic() + START_S
        while True:
            client = seen.client()
            try:
                client.call("uptime")
                return seen
            except RpcUnreachable:
                self.assertIsNone(process.poll(), log_path.read_text())
                self.assertLess(time.monotonic(), deadline, log_path.read_text())
                time.sleep(0.1)
            finally:
                client.close()

    def check(self, seen: NodeRecord) -> None:
        """Calls, a payment heard of over the WebSocket, what is not public, and too many calls."""
        client = seen.client()
        self.addCleanup(client.close)
        stream = Stream(seen)
        self.addCleanup(stream.close)
        self.assertEqual(stream.status, b"101")
        stream.ask("subscribe", "transactions")
        txid = client.call("sendtoaddress", [client.call("getnewaddress"), "1.5"])
        self.assertEqual(stream.hear()["params"]["result"]["txid"], txid)

        self.assertEqual(self.status_of(seen, "/health"), 200)
        self.assertEqual(self.status_of(seen, "/metrics"), 404)
        self.assertEqual(self.status_of(seen, "/rpc/../metrics"), 404)
        stranger = msgspec.structs.replace(seen, rpc_password="guess").client()
        self.addCleanup(stranger.close)
        refused = self.assertRaises(RpcUnreachable, stranger.call, "uptime")
        self.assertEqual(refused.status, 401)

        statuses: set[int | None] = set()
        for _ in range(FLOOD):
            try:
                client.call("uptime")
                statuses.add(200)
            except RpcUnreachable as error:
                statuses.add(error.status)
        self.assertEqual(statuses, {200, 429})

    def status_of(self, seen: NodeRecord, path: str) -> int:
        """The HTTP status of a GET without a login."""
        ended = subprocess.run(
            [
                *(needs_tool("curl"), "--silent", "--path-as-is", "--output", os.devnull),
                *("--write-out", "%{http_code}", "--cacert", str(seen.tls_cert)),
                seen.rpc_url.rstrip("/") + path,
            ],
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        return int(ended.stdout)

    def test_nginx(self) -> None:
        nginx = needs_tool("nginx")
        (node,) = start_network(self, 1, slot_ms=4_000).nodes
        example = self.directory / "timecoin.conf"
        example.write_text(
            self.example(
                "nginx.conf",
                {
                    "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                    "/etc/ssl/certs/node.example.org.pem": str(self.files.certificate),
                    "/etc/ssl/private/node.example.org.key": str(self.files.key),
                    "127.0.0.1:24001": node.rpc_url.removeprefix("http://").rstrip("/"),
                    "rate=50r/s": "rate=1r/m",
                },
            )
        )
        temporary = "".join(
            f"{part}_temp_path {self.directory}/{part};\n"
            for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = self.directory / "nginx.conf"
        whole.write_text(
            ("user root;\n" if os.geteuid() == 0 else "")
            + f"daemon off; pid {self.directory}/nginx.pid; error_log stderr;\n"
            + "events {}\n"
            + f"http {{ access_log off;\n{temporary}include {example};\n}}\n"
        )
        prefix = ["-p", str(self.directory), "-c", str(whole)]
        self.check(self.behind(node, [nginx, *prefix]))

    def test_haproxy(self) -> None:
        haproxy = needs_tool("haproxy")
        (node,) = start_network(self, 1, slot_ms=4_000).nodes
        joined = self.directory / "joined.pem"
        joined.write_bytes(self.files.certificate.read_bytes() + self.files.key.read_bytes())
        example = self.directory / "haproxy.cfg"
        example.write_text(
            self.example(
                "haproxy.cfg",
                {
                    "bind :443": f"bind 127.0.0.1:{self.port}",
                    "/etc/haproxy/node.example.org.pem": str(joined),
                    "127.0.0.1:24001": node.rpc_url.removeprefix("http://").rstrip("/"),
                    "expire 10s store http_req_rate(1s)": "expire 1h store http_req_rate(1h)",
                },
            )
        )
        self.check(self.behind(node, [haproxy, "-db", "-f", str(example)]))
