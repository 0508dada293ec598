#!/usr/bin/env python3
"""A model that wants a library of custom operators does not get it, but a clear line.

The library leaves a trace when it is loaded, which is tried first. The model names it in
every place that some runtime looks at: its metadata, an attribute, its domain. Whoever is
asked to run or to host it, from the command line or over the network, refuses, and the
library was not touched. Usage: check_custom_ops.py WATTSHED LIBRARY
"""
import http.client
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

DOMAIN = "org.example.strangers"


def fail(what):
    """Ends everything with a line."""
    sys.exit(f"check_custom_ops: {what}")


def varint(number):
    """A number as protobuf writes it."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """A field of a message: a number, a text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def value_info(name):
    """float[1, 4]"""
    dims = field(1, field(1, 1)) + field(1, field(1, 4))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def model(library):
    """x -> Theirs -> y"""
    names_library = field(1, "library") + field(4, library) + field(20, 3)
    node = (field(1, "x") + field(2, "y") + field(3, "theirs") + field(4, "Theirs") +
            field(7, DOMAIN) + field(5, names_library))
    graph = (field(1, node) + field(2, "g") + field(11, value_info("x")) +
             field(12, value_info("y")))
    out = field(1, 8) + field(7, graph) + field(8, field(2, 17))
    out += field(8, field(1, DOMAIN) + field(2, 1))
    for key in ("custom_op_library", "session.custom_ops_library", "ort_custom_ops"):
        out += field(14, field(1, key) + field(2, library))
    return out


def refused(*line):
    """A command that ends with one line, which names the operator and its domain."""
    run = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    if run.returncode != 1 or f"{DOMAIN}:Theirs" not in run.stderr or \
            len(run.stderr.strip().splitlines()) != 1:
        fail(f"{line[1]}: {run.returncode}, {run.stderr}")


def refused_upload(wattshed, folder, blob, digest):
    """A node that takes models from clients is sent this one."""
    node = subprocess.Popen(
        [wattshed, "node", "--listen", "127.0.0.1:0", "--allow-writes", "--store",
         folder / "store"], stdout=subprocess.PIPE, text=True)
    try:
        host = node.stdout.readline().strip().removeprefix("http://")
        head = json.dumps({"parameters": {"digest": digest,
                                          "binary_data_size": len(blob)}}).encode()
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/v2/repository/models/stranger/load", head + blob,
                           {"Inference-Header-Content-Length": str(len(head))})
        reply = connection.getresponse()
        text = reply.read().decode()
        if reply.status != 400 or f"{DOMAIN}:Theirs" not in text:
            fail(f"upload: {reply.status}, {text}")
        connection.request("GET", "/v2/models/stranger")
        if connection.getresponse().status != 404:
            fail("the model is there although it was refused")
        if any((folder / "store").iterdir()):
            fail("the model was kept although it was refused")
        connection.close()
        line = [wattshed, "infer", folder / "stranger.onnx", "--node", f"http://{host}",
                "--input", folder / "x.pb"]
        refused(*line, "--cut", "0")
        refused(*line, "--upload")
    finally:
        node.terminate()
        node.wait(60)
        node.stdout.close()


def refused_agent(wattshed, folder, path):
    """An edge daemon for it does not start."""
    testbed, plan = folder / "testbed.json", folder / "plan.json"
    knobs = {"cut": {"part": "shared", "kind": "ordered", "values": [1]}}
    testbed.write_text(json.dumps({"name": "stranger", "table": "table.csv", "knobs": knobs,
                                   "objectives": ["latency_ms", "energy_j"]}))
    (folder / "table.csv").write_text(
        "knob.cut,latency_ms,energy_j,edge_ms,transfer_ms,cloud_ms\n1,1,1,1,0,0\n")
    subprocess.run([wattshed, "plan", testbed, "--search", "exhaustive", "-o", plan],
                   check=True, stdout=subprocess.DEVNULL)
    refused(wattshed, "serve", plan, "--model", path, "--listen", "127.0.0.1:0")


def main():
    """The library by itself, then everybody who could load it."""
    wattshed, library = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        trace, path = folder / "trace", folder / "stranger.onnx"
        os.environ["WS_TRACE"] = str(trace)
        probe = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
        subprocess.run([sys.executable, "-c", probe, library], check=True)
        if not trace.exists():
            fail("the library leaves no trace, so nothing would be seen")
        trace.unlink()
        blob = model(library)
        path.write_bytes(blob)
        numbers = struct.pack("<4f", 1, 2, 3, 4)
        (folder / "x.pb").write_bytes(field(1, 1) + field(1, 4) + field(2, 1) +
                                      field(9, numbers))
        refused(wattshed, "run", path, "--input", folder / "x.pb")
        refused(wattshed, "node", "--listen", "127.0.0.1:0", path)
        digest = json.loads(subprocess.run(
            [wattshed, "inspect", path, "--json"], capture_output=True, check=True,
            timeout=60).stdout)["digest"]
        refused_upload(wattshed, folder, blob, digest)
        refused_agent(wattshed, folder, path)
        if trace.exists():
            fail("the library was loaded")


main()
