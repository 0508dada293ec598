#!/usr/bin/env python3
"""A node under faults: clients that check every answer, others that misbehave in every
way a connection can, and, meanwhile, kills, restarts, renewed and expired certificates, a
full disk and clocks that jump. Ends with one line of figures; fails on an answer that is
wrong, lost or doubled, and on a node that grows.

Usage: campaign.py WATTSHED MODEL CLOCK_SHIM [--seconds N] [--clients N] [--seed S]
"""
import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

SHAPE = (1, 1, 96, 96)
SIZE = 96 * 96
INPUTS = 8
PATIENCE_S = 60
SMALL = bytes.fromhex("080a1201783a0c0a080a01781201792204")  # no model: refused


class Figures:
    """What happened, counted from many threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {}
        self.first = {}

    def add(self, name, note=None):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + 1
            if note is not None and name not in self.first:
                self.first[name] = note

    def get(self, name):
        return self.counts.get(name, 0)


class Node:
    """The daemon, its files, and when it may be unreachable."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.port, self.process = 0, None
        self.fleet = os.path.join(work, "fleet")
        self.store = os.path.join(work, "store")
        self.clock = os.path.join(work, "clock")
        self.down_until = 0.0  # failures before this and after `down_from` are expected
        self.down_from = 0.0
        os.mkdir(self.store)
        self.jump(0)
        self.keys()
        with open(os.path.join(self.fleet, "ops.token"), encoding="ascii") as file:
            self.token = file.read().strip()

    def keys(self):
        subprocess.run(
            [self.options.wattshed, "keys", self.fleet, "--server", "node,127.0.0.1",
             "--client", "ops:infer,repository"], check=True, stdout=subprocess.DEVNULL)

    def jump(self, seconds):
        with open(self.clock + ".new", "w", encoding="ascii") as file:
            file.write(str(seconds))
        os.rename(self.clock + ".new", self.clock)

    def start(self):
        fleet = self.fleet
        environment = {**os.environ, "WS_CLOCK_FILE": self.clock,
                       "LD_PRELOAD": self.options.shim if self.options.shim else ""}
        self.process = subprocess.Popen(
            [self.options.wattshed, "node", "--listen", f"127.0.0.1:{self.port}",
             "--cert", f"{fleet}/node.pem", "--key", f"{fleet}/node.key",
             "--client-ca", f"{fleet}/ca.pem", "--tokens", f"{fleet}/tokens",
             "--allow-writes", "--store", self.store, "--store-bytes", "8M",
             "--body", "4M", "--threads", "1", self.options.model],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        url = self.process.stdout.readline().strip()
        if not url.startswith("https://127.0.0.1:"):
            sys.exit(f"campaign: no address: {url!r}")
        self.port = int(url.rsplit(":", 1)[1])

    def context(self):
        context = ssl.create_default_context(cafile=f"{self.fleet}/ca.pem")
        context.load_cert_chain(f"{self.fleet}/ops.pem", f"{self.fleet}/ops.key")
        return context

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def away(self, action):
        """Runs what makes the node unreachable for a while."""
        self.down_until, self.down_from = float("inf"), time.monotonic()
        action()
        self.down_until = time.monotonic() + 1.0

    def may_fail(self, begun):
        """Whether a request that began then and failed now met such a while."""
        return self.down_from <= time.monotonic() and begun <= self.down_until


def body_of(data, number):
    head = json.dumps({
        "id": str(number), "parameters": {"binary_data_output": True},
        "inputs": [{"name": "pixels", "shape": SHAPE, "datatype": "UINT8",
                    "parameters": {"binary_data_size": len(data)}}]}).encode()
    return head, head + data


class Client(threading.Thread):
    """Sends requests one after the other, some of them in a bad way."""

    def __init__(self, node, inputs, expected, figures, seed, end):
        super().__init__(daemon=True)
        self.node, self.inputs, self.expected = node, inputs, expected
        self.figures, self.end = figures, end
        self.rng = random.Random(seed)
        self.connection, self.opened = None, 0.0
        self.number = seed << 32

    def run(self):
        bad = [self.reset, self.stall, self.drip, self.lie, self.garbage, self.no_token,
               self.leave, self.upload, self.half_handshake]
        while time.monotonic() < self.end:
            if self.rng.random() < 0.7:
                self.ask()
            else:
                fault = self.rng.choice(bad)
                self.figures.add("faults")
                begun = time.monotonic()
                try:
                    fault()
                except (OSError, http.client.HTTPException, ValueError) as error:
                    if not isinstance(error, OSError) and not self.node.may_fail(begun):
                        self.figures.add("wrong", f"{fault.__name__}: {error!r}")
        self.drop()

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def headers(self, head):
        return {"Authorization": f"Bearer {self.node.token}",
                "Inference-Header-Content-Length": str(len(head))}

    def call(self, path, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                "127.0.0.1", self.node.port, timeout=PATIENCE_S,
                context=self.node.context())
            self.opened = time.monotonic()
        self.connection.request("POST", path, body, headers)
        reply = self.connection.getresponse()
        return reply, reply.read()

    def ask(self):
        """One request that must be answered rightly, unless the node is away."""
        self.number += 1
        k = self.rng.randrange(INPUTS)
        head, body = body_of(self.inputs[k], self.number)
        begun = time.monotonic()
        self.figures.add("requests")
        try:
            reply, answer = self.call("/v2/models/digits/infer", body, self.headers(head))
        except (OSError, http.client.HTTPException) as error:
            self.drop()
            # A connection that was kept may have ended with the node that it led to.
            if self.node.may_fail(min(begun, self.opened)):
                self.figures.add("failed while the node was away")
            else:
                self.figures.add("lost", f"{error!r}, the connection was opened "
                                 f"{time.monotonic() - self.opened:.3f} s ago")
            return
        if reply.status != 200:
            self.figures.add("wrong", f"{reply.status} {answer[:200]!r}")
            return
        length = int(reply.headers["Inference-Header-Content-Length"])
        if json.loads(answer[:length])["id"] != str(self.number):
            self.figures.add("doubled", answer[:length])
        elif answer[length:] != self.expected[k]:
            self.figures.add("wrong", "other numbers")
        else:
            self.figures.add("answered")

    # ---- bad ways ----

    def open(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), timeout=PATIENCE_S)
        return self.node.context().wrap_socket(raw, server_hostname="127.0.0.1")

    def request_bytes(self, lie=0):
        head, body = body_of(self.inputs[0], 0)
        return (f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {self.node.token}\r\n"
                f"Inference-Header-Content-Length: {len(head)}\r\n"
                f"Content-Length: {len(body) + lie}\r\n\r\n").encode() + body

    def reset(self):
        with self.open() as connection:
            data = self.request_bytes()
            connection.sendall(data[:self.rng.randrange(1, len(data))])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))

    def stall(self):
        with self.open() as connection:
            data = self.request_bytes()
            connection.sendall(data[:self.rng.randrange(1, len(data))])
            time.sleep(self.rng.random())

    def drip(self):
        with self.open() as connection:
            for byte in self.request_bytes()[:self.rng.randrange(1, 200)]:
                connection.sendall(bytes([byte]))

    def lie(self):
        with self.open() as connection:
            connection.sendall(self.request_bytes(self.rng.choice((-3, 5, 10**7))))
            connection.settimeout(0.3)
            try:
                connection.recv(100)
            except TimeoutError:
                pass

    def garbage(self):
        with self.open() as connection:
            connection.sendall(self.rng.randbytes(self.rng.randrange(1, 3000)) + b"\r\n\r\n")

    def half_handshake(self):
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=5) as raw:
            raw.sendall(b"\x16\x03\x01" + self.rng.randbytes(self.rng.randrange(1, 200)))

    def leave(self):
        """Asks and does not wait: the one request whose answer nobody sees."""
        with self.open() as connection:
            connection.sendall(self.request_bytes())
            self.figures.add("abandoned")

    def no_token(self):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.node.port, timeout=PATIENCE_S, context=self.node.context())
        begun = time.monotonic()
        connection.request("POST", "/v2/repository/models/none/load", b"",
                           {"Authorization": "Bearer guess"})
        status = connection.getresponse().status
        connection.close()
        # Its certificate lets it in all the same; there is no such model.
        if status != 404 and not self.node.may_fail(begun):
            self.figures.add("wrong", f"a guessed token: {status}")

    def upload(self):
        """Bytes that are no model, announced with a digest that is not theirs."""
        head = json.dumps({"parameters": {"digest": "0" * 64,
                                          "binary_data_size": len(SMALL)}}).encode()
        begun = time.monotonic()
        reply, _ = self.call("/v2/repository/models/fake/load", head + SMALL,
                             self.headers(head))
        if reply.status != 400 and not self.node.may_fail(begun):
            self.figures.add("wrong", f"an upload of nonsense: {reply.status}")


def statistics(node):
    connection = http.client.HTTPSConnection("127.0.0.1", node.port, timeout=PATIENCE_S,
                                             context=node.context())
    connection.request("GET", "/v2/models/digits/stats",
                       headers={"Authorization": f"Bearer {node.token}"})
    reply = connection.getresponse().read()
    connection.close()
    return json.loads(reply)["model_stats"][0]["inference_stats"]["success"]["count"]


def events(node, figures, rng, end):
    """What befalls the node itself, in turn."""

    def kill():
        def action():
            node.process.kill()
            node.process.wait()
            node.start()
        node.away(action)

    def restart():
        def action():
            node.process.send_signal(signal.SIGTERM)
            if node.process.wait(60) != 0:
                figures.add("wrong", f"exit status {node.process.returncode}")
            node.start()
        node.away(action)

    def renew():
        node.keys()

    def put_tokens(text):
        """In one step: a list that is half written would count as it is."""
        path = os.path.join(node.fleet, "tokens")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def nonsense():
        with open(os.path.join(node.fleet, "tokens"), encoding="ascii") as file:
            before = file.read()
        put_tokens("nonsense\n")
        time.sleep(1.5)
        put_tokens(before)

    def jump():
        """Two years on, every certificate has expired; a day back is of no account."""
        node.jump(-86000)
        time.sleep(0.5)
        node.jump(0)
        if node.options.shim:
            node.away(lambda: (node.jump(2 * 365 * 86400), time.sleep(0.7), node.jump(0)))

    def full_disk():
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", node.store],
            stderr=subprocess.DEVNULL, check=False).returncode == 0
        if not mounted:
            figures.add("disks that could not be filled")
            return
        reply = subprocess.run(
            [node.options.wattshed, "infer", node.options.other, "--node",
             f"https://127.0.0.1:{node.port}", "--cacert", f"{node.fleet}/ca.pem",
             "--cert", f"{node.fleet}/ops.pem", "--key", f"{node.fleet}/ops.key",
             "--token", node.token, "--upload", "--input", node.options.input],
            capture_output=True, text=True, check=False)
        subprocess.run(["umount", node.store], check=True)
        if "No space left" not in reply.stderr:
            figures.add("wrong", f"a full disk: {reply.stderr!r}")
        figures.add("full disks")

    all_events = [renew, kill, nonsense, full_disk, jump, restart]
    at = 0
    while time.monotonic() < end:
        all_events[at % len(all_events)]()
        figures.add("events")
        at += 1
        time.sleep(rng.uniform(0.3, 1.0))


def prepare(options, work, rng):
    """Inputs, and what the model makes of them in a process of its own."""
    inputs, expected = [], []
    for k in range(INPUTS):
        data = rng.randbytes(SIZE)
        path = os.path.join(work, "in.npy")
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {SHAPE}, }}"
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        with open(path, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) +
                       header.encode() + data)
        subprocess.run([options.wattshed, "run", options.model, "--threads", "1",
                        "--input", path, "-o", work], check=True,
                       stdout=subprocess.DEVNULL)
        with open(os.path.join(work, "logits.npy"), "rb") as file:
            expected.append(file.read()[-40:])
        inputs.append(data)
    # Another name for the same file, to be sent.
    options.other = os.path.join(work, "other.onnx")
    shutil.copy(options.model, options.other)
    options.input = os.path.join(work, "in.npy")
    return inputs, expected


def main():
    """Runs the campaign once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("wattshed")
    parser.add_argument("model")
    parser.add_argument("shim", help="the clock shim, or '' for a program that takes none")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="wattshed-faults-")
    figures = Figures()
    rng = random.Random(options.seed)
    node = None
    try:
        inputs, expected = prepare(options, work, rng)
        node = Node(options, work)
        node.start()
        end = time.monotonic() + options.seconds
        clients = [Client(node, inputs, expected, figures, options.seed * 1000 + c, end)
                   for c in range(options.clients)]
        for client in clients:
            client.start()
        events(node, figures, rng, end)
        for client in clients:
            client.join(2 * PATIENCE_S)
            if client.is_alive():
                figures.add("lost", "a client waits for ever")
        # A quiet while on one node: nothing is run twice, and memory stays.
        node.process.send_signal(signal.SIGTERM)
        node.process.wait(60)
        node.start()
        before = {name: figures.get(name) for name in ("answered", "abandoned")}
        resident = []
        for _ in range(3):
            end = time.monotonic() + options.seconds / 8
            clients = [Client(node, inputs, expected, figures, options.seed * 7777 + c, end)
                       for c in range(options.clients)]
            for client in clients:
                client.start()
            for client in clients:
                client.join(2 * PATIENCE_S)
            resident.append(node.resident_kib())
        answered = figures.get("answered") - before["answered"]
        abandoned = figures.get("abandoned") - before["abandoned"]
        executed = statistics(node)
        if not answered <= executed <= answered + abandoned:
            figures.add("doubled", f"{executed} executed, {answered} answered, "
                        f"{abandoned} abandoned")
        # A sanitizer keeps what was freed, so memory grows; it reports leaks at the end.
        if options.shim and resident[-1] > resident[0] * 1.2 + 8192:
            figures.add("leaked", f"resident KiB: {resident}")
        node.process.send_signal(signal.SIGTERM)
        if node.process.wait(60) != 0:
            figures.add("wrong", f"exit status {node.process.returncode}")
    finally:
        if node is not None and node.process is not None:
            node.process.kill()
            node.process.wait()
        shutil.rmtree(work, ignore_errors=True)
    print(f"seed {options.seed}: {figures.get('faults')} faults on connections, "
          f"{figures.get('events')} events ({figures.get('full disks')} full disks), "
          f"{figures.get('requests')} requests, "
          f"{figures.get('answered')} answered, "
          f"{figures.get('failed while the node was away')} while the node was away, "
          f"{figures.get('wrong')} wrong, {figures.get('lost')} lost, "
          f"{figures.get('doubled')} doubled, {figures.get('leaked')} leaks; "
          f"resident {resident[0] // 1024} to {resident[-1] // 1024} MiB")
    for name in ("wrong", "lost", "doubled", "leaked"):
        if figures.get(name) > 0:
            print(f"first {name}: {figures.first.get(name)}")
    if figures.get("answered") < 10 or figures.get("faults") < 10:
        print("too little happened to show anything")
        sys.exit(1)
    sys.exit(any(figures.get(n) for n in ("wrong", "lost", "doubled", "leaked")))


main()
