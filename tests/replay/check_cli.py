"""Runs `wattshed replay` on the shipped testbed as a user would.

Usage: check_cli.py WATTSHED SOURCE_ROOT.
"""
import filecmp
import json
import os
import subprocess
import sys
import tempfile

WATTSHED, ROOT = sys.argv[1:3]
SHIPPED = os.path.join(ROOT, "etc", "testbeds", "digits-pi4")


def shipped(name):
    return os.path.join(SHIPPED, name)


BASE = ["replay", shipped("testbed.json"), "--workload", shipped("workload.csv")]


def run(status, *arguments):
    """Runs a command that must end with this exit status."""
    done = subprocess.run([WATTSHED, *arguments], capture_output=True, text=True)
    if done.returncode != status:
        sys.exit(f"{arguments}: status {done.returncode}, expected {status}: {done.stderr}")
    return done


def refuse(status, says, *arguments):
    """A refusal is one line on stderr, and nothing on stdout."""
    done = run(status, *arguments)
    lines = done.stderr.splitlines()
    if done.stdout or len(lines) != 1 or says not in lines[0]:
        sys.exit(f"{arguments}: {done.stdout!r} {done.stderr!r}, expected {says!r}")


def replay(*options):
    """The rows by policy, without what is measured anew each time."""
    report = json.loads(run(0, *BASE, "--json", *options).stdout)
    rows = {}
    for row in report.pop("policies"):
        for key in [key for key in row if key.startswith("decision_ns")]:
            assert row.pop(key) > 0
        for key in [key for key in row.get("ci95", {}) if key.startswith("decision_ns")]:
            row["ci95"].pop(key)
        rows[row["policy"]] = row
    return report, rows


def check_json():
    report, rows = replay("--policy", "dynasplit,cloud-only", "--seed", "5")
    assert report["testbed"] == "digits-pi4" and report["truth"] == "modelled"
    assert report["workload"] == "workload.csv" and report["seed"] == 5
    assert list(rows) == ["dynasplit", "cloud-only", "oracle", "mean-oracle"], rows
    row = rows["dynasplit"]
    assert row["requests"] == 500 and 0 < row["met_pct"] < 100
    assert sum(row["cuts"].values()) == 500
    total = row["edge_energy_j_mean"] + row["cloud_energy_j_mean"]
    assert abs(total - row["energy_j_mean"]) < 1e-5
    saving = 100 * (1 - row["energy_j_mean"] / rows["cloud-only"]["energy_j_mean"])
    assert abs(saving - row["energy_saving_pct"]) < 1e-6
    assert rows["oracle"]["regret_pct"] == 0 and rows["mean-oracle"]["regret_mean_pct"] == 0
    assert rows["oracle"]["met_pct"] >= rows["mean-oracle"]["met_pct"]


def check_seeds():
    noisy = ["--noise", "pooled"]
    assert replay(*noisy, "--seed", "1") == replay(*noisy, "--seed", "1")
    assert replay(*noisy, "--seed", "1")[1] != replay(*noisy, "--seed", "2")[1]
    assert replay("--noise", "none", "--seed", "1")[1] == replay(
        "--noise", "none", "--seed", "2")[1]
    many = replay(*noisy, "--seeds", "3", "--policy", "wattshed")[1]["wattshed"]
    assert many["ci95"]["met_pct"] > 0 and many["ci95"]["energy_j_mean"] > 0


def check_guard_off():
    """Off means: DynaSplit, whatever the link does."""
    for link in ([], ["--link", shipped("link.csv")]):
        rows = replay("--policy", "dynasplit,wattshed", "--guard", "off", *link)[1]
        rows["wattshed"]["policy"] = "dynasplit"
        assert rows["wattshed"] == rows["dynasplit"]


def check_link():
    rows = replay("--link", shipped("link.csv"), "--noise", "pooled")[1]
    assert rows["wattshed"]["met_pct"] > rows["dynasplit"]["met_pct"] + 5
    assert rows["cloud-only"]["latency_ms"]["p95"] > 30


def check_report(folder):
    page = os.path.join(folder, "report.html")
    text = run(0, *BASE, "--seeds", "2", "--report", page).stdout
    assert "mean-oracle" in text and "saved %" in text
    with open(page, encoding="utf-8") as file:
        html = file.read()
    assert html.startswith("<!DOCTYPE html>") and html.count("<figure>") == 3
    assert "src=" not in html and "href=" not in html and "modelled" in html


def check_refusals(folder):
    refuse(2, "expected one testbed file", "replay")
    refuse(2, "--workload", "replay", shipped("testbed.json"))
    refuse(2, "no option --bogus", *BASE, "--bogus")
    refuse(2, "no value for --seed", *BASE, "--seed")
    refuse(2, "dynamic-split, dynasplit", *BASE, "--policy", "magic")
    refuse(2, "named twice", *BASE, "--policy", "fastest,fastest")
    refuse(2, "--guard 1.5", *BASE, "--guard", "1.5")
    refuse(2, "pooled, own or none", *BASE, "--noise", "loud")
    refuse(2, "--budget 2.5", *BASE, "--budget", "2.5")
    refuse(2, "fifo|deadline", *BASE, "--order", "random")
    refuse(2, "exhaustive", *BASE, "--search", "magic")
    refuse(1, "No such file", *BASE, "--link", os.path.join(folder, "none.csv"))
    workload = os.path.join(folder, "w.csv")
    for text, says in (
        ("index,deadline_ms\n1,nan\n", "w.csv:2"),
        ("index,deadline_ms\n1,0\n", "w.csv:2"),
        ("index,deadline_ms\n1,5\n1,6\n", "index 1"),
        ("index,wait\n1,5\n", "deadline_ms"),
        ("", "w.csv"),
    ):
        with open(workload, "w", encoding="ascii") as file:
            file.write(text)
        refuse(1, says, "replay", shipped("testbed.json"), "--workload", workload)
    assert "Usage" in run(0, "replay", "-h").stdout


def check_generator(folder):
    """What is shipped is what the script writes."""
    script = os.path.join(ROOT, "tools", "make_testbed.py")
    subprocess.run([sys.executable, script, folder], check=True)
    for name in ("testbed.json", "table.csv", "workload.csv", "link.csv"):
        assert filecmp.cmp(os.path.join(folder, name), shipped(name), shallow=False), name


def check_agent(folder):
    """A briefly trained agent serves, the same one from the same seed."""
    agents = [os.path.join(folder, name) for name in ("a.json", "b.json")]
    for agent in agents:
        told = json.loads(run(0, "learn", shipped("testbed.json"), "-o", agent, "--steps",
                              "700", "--requests", "2", "--json").stdout)
    assert filecmp.cmp(*agents, shallow=False)
    assert all(link["regret"] >= -1e-9 for link in told["links"]), told
    served = run(0, *BASE, "--policy", "dvfo", "--agent", agents[0], "--json")
    assert '"dvfo"' in served.stdout
    study = os.path.join(folder, "digits.study")
    run(0, "profile", os.path.join(ROOT, "etc", "demo", "digits.onnx"), "--edge", "rpi4",
        "--cloud", "gpu-server", "--virtual", "--node", "http://127.0.0.1:1", "--budget",
        "12", "-o", study)
    told = json.loads(run(0, "learn", study, "-o", agents[1], "--steps", "600",
                          "--requests", "2", "--json").stdout)
    assert told["truth"] == "modelled", told
    refuse(1, "dvfo needs an agent", *BASE, "--policy", "dvfo")


def main():
    check_json()
    check_seeds()
    check_guard_off()
    check_link()
    with tempfile.TemporaryDirectory() as folder:
        check_report(folder)
        check_refusals(folder)
        check_agent(folder)
    with tempfile.TemporaryDirectory() as folder:
        check_generator(folder)


main()
