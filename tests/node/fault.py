#!/usr/bin/env python3
"""Kills and restarts nodes, links and the agent at random under load.

Two nodes behind links of this script's own, an agent in front, clients that each know
which answer is right. While the agent is up every request gets exactly one answer, and the
right one, whatever happens behind it; when it is killed or stopped itself, a clear error.
In the end nothing is left over: descriptors, threads, memory (under the sanitizers).
Usage: fault.py WATTSHED MODEL REQUESTS [SEED]
"""
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

CLIENTS = 4
SLACK = 24  # descriptors and threads of connections that are kept
INPUT = bytes(i * 7 % 256 for i in range(96 * 96))
CUTS = {0: (0.2, 2, 6, 0.10, 9216), 17: (1, 2, 5, 0.12, 4608), 39: (4, 1, 2, 0.14, 1152),
        58: (8, 0, 0, 0.20, 0)}


def fail(what):
    """Ends everything, from any thread, with a line."""
    print(f"fault: {what}", file=sys.stderr)
    sys.stderr.flush()
    for process in Process.alive:
        process.kill()
    os._exit(1)


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program of ours that comes and goes, on one port."""

    alive = set()

    def __init__(self, arguments, log):
        self.arguments, self.log, self.popen = arguments, log, None

    def start(self):
        """Starts it; ready once it has printed its address."""
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, stderr=log)
        Process.alive.add(self.popen)
        if not self.popen.stdout.readline().startswith(b"http"):
            fail(f"{self.arguments[1]} did not start: see {self.log}")

    def kill(self):
        """Without warning."""
        self.popen.kill()
        self.wait(-signal.SIGKILL)

    def stop(self):
        """As an administrator would."""
        self.popen.send_signal(signal.SIGTERM)
        self.wait(0)

    def wait(self, status):
        """Its end, and with what status."""
        try:
            got = self.popen.wait(60)
        except subprocess.TimeoutExpired:
            fail(f"{self.arguments[1]} does not end")
        Process.alive.discard(self.popen)
        self.popen.stdout.close()
        if got != status:
            fail(f"{self.arguments[1]} ended with {got}, expected {status}: see {self.log}")

    def count(self, folder):
        """Entries of a folder in /proc: its descriptors, its threads."""
        return len(os.listdir(f"/proc/{self.popen.pid}/{folder}"))


class Link:
    """A way to a node that can be good, slow, stalled, cut, or speak garbage."""

    def __init__(self, target):
        self.target, self.mode, self.open = target, "good", set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def set(self, mode):
        """Changes it; a cut ends what is under way."""
        self.mode = mode
        if mode == "cut":
            with self.lock:
                for one in self.open:
                    try:
                        one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass

    def accept(self):
        """Connections, each with two threads."""
        while True:
            near, _ = self.listener.accept()
            if self.mode == "cut":
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.open |= {near, far}
            for pair in ((near, far, False), (far, near, True)):
                threading.Thread(target=self.carry, args=pair, daemon=True).start()

    def carry(self, source, sink, is_answer):
        """Bytes one way, as the mode of the moment has it."""
        try:
            while data := source.recv(16384):
                while self.mode == "stalled":
                    time.sleep(0.01)
                if self.mode == "slow":
                    time.sleep(len(data) / 200e3)
                if self.mode == "garbage" and is_answer:
                    data = random.randbytes(len(data))
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.lock:
            self.open -= {source}
        source.close()


class Scene:
    """All of it together, and what the clients count."""

    def __init__(self, wattshed, model, folder):
        self.wattshed, self.model, self.folder = wattshed, model, folder
        self.make_plan()
        ports = [free_port() for _ in range(2)]
        self.nodes = [
            Process([wattshed, "node", "--listen", f"127.0.0.1:{port}", "--threads", "1",
                     model], folder / f"node{i}.log") for i, port in enumerate(ports)]
        self.links = [Link(port) for port in ports]
        self.port = free_port()
        self.agent = Process(self.agent_line(False), folder / "agent.log")
        self.lock = threading.Lock()
        self.generation = 0  # of the agent; odd: it is going, or gone
        self.right = self.errors = self.asked = 0
        self.wanted = None
        self.is_over = False

    def make_plan(self):
        """Four cuts; sending is cheap, so that the agent would send."""
        knobs = {"cut": {"part": "shared", "kind": "ordered", "values": list(CUTS)}}
        testbed = {"name": "fault", "table": "table.csv", "knobs": knobs,
                   "objectives": ["latency_ms", "energy_j"],
                   "link": {"mbit_s": 100, "delay_ms": 0.5}}
        (self.folder / "testbed.json").write_text(json.dumps(testbed))
        rows = ["knob.cut,latency_ms,energy_j,edge_ms,transfer_ms,cloud_ms,tensor_bytes"]
        for cut, (edge, transfer, cloud, joules, size) in CUTS.items():
            rows.append(f"{cut},{edge + transfer + cloud},{joules},{edge},{transfer},"
                        f"{cloud},{size}")
        (self.folder / "table.csv").write_text("\n".join(rows) + "\n")
        subprocess.run([self.wattshed, "plan", self.folder / "testbed.json", "--search",
                        "exhaustive", "-o", self.folder / "plan.json"], check=True,
                       stdout=subprocess.DEVNULL)

    def agent_line(self, hedges):
        """The agent's command line."""
        line = [self.wattshed, "serve", str(self.folder / "plan.json"), "--model",
                self.model, "--listen", f"127.0.0.1:{self.port}", "--threads", "1",
                "--set", "breaker.wait_ms=50", "--set", "breaker.wait_ms_max=400",
                "--set", "agent.probe_ms=300", "--set", "agent.send_ms_max=1000",
                "--set", f"agent.hedge={'yes' if hedges else 'no'}"]
        for link in self.links:
            line += ["--node", f"http://127.0.0.1:{link.port}"]
        return line

    # ---- clients ----

    def body(self, name, deadline_ms):
        """One request: head, and the input's bytes."""
        head = json.dumps({
            "id": name,
            "parameters": {"binary_data_output": True, "timeout": int(deadline_ms * 1000)},
            "inputs": [{"name": "pixels", "shape": [1, 1, 96, 96], "datatype": "UINT8",
                        "parameters": {"binary_data_size": len(INPUT)}}]}).encode()
        return head + INPUT, {"Inference-Header-Content-Length": str(len(head))}

    def check(self, name, reply, body):
        """Whether that is the answer to this request, and the right one."""
        size = int(reply.headers["Inference-Header-Content-Length"])
        head = json.loads(body[:size])
        logits = struct.unpack("<10f", body[size:])
        if self.wanted is None:
            self.wanted = logits
        if head["id"] != name:
            fail(f"the answer to {head['id']} came for {name}")
        if any(abs(a - b) > 1e-2 for a, b in zip(logits, self.wanted)):
            fail(f"{name}: wrong answer {logits}, expected {self.wanted}")

    def ask(self, connection, name, deadline_ms):
        """One request; a failure only counts as one while the agent was up all along."""
        before = self.generation
        body, headers = self.body(name, deadline_ms)
        try:
            connection.request("POST", "/v2/models/digits/infer", body, headers)
            reply = connection.getresponse()
            answer = reply.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if before % 2 == 0 and self.generation == before:
                fail(f"{name}: no answer from an agent that was up: {error!r}")
            with self.lock:
                self.errors += 1
            time.sleep(0.05)
            return
        if reply.status == 200:
            self.check(name, reply, answer)
            with self.lock:
                self.right += 1
            return
        text = json.loads(answer)["error"]
        if not text or (before % 2 == 0 and self.generation == before):
            fail(f"{name}: status {reply.status}: {text}")
        with self.lock:
            self.errors += 1

    def client(self, number, requests, seed):
        """Asks until there were enough."""
        draw = random.Random(f"{seed} client {number}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while True:
            with self.lock:
                if self.asked == requests:
                    break
                self.asked += 1
                name = f"r{self.asked}"
            self.ask(connection, name, draw.choice((5, 20, 50, 200, 1000)))
        connection.close()

    # ---- chaos ----

    def chaos(self, draw):
        """One thing that goes wrong, or right again."""
        node, link = draw.choice(self.nodes), draw.choice(self.links)
        what = draw.choice(("node", "node", "link", "link", "link", "good", "hold", "reload",
                            "agent"))
        if what == "node":
            (node.kill if draw.random() < 0.5 else node.stop)()
            time.sleep(draw.uniform(0, 0.3))
            node.start()
        elif what == "link":
            link.set(draw.choice(("slow", "stalled", "cut", "garbage")))
        elif what == "good":
            for one in self.links:
                one.set("good")
        elif what == "hold":
            node.popen.send_signal(signal.SIGSTOP)
            time.sleep(draw.uniform(0.05, 0.5))
            node.popen.send_signal(signal.SIGCONT)
        elif what == "reload":
            self.agent.popen.send_signal(signal.SIGHUP)
        else:
            self.generation += 1
            (self.agent.kill if draw.random() < 0.5 else self.agent.stop)()
            self.agent.arguments = self.agent_line(draw.random() < 0.5)
            self.agent.start()
            self.generation += 1

    def disturb(self, seed):
        """Until the clients are done."""
        draw = random.Random(f"{seed} chaos")
        while not self.is_over:
            self.chaos(draw)
            time.sleep(draw.uniform(0.02, 0.25))

    # ---- the whole ----

    def settle(self):
        """Everything good again, and quiet: what the agent then has open."""
        for link in self.links:
            link.set("good")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for i in range(20):
            self.ask(connection, f"settle{i}", 1000)
        connection.close()
        time.sleep(3)
        return self.agent.count("fd"), self.agent.count("task")

    def check_metrics(self):
        """What Prometheus would read, by its own check where that is installed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
        for name in (b"wattshed_requests_total{", b"wattshed_request_seconds_bucket{",
                     b"wattshed_node_up{", b"wattshed_sends_total "):
            if name not in text:
                fail(f"/metrics lacks {name.decode()}")
        if shutil.which("promtool") is None:
            print("fault: promtool (Debian's package prometheus) is not installed")
            return
        check = subprocess.run(["promtool", "check", "metrics"], input=text,
                               capture_output=True, check=False)
        if check.returncode != 0:
            fail(f"promtool: {(check.stdout + check.stderr).decode()}")

    def run(self, requests, seed):
        """From the first start to the last end."""
        for process in self.nodes + [self.agent]:
            process.start()
        before = self.settle()
        chaos = threading.Thread(target=self.disturb, args=(seed,))
        clients = [threading.Thread(target=self.client, args=(i, requests, seed))
                   for i in range(CLIENTS)]
        for thread in clients + [chaos]:
            thread.start()
        for thread in clients:
            thread.join()
        self.is_over = True
        chaos.join()
        after = self.settle()
        if after[0] > before[0] + SLACK or after[1] > before[1] + SLACK:
            fail(f"descriptors and threads: {before} at first, {after} in the end")
        self.check_metrics()
        for process in [self.agent] + self.nodes:
            process.stop()
        for log in self.folder.glob("*.log"):
            text = log.read_text(errors="replace")
            if "Sanitizer" in text or "runtime error" in text:
                fail(f"{log.name}:\n{text}")
        print(f"fault: seed {seed}: {self.right} right answers, {self.errors} errors while "
              f"the agent was away, {self.generation // 2} restarts of it; descriptors and "
              f"threads {before} at first, {after} in the end")


def main():
    """One campaign."""
    wattshed, model, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    with tempfile.TemporaryDirectory() as folder:
        Scene(wattshed, model, pathlib.Path(folder)).run(requests, seed)


if __name__ == "__main__":
    main()
