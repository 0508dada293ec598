#!/usr/bin/env python3
"""An agent that sets knobs at second hand.

A tree of files stands for the machine; `wattshed knobs` alone knows it and sets its clock
speed, `wattshed serve` asks for that over a Unix socket. Requests with time and requests
in a hurry must find the speeds that the plan has for them; a user or a value that the
helper was not told of is refused in a line; when the agent goes, however it goes, the
machine is as it was. Usage: check_helper.py WATTSHED MODEL
"""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

SLOW, FAST = "600000", "1500000"
POLICY = "sys/devices/system/cpu/cpufreq/policy0"
TREE = {
    "proc/device-tree/model": "A Small Board",
    f"{POLICY}/cpuinfo_min_freq": SLOW,
    f"{POLICY}/cpuinfo_max_freq": "1800000",
    f"{POLICY}/scaling_available_frequencies": "600000 1500000 1800000",
    f"{POLICY}/scaling_available_governors": "ondemand powersave",
    f"{POLICY}/scaling_governor": "ondemand",
    f"{POLICY}/scaling_min_freq": SLOW,
    f"{POLICY}/scaling_max_freq": "1800000",
    f"{POLICY}/scaling_setspeed": "<unsupported>",
}
INPUT = bytes(96 * 96)


def fail(what):
    """Ends everything with a line."""
    sys.exit(f"check_helper: {what}")


class Scene:
    """A machine, its helper, and an agent."""

    def __init__(self, wattshed, model, folder):
        self.wattshed, self.model, self.folder = wattshed, model, folder
        self.root, self.socket = folder / "root", folder / "socket"
        self.running = []
        for name, text in TREE.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        self.before = self.settings()

    def settings(self):
        """Every file of the machine with what it holds."""
        return {path: path.read_text().strip() for path in self.root.rglob("*")
                if path.is_file()}

    def start(self, name, *arguments):
        """A daemon, once it has said where it is."""
        with open(self.folder / f"{name}.err", "ab") as log:
            process = subprocess.Popen([self.wattshed, *arguments], stdout=subprocess.PIPE,
                                       stderr=log, text=True)
        self.running.append(process)
        line = process.stdout.readline().strip()
        if not line:
            fail(f"{name}: {(self.folder / f'{name}.err').read_text()}")
        return process, line

    def stop(self, process, how=signal.SIGTERM):
        """Ends it; whether it ended as it should."""
        process.send_signal(how)
        status = process.wait(60)
        process.stdout.close()
        self.running.remove(process)
        if status != (0 if how == signal.SIGTERM else -how):
            fail(f"ended with {status}")

    def helper(self, user, allowed):
        """A helper for this user, with this list."""
        (self.folder / "allow").write_text(allowed)
        return self.start("knobs", "knobs", "--socket", self.socket, "--allow",
                          self.folder / "allow", "--user", user, "--root", self.root,
                          "--lease", self.folder / "lease")[0]

    def agent_line(self):
        """An agent without a node, whose knobs are the helper's."""
        return ["serve", str(self.folder / "plan.json"), "--model", self.model, "--listen",
                "127.0.0.1:0", "--threads", "1", "--set", f"serve.knobs={self.socket}"]

    def refused(self, *words):
        """The agent does not start, and its one line has these words."""
        run = subprocess.run([self.wattshed, *self.agent_line()], text=True, timeout=60,
                             capture_output=True, check=False)
        lines = run.stderr.strip().splitlines()
        if run.returncode != 1 or len(lines) != 1 or any(w not in lines[0] for w in words):
            fail(f"expected {words}, got {run.returncode}: {run.stderr}")

    def make_plan(self):
        """Everything here, at two speeds: one saves, the other hurries."""
        knobs = {"cut": {"part": "shared", "kind": "ordered", "values": [58]},
                 "edge.cpu_khz": {"part": "edge", "kind": "ordered",
                                  "values": [int(SLOW), int(FAST)]}}
        testbed = {"name": "helper", "table": "table.csv", "knobs": knobs,
                   "objectives": ["latency_ms", "energy_j"]}
        (self.folder / "testbed.json").write_text(json.dumps(testbed))
        (self.folder / "table.csv").write_text(
            "knob.cut,knob.edge.cpu_khz,latency_ms,energy_j,edge_ms,transfer_ms,cloud_ms\n"
            f"58,{SLOW},400,0.1,400,0,0\n58,{FAST},100,0.4,100,0,0\n")
        subprocess.run([self.wattshed, "plan", self.folder / "testbed.json", "--search",
                        "exhaustive", "-o", self.folder / "plan.json"], check=True,
                       stdout=subprocess.DEVNULL)

    def ask(self, url, deadline_ms):
        """One request with this deadline; the speed that the machine had for it."""
        head = json.dumps({
            "parameters": {"binary_data_output": True, "timeout": deadline_ms * 1000},
            "inputs": [{"name": "pixels", "shape": [1, 1, 96, 96], "datatype": "UINT8",
                        "parameters": {"binary_data_size": len(INPUT)}}]}).encode()
        host = url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/v2/models/digits/infer", head + INPUT,
                           {"Inference-Header-Content-Length": str(len(head))})
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        if reply.status != 200:
            fail(f"status {reply.status}: {body[:200]}")
        return (self.root / POLICY / "scaling_max_freq").read_text().strip()

    def expect_as_before(self):
        """Soon, everything is as it was."""
        for _ in range(600):
            if self.settings() == self.before:
                return
            time.sleep(0.05)
        fail(f"not given back: {self.settings()}")

    def check_speeds(self):
        """The plan's speeds, set by the helper; given back at the agent's end and death."""
        helper = self.helper(str(os.getuid()), f"edge.cpu_khz {SLOW} {FAST}\n")
        for how in (signal.SIGTERM, signal.SIGKILL):
            agent, url = self.start("serve", *self.agent_line())
            for deadline_ms, speed in ((60000, SLOW), (200, FAST), (60000, SLOW)):
                got = self.ask(url, deadline_ms)
                if got != speed:
                    fail(f"{deadline_ms} ms: the machine runs at {got}, not {speed}")
            self.stop(agent, how)
            self.expect_as_before()
        self.stop(helper)

    def check_refusals(self):
        """Strangers, values off the list, and no helper at all."""
        helper = self.helper(str(os.getuid() + 1), "edge.cpu_khz *\n")
        self.refused(str(self.socket), f"user {os.getuid()} is not served")
        self.stop(helper)
        helper = self.helper(str(os.getuid()), f"edge.cpu_khz {SLOW}\n")
        self.refused("edge.cpu_khz", FAST)
        self.stop(helper)
        self.refused(str(self.socket))
        self.expect_as_before()

    def end(self):
        """Whatever still runs, after a failure."""
        for process in self.running:
            process.kill()


def main():
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(sys.argv[1], sys.argv[2], pathlib.Path(folder))
        try:
            scene.make_plan()
            scene.check_speeds()
            scene.check_refusals()
        finally:
            scene.end()


main()
