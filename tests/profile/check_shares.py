#!/usr/bin/env python3
"""From a network with shared feature maps to requests: profile, plan, serve, end to end.

Usage: check_shares.py WATTSHED SOURCE_ROOT
"""
import csv
import json
import os
import pathlib
import re
import sqlite3
import struct
import subprocess
import sys
import tempfile
import urllib.request

WATTSHED, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
NETWORK, CLOUD = ROOT / "etc/dvfo", ROOT / "etc/dvfo/cifar10_cloud.onnx"
DATA = ROOT / "etc/cifar"
PICTURES, ASKED = 100, 30
faults = []


def expect(condition, text):
    if not condition:
        faults.append(text)
        print("FAILED:", text)


def run(*arguments):
    return subprocess.run([WATTSHED, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300, check=False)


def succeed(*arguments):
    done = run(*arguments)
    expect(done.returncode == 0, f"{arguments[:2]}: {done.stderr}")
    return done.stdout


def daemon(*arguments):
    """A process that says where it listens."""
    process = subprocess.Popen([WATTSHED, *map(str, arguments)], stdout=subprocess.PIPE,
                               text=True)
    return process, re.search(r"http://\S+", process.stdout.readline()).group()


def testbed(path, shares):
    path.write_text(json.dumps({
        "name": "shares", "objectives": ["latency_ms", "edge_ms", "accuracy"], "knobs": {
            "share": {"part": "shared", "kind": "ordered", "values": shares},
            "codec": {"part": "shared", "kind": "nominal", "values": ["int8"]}},
        "baselines": {"edge-only": {"share": 0, "codec": "int8"}}}))
    return path


def number(text):
    try:
        return float(text)
    except ValueError:
        return text or None


def rows_of(study):
    rows = csv.DictReader(succeed("study", study, "--csv").splitlines())
    return [{key: number(value) for key, value in row.items()} for row in rows]


def check_sums(rows, slack_ms):
    """The latency has the longer of what runs side by side, once; a mean of such sums may
    be somewhat more than the sum of means."""
    for row in rows:
        beside = row["beside_ms"] or 0
        away = row["transfer_ms"] + row["cloud_ms"]
        foreseen = row["edge_ms"] - beside + max(beside, away)
        expect(row["how"] == "whole", f"measured in parts: {row}")
        expect(-1e-6 < row["latency_ms"] - foreseen <= slack_ms(row), f"no sum: {row}")
        expect((away > 0) == (row["knob.share"] > 0), f"away: {row}")
        expect((beside > 0) == (0 < row["knob.share"] < 1), f"beside: {row}")


def check_virtual(folder):
    """The testbed that is written, and all of a smaller one, on a virtual clock."""
    line = ["profile", NETWORK, "--edge", "rpi4", "--cloud", "gpu-server", "--virtual",
            "--link", "20,5", "--search", "exhaustive"]
    succeed(*line, "--budget", "3", "-o", folder / "first.study")
    written = json.loads((folder / "first.testbed.json").read_text())
    expect(len(written["knobs"]["share"]["values"]) == 11, "eleven shares")
    expect([s["segment"] for s in written["stages"]] ==
           ["extract", "edge", "cifar10_cloud"] and written["stages"][2]["beside"],
           f"stages: {written['stages']}")
    expect(written["baselines"]["cloud-only"]["share"] == 1 and
           written["baselines"]["edge-only"]["share"] == 0, f"{written['baselines']}")
    knobs = {name: written["knobs"][name] for name in ("share", "codec", "edge.cpu_khz")}
    knobs["codec"]["values"] = ["int8"]
    smaller, study = folder / "smaller.json", folder / "virtual.study"
    smaller.write_text(json.dumps({
        "name": "smaller", "objectives": written["objectives"], "knobs": knobs,
        "baselines": {"half": {"share": 0.5, "codec": "int8", "edge.cpu_khz": 600000}},
        "stages": [{**stage, "knobs": [k for k in stage["knobs"] if k in knobs]}
                   for stage in written["stages"]]}))
    succeed(*line, "--testbed", smaller, "--budget", "1", "-o", study)
    rows = rows_of(study)
    expect(len(rows) == 44, f"{len(rows)} settings")
    check_sums(rows, lambda row: 0.02 * row["latency_ms"])
    by_share = {row["knob.share"]: row for row in rows
                if row["knob.edge.cpu_khz"] == 600000}
    expect(by_share[0.1]["beside_ms"] > 1.3 * by_share[0.6]["beside_ms"],
           "the edge's half has less to do with fewer maps")
    bar = re.search(r'<text x="[0-9.]+" y="[0-9.]+">([0-9.]+)</text>',
                    succeed("report", study)).group(1)
    expect(abs(float(bar) / by_share[0.5]["latency_ms"] - 1) < 0.02,
           f"a bar of {bar} ms for {by_share[0.5]}")
    sent = [by_share[share]["tensor_bytes"] for share in (0.1, 0.5, 1)]
    expect(sent == [6 * 64 + 8, 32 * 64 + 8, 64 * 64 + 8], f"bytes: {sent}")
    plan = json.loads(succeed("plan", study, "-o", "-", "--json").split("\n{")[0])
    lists = plan["stage_lists"]
    expect(len(lists) == 1 and lists[0][2]["beside"], f"stages of the plan: {lists}")
    return study


def check_live(folder, url):
    """Accuracy is what `wattshed share` finds another way; times are whole requests'."""
    study = folder / "live.study"
    shares = [0, 0.3, 0.7, 1]
    succeed("profile", NETWORK, "--node", url, "--testbed",
            testbed(folder / "live.json", shares), "--data", DATA, "--data-limit", PICTURES,
            "--search", "exhaustive", "--budget", "1", "--samples", "12", "-o", study)
    rows = rows_of(study)
    expect([row["knob.share"] for row in sorted(rows, key=lambda r: r["knob.share"])] ==
           shares, f"shares: {rows}")
    check_sums(rows, lambda row: (row["beside_ms"] or 0) + row["transfer_ms"])
    told = json.loads(succeed("share", NETWORK, "--share", "0,0.3,0.7,1", "--json",
                              "--samples", DATA / "pictures.npy", "--labels",
                              DATA / "labels.npy", "--limit", PICTURES))
    top1 = {row["share"]: row["top1"] for row in told["rows"]}
    for row in rows:
        expect(abs(row["accuracy"] - top1[row["knob.share"]]) < 1e-9,
               f"accuracy {row['accuracy']}, {top1}")
    with sqlite3.connect(study) as db:
        facts = dict(db.execute("SELECT key, value FROM facts"))
        truths = db.execute("SELECT DISTINCT truth FROM trials").fetchall()
    expect(len(facts["model.base"]) == 64 and facts["name.base"] == "dvfo", f"{facts}")
    expect(truths == [("measured",)], f"truths: {truths}")
    return study


def ask(url, picture):
    request = {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 3, 32, 32],
                           "data": picture}]}
    with urllib.request.urlopen(urllib.request.Request(
            f"{url}/v2/models/dvfo/infer", json.dumps(request).encode(),
            {"Content-Type": "application/json"}), timeout=30) as reply:
        return json.load(reply)


def serve(study, folder, url, *more):
    """Replies of a daemon on the study's plan, and how many of the answers are right."""
    plan = folder / "plan.json"
    succeed("plan", study, "-o", plan)
    pixels = (DATA / "pictures.npy").read_bytes()[-PICTURES * 3072:]
    labels = struct.unpack(f"<{PICTURES}q", (DATA / "labels.npy").read_bytes()[-PICTURES * 8:])
    server, at = daemon("serve", plan, "--model", NETWORK, "--node", url, "--listen",
                        "127.0.0.1:0", *more)
    try:
        replies = [ask(at, list(pixels[i * 3072:(i + 1) * 3072])) for i in range(ASKED)]
    finally:
        server.terminate()
        server.wait()
    scores = [reply["outputs"][0]["data"] for reply in replies]
    right = sum(row.index(max(row)) == label for row, label in zip(scores, labels))
    return [reply["parameters"] for reply in replies], right


def check_serve(folder, study, url):
    """The plan serves: shares that it has, and answers that are mostly right."""
    replies, right = serve(study, folder, url)
    expect(right >= 0.6 * ASKED, f"{right} of {ASKED} right")
    for reply in replies:
        expect(float(reply["setting.share"]) in (0, 0.3, 0.7, 1), f"{reply}")
        expect(0.5 < reply["attention"] <= 1, f"{reply}")
    expect(len({reply["attention"] for reply in replies}) == ASKED, "a picture's own")


def check_agent(folder, study, url):
    """An agent that learnt from the study decides."""
    agent = folder / "agent.json"
    succeed("learn", study, "-o", agent, "--steps", "300")
    replies, right = serve(study, folder, url, "--emulate", "rpi4", "--policy", "dvfo",
                           "--set", f"agent.learnt={agent}")
    expect(right >= 0.6 * ASKED, f"{right} of {ASKED} right with an agent")
    for reply in replies:
        expect(reply["policy"] == "dvfo" and 0.5 < reply["attention"] <= 1, f"{reply}")


def check_bad_input(folder, url):
    more = testbed(folder / "more.json", [0, 1.5])
    done = run("profile", NETWORK, "--node", url, "--testbed", more, "-o", folder / "x")
    expect(done.returncode == 2 and '"share"' in done.stderr, done.stderr)
    cut = folder / "cut.json"
    cut.write_text(json.dumps({"name": "c", "objectives": ["latency_ms"], "knobs": {
        "cut": {"part": "shared", "kind": "ordered", "values": [0]}}}))
    done = run("profile", NETWORK, "--node", url, "--testbed", cut, "-o", folder / "x")
    expect(done.returncode == 1 and "share" in done.stderr, done.stderr)


def main():
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = pathlib.Path(name)
        virtual = check_virtual(folder)
        node, url = daemon("node", "--listen", "127.0.0.1:0", CLOUD)
        try:
            study = check_live(folder, url)
            check_serve(folder, study, url)
            check_agent(folder, virtual, url)
            check_bad_input(folder, url)
        finally:
            node.terminate()
            node.wait()
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
