#!/usr/bin/env python3
"""A client that shares no code with the node: plain sockets and the standard library.

Starts `wattshed node`, speaks the Open Inference Protocol to it in every form that real
clients use, behaves badly on further connections meanwhile, and ends it with SIGTERM.
Usage: foreign_client.py WATTSHED MODEL
"""
import gzip
import http.client
import json
import signal
import socket
import struct
import subprocess
import sys
import zlib

INPUT = bytes(i * 7 % 256 for i in range(96 * 96))


def call(connection, method, path, body=None, headers=None):
    """Returns status, headers and body."""
    connection.request(method, path, body, headers or {})
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def expect(condition, what):
    """Ends the test with a line unless the condition holds."""
    if not condition:
        sys.exit(f"foreign_client: {what}")


def tensor(data=None, size=None):
    """The model's input, as a JSON object."""
    entry = {"name": "pixels", "shape": [1, 1, 96, 96], "datatype": "UINT8"}
    if data is None:
        entry["parameters"] = {"binary_data_size": size}
    else:
        entry["data"] = data
    return entry


def logits(headers, body):
    """Ten floats out of a reply, binary or not."""
    encoding = headers.get("Content-Encoding")
    if encoding == "gzip":
        body = gzip.decompress(body)
    elif encoding == "deflate":
        body = zlib.decompress(body)
    length = headers.get("Inference-Header-Content-Length")
    if length is None:
        return json.loads(body)["outputs"][0]["data"]
    head = json.loads(body[: int(length)])
    size = head["outputs"][0]["parameters"]["binary_data_size"]
    expect(size == 40, f"an output of {size} bytes")
    return list(struct.unpack("<10f", body[int(length):]))


def forms():
    """Bodies and headers that mean the same request."""
    nested = [[[list(INPUT[r * 96: r * 96 + 96]) for r in range(96)]]]
    plain = json.dumps({"inputs": [tensor(list(INPUT))]}).encode()
    yield "flat", plain, {}
    yield "nested", json.dumps({"id": "x", "inputs": [tensor(nested)]}).encode(), {}
    for level in (1, 9):
        yield "gzip", gzip.compress(plain, level), {"Content-Encoding": "gzip"}
    yield "deflate", zlib.compress(plain), {"Content-Encoding": "deflate"}
    yield "gzip back", plain, {"Accept-Encoding": "gzip, deflate"}
    yield "deflate back", plain, {"Accept-Encoding": "deflate"}
    # As Triton's clients ask, parameters and all.
    head = json.dumps({"id": "abc", "parameters": {"priority": 1, "timeout": 5000000},
                       "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
                       "inputs": [tensor(size=len(INPUT))]}).encode()
    yield "as Triton's", zlib.compress(head + INPUT), {
        "Content-Encoding": "deflate", "Accept-Encoding": "gzip",
        "Inference-Header-Content-Length": str(len(head))}
    for wants in (
        {},
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "logits", "parameters": {"binary_data": True}}]},
        {"outputs": [{"name": "logits"}]},
    ):
        head = json.dumps({**wants, "inputs": [tensor(size=len(INPUT))]}).encode()
        yield f"binary {wants}", head + INPUT, {
            "Inference-Header-Content-Length": str(len(head))}
    yield "raw", INPUT, {"Inference-Header-Content-Length": "0"}


def misbehave(port):
    """Connections that go wrong in different ways; each is left to its fate."""
    head = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\n"
    left = []
    for text in (
        b"\x16\x03\x01\x00\xa5garbage\x00\r\n\r\n",
        head + b"Content-Length: 1000\r\n\r\n{\"inputs\"",
        head + b"Content-Length: 99999999999999999999\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n",
        b"GET /" + b"a" * 300000,
    ):
        connection = socket.create_connection(("127.0.0.1", port))
        try:
            connection.sendall(text)
        except OSError:
            pass  # it hung up already, as it may
        left.append(connection)
    for connection in left[::2]:
        connection.close()
    return left


def main():
    """Runs everything once."""
    node = subprocess.Popen(
        [sys.argv[1], "node", "--listen", "127.0.0.1:0", "--body", "4M", sys.argv[2]],
        stdout=subprocess.PIPE, text=True)
    try:
        url = node.stdout.readline().strip()
        expect(url.startswith("http://127.0.0.1:"), f"no address: {url}")
        port = int(url.rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        status, _, body = call(connection, "GET", "/v2/models/digits")
        expect(status == 200, f"metadata: {status}")
        expect(json.loads(body)["inputs"][0]["name"] == "pixels", f"metadata: {body}")
        first = None
        for name, body, headers in forms():
            left = misbehave(port)
            status, back, reply = call(connection, "POST", "/v2/models/digits/infer",
                                       body, headers)
            expect(status == 200, f"{name}: {status} {reply[:200]}")
            values = [struct.unpack("<f", struct.pack("<f", v))[0]
                      for v in logits(back, reply)]
            first = first or values
            expect(values == first, f"{name}: {values} instead of {first}")
            for other in left:
                other.close()
        bomb = gzip.compress(b"\0" * (64 << 20), 1)
        status, _, reply = call(connection, "POST", "/v2/models/digits/infer", bomb,
                                {"Content-Encoding": "gzip"})
        expect(status == 413 and b'"error"' in reply, f"bomb: {status} {reply[:200]}")
        status, _, reply = call(connection, "GET", "/v2/models/digits/stats",
                                headers={"Accept-Encoding": "gzip"})
        stats = json.loads(reply)["model_stats"][0]["inference_stats"]
        expect(stats["queue"]["count"] == len(list(forms())), f"statistics: {stats}")
        node.send_signal(signal.SIGTERM)
        expect(node.wait(30) == 0, f"exit status {node.returncode}")
    finally:
        node.kill()
        node.wait()


main()
