"""A real Zipkin server (Apache Zipkin from Maven Central) with storage in memory, asked through its own API."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.cache import cache_folder
from tests.support.netns import NetworkNamespace, free_port

VERSION = "3.4.4"
# A test server that is hardly ever busy: small, quick to start.
JVM_OPTIONS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class ZipkinFailed(RuntimeError):
    """The server could not be fetched or did not start; carries its output."""


def server_jar() -> Path:
    """Return the server's jar (87 MB) from the cache; Maven fetches it the first time."""
    folder = cache_folder() / "zipkin"
    folder.mkdir(exist_ok=True)
    jar = folder / f"zipkin-server-{VERSION}-exec.jar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of one test run, one download
        if not jar.exists():
            partial = folder / f"partial-{os.getpid()}"
            done = subprocess.run(
                [
                    "mvn",
                    "-q",
                    "dependency:copy",
                    f"-Dartifact=io.zipkin:zipkin-server:{VERSION}:jar:exec",
                    f"-DoutputDirectory={partial}",
                ],
                cwd=folder,  # a pom.xml in the current folder would change what Maven does
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise ZipkinFailed(f"mvn dependency:copy: {done.stdout}{done.stderr}")
            (partial / jar.name).rename(jar)
            partial.rmdir()
    return jar


class ZipkinServer:
    """A server in a network namespace of its own (or the caller's), in memory. A context manager.

    Whoever reports to it, or asks it, must be inside: ``with zipkin.entered(): ...``. ``url`` is the base address;
    spans are posted to ``endpoint``.
    """

    def __init__(self, log: Path, *, netns: NetworkNamespace | None = None, timeout: float = 90.0) -> None:
        self.netns = netns
        self.log = log
        jar = server_jar()
        with self.entered():
            self.port = free_port()
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", "java", *JVM_OPTIONS, "-jar", str(jar)],
                    env={**os.environ, "QUERY_PORT": str(self.port), "STORAGE_TYPE": "mem", "QUERY_TIMEOUT": "30s"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            self._wait_until_up(timeout)

    @property
    def url(self) -> str:
        """Base address of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        """Address that takes spans (version 2 of the API)."""
        return f"{self.url}/api/v2/spans"

    def entered(self) -> ExitStack:
        """Enter the server's network namespace (none of its own: stay)."""
        stack = ExitStack()
        if self.netns is not None:
            stack.enter_context(self.netns.entered())
        return stack

    def get(self, path: str) -> Any:
        """Return the JSON that ``GET <url>/api/v2/<path>`` answers."""
        with self.entered(), urllib.request.urlopen(f"{self.url}/api/v2/{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, spans: list[dict[str, Any]]) -> int:
        """Post spans in Zipkin's JSON; return the HTTP status."""
        request = urllib.request.Request(
            self.endpoint, json.dumps(spans).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with self.entered(), urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status

    def trace(self, trace_id: str, *, spans: int = 1, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Return the spans of a trace (32 hex digits) once at least ``spans`` have arrived; fewer on time-out."""
        deadline = time.monotonic() + timeout
        found: list[dict[str, Any]] = []
        while len(found) < spans and time.monotonic() < deadline:
            try:
                found = self.get(f"trace/{trace_id}")
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 404:
                    raise
            if len(found) < spans:
                time.sleep(0.1)
        return found

    def stop(self) -> None:
        """End the server."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_up(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ZipkinFailed(f"ended with {self._process.returncode}: {self.log.read_text(errors='replace')}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except OSError as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                time.sleep(0.1)
        self.stop()
        raise ZipkinFailed(f"not up after {timeout} s: {self.log.read_text(errors='replace')}")

    def __enter__(self) -> ZipkinServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
