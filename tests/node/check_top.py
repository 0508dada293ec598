#!/usr/bin/env python3
"""`wattshed top`: one frame of recorded metrics, to the letter, and of a live agent.

Usage: check_top.py WATTSHED DEMO_FOLDER RECORDED_FOLDER
"""
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

TESTBED = {"name": "top", "objectives": ["latency_ms", "edge_energy_j"], "knobs": {
    "cut": {"part": "shared", "kind": "ordered", "values": [0, 17, 58]}}}


def expect(condition, what):
    """Ends the test with a line unless the condition holds."""
    if not condition:
        sys.exit(f"check_top: {what}")


def run(*words):
    """A command that must succeed; what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"{words}: {done.stderr}")
    return done.stdout


def check_recorded(wattshed, folder):
    """The recording's start lies in the future, so that its rates do not depend on when
    they are looked at: all is said to have happened in a millisecond."""
    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers /metrics with the recording, all else not at all."""
        def do_GET(self):
            """One answer."""
            body = (folder / "agent.txt").read_bytes()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    frame = run(wattshed, "top", url)
    expect(frame == (folder / "agent.top").read_text(), f"recorded frame:\n{frame}")
    done = subprocess.run([wattshed, "top", url + "/x"], capture_output=True, text=True,
                          check=False)
    expect(done.returncode == 1 and "404" in done.stderr, f"no agent: {done}")
    server.shutdown()


def check_live(wattshed, model, folder, daemons):
    """What was asked of an agent is what its frame says."""
    def start(*words):
        daemon = subprocess.Popen([wattshed, *words, "--listen", "127.0.0.1:0",
                                   "--threads", "1"], stdout=subprocess.PIPE, text=True)
        daemons.append(daemon)
        return daemon.stdout.readline().strip()

    testbed, plan = f"{folder}/testbed.json", f"{folder}/plan.json"
    pathlib.Path(testbed).write_text(json.dumps(TESTBED))
    run(wattshed, "profile", model, "--testbed", testbed, "--edge", "rpi4", "--cloud",
        "gpu-server", "--virtual", "--budget", "1", "-o", f"{folder}/study", "--plan", plan)
    node = start("node", model)
    agent = start("serve", plan, "--model", model, "--emulate", "rpi4", "--node", node)
    for policy, count in (("edge-only", 7), ("cloud-only", 3)):
        run(wattshed, "load", agent, "--draw", str(count), "--plan", plan, "--policy",
            policy)
    frame = run(wattshed, "top", agent, "--once")
    expect(re.search(r"refused 0 +failed 0 +waiting 0 +in flight 0\n", frame), frame)
    expect(re.search(r"^settings +cut:(?= .*58 x7)(?=.* 0 x3)", frame, re.M), frame)
    expect(re.search(rf"^{re.escape(node)} +yes ", frame, re.M), frame)
    expect(re.search(r"sent 3 +not given 0 +finished here 0\n", frame), frame)
    for part in ("total", "edge", "cloud"):
        mean = re.search(rf"^{part} +([0-9.]+) ", frame, re.M)
        expect(mean and float(mean[1]) > 0, frame)


def main():
    """The recorded frame and the live one."""
    wattshed, demo, recorded = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    daemons = []
    check_recorded(wattshed, pathlib.Path(recorded))
    try:
        with tempfile.TemporaryDirectory() as folder:
            check_live(wattshed, str(demo / "digits.onnx"), folder, daemons)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main()
