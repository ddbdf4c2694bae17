"""A real S3 server for tests, SeaweedFS, and a proxy that makes faults."""

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from programs import PATIENCE_S

ACCESS = {"AWS_ACCESS_KEY_ID": "testkey123", "AWS_SECRET_ACCESS_KEY": "testsecret123"}
BUCKET = "testdata"
held = []  # the sockets of ports that were found


def find_port():
    """Return a port nobody listens at, nor will by chance."""
    return find_ports(["port"], "127.0.0.1")["port"]


def is_open(port):
    """Return whether somebody listens at a port of this machine."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def find_ports(names, host):
    """Return a port for each name, held until this process ends.

    The kernel gives it to nobody who asks for any port, while a server that names it
    and sets SO_REUSEADDR, as those of Python, Go and Rust do, can listen at it.
    """
    found = [socket.socket() for _ in names]
    held.extend(found)
    for each in found:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind((host, 0))
    return {n: f.getsockname()[1] for n, f in zip(names, found, strict=True)}


def start_s3(folder, host):
    """Start the server; return its process and ports."""
    services = ("s3", "filer", "master", "volume", "admin")
    names = [f"{service}.port{kind}" for service in services for kind in ("", ".grpc")]
    ports = find_ports(names, host)
    command = [Path(sys.executable).parent / "weed", "mini", f"-dir={folder}"]
    command += [f"-ip={host}", f"-ip.bind={host}", "-webdav=false"]
    command += ["-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{name}={port}" for name, port in ports.items()]
    process = subprocess.Popen(
        [*map(str, command)],
        env=os.environ | ACCESS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        wait_until_ready(f"http://{host}:{ports['s3.port']}/healthz", process)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process, ports


@contextlib.contextmanager
def serve_s3(folder, host="127.0.0.1"):
    """Give the address of an S3 server with an empty bucket; it ends with the block."""
    process, ports = start_s3(folder, host)
    endpoint = f"http://{host}:{ports['s3.port']}"
    try:
        make_client(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        process.kill()  # its data are thrown away
        process.wait()
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


@contextlib.contextmanager
def serve_hadro(folder, latency_ms=30, error_rate=0.0):
    """Give the address of hadro on a folder of buckets: a slow, faulty store."""
    port = str(find_port())
    command = ["hadro", "--backend", "local", "--host", "127.0.0.1", "--port", port]
    command += ["--latency-ms", str(latency_ms), "--error-rate", str(error_rate)]
    command += ["--fault-seed", "1", "--access-key", ACCESS["AWS_ACCESS_KEY_ID"]]
    command += ["--secret-key", ACCESS["AWS_SECRET_ACCESS_KEY"], str(folder)]
    command[0] = str(Path(sys.executable).parent / command[0])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        wait_until_ready(endpoint, process)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(address, process):
    """Wait until a server answers."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError as error:
            if getattr(error, "code", 500) < 500:
                return  # it refuses, so it answers
            assert process.poll() is None, f"{process.args[0]} ended"
            assert time.monotonic() < end_s, f"{address} does not answer"
            time.sleep(0.05)


def make_client(endpoint):
    """Return a client of boto3."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
    )


class FaultyServer(http.server.ThreadingHTTPServer):
    """Serve one object by HTTP with ranges and ETag, and make the faults asked for.

    ``faults`` is a list of names that are taken one a request: ``503``, ``short``
    (fewer bytes than said), ``whole`` (200 and all bytes, where a range was asked for),
    ``other`` (bytes of another range), ``stall`` (no answer for a while).
    """

    def __init__(self, data, faults=(), status=200):
        super().__init__(("127.0.0.1", 0), FaultyHandler)
        self.data, self.faults, self.etag = data, list(faults), '"v1"'
        self.status = status
        self.uri = f"http://127.0.0.1:{self.server_port}/object"


class FaultyHandler(http.server.BaseHTTPRequestHandler):
    """Answer for ``FaultyServer``."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.reply(self.server.status, len(self.server.data))

    def do_GET(self):
        data, faults = self.server.data, self.server.faults
        fault = faults.pop(0) if faults and "Range" in self.headers else ""
        if self.path != "/object":
            return self.reply(404, 0)
        if self.server.status in (401, 403):
            return self.reply(self.server.status, 0)
        if fault == "stall":
            time.sleep(4)
        if fault == "503":
            return self.reply(503, 0)
        if self.headers.get("If-Match", self.server.etag) != self.server.etag:
            return self.reply(412, 0)
        if "Range" not in self.headers or fault == "whole":
            self.reply(200, len(data))
            return self.wfile.write(data)
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        part = data[first : last + 1]
        at = first + 1 if fault == "other" else first
        self.reply(206, len(part), f"bytes {at}-{at + len(part) - 1}/{len(data)}")
        if fault == "short":
            self.close_connection = True
            part = part[:-3]
        return self.wfile.write(part)

    def reply(self, code, n_bytes, place=None):
        self.send_response(code)
        self.send_header("Content-Length", str(n_bytes))
        self.send_header("ETag", self.server.etag)
        if place:
            self.send_header("Content-Range", place)
        self.end_headers()


@contextlib.contextmanager
def serve_faults(data, faults=(), status=200):
    """Give a server that makes faults, and looks at objects with some status."""
    with FaultyServer(data, faults, status) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
