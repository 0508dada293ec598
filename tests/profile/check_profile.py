#!/usr/bin/env python3
"""wattshed profile from outside: killed at random, robbed of its node, lied to.

Usage: check_profile.py WATTSHED MODEL OTHER_MODEL [KILLS]
"""
import csv
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

WATTSHED, MODEL, OTHER = sys.argv[1:4]
KILLS = int(sys.argv[4]) if len(sys.argv) > 4 else 50
faults = []


def expect(condition, text):
    if not condition:
        faults.append(text)
        print("FAILED:", text)


def run(*arguments, **options):
    return subprocess.run([WATTSHED, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300, check=False, **options)


def virtual(study, *more):
    return ["profile", MODEL, "--edge", "rpi4-coral", "--cloud", "gpu-server", "--virtual",
            "--link", "20,5", "--budget", "200", "--seed", "7", "--search", "nsga3",
            "-o", str(study), *more]


def plan_of(study):
    done = run("plan", study, "-o", "-")
    expect(done.returncode == 0, f"plan {study}: {done.stderr}")
    return done.stdout


def trials_of(study):
    """The trials without what the wall clock gave them."""
    with sqlite3.connect(study) as db:
        return (db.execute("SELECT setting, how, valid, samples, latency_ci_ms FROM trials"
                           " ORDER BY trial").fetchall(),
                db.execute("SELECT * FROM measures ORDER BY trial, kind, name").fetchall(),
                db.execute("SELECT * FROM parts ORDER BY key").fetchall())


def start(study):
    """A profiler that has opened its study, or has ended."""
    child = subprocess.Popen([WATTSHED, *virtual(study)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    while child.poll() is None and not (study.exists() and study.stat().st_size > 0):
        time.sleep(0.001)
    return child


def check_killed(folder):
    """Kill -9 at random points: the study opens, and ends as the undisturbed one."""
    chance = random.Random(5)
    calm = folder / "calm.study"
    run(*virtual(folder / "first.study", "--budget", 1))
    shutil.copy(folder / "first.testbed.json", folder / "calm.testbed.json")
    child = start(calm)
    began = time.monotonic()
    child.communicate()
    lasts = time.monotonic() - began
    expect(child.returncode == 0, "undisturbed")
    expected, plan = trials_of(calm), plan_of(calm)
    killed = finished = lost = 0
    study = folder / "killed.study"
    shutil.copy(folder / "calm.testbed.json", folder / "killed.testbed.json")
    while killed < KILLS:
        child = start(study)
        try:
            child.wait(chance.random() * lasts)
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate()
        if child.returncode == -signal.SIGKILL:
            killed += 1
            lost += study.with_suffix(".study-journal").exists()
            continue
        finished += 1
        expect(child.returncode == 0, f"status {child.returncode} after {killed} kills")
        expect(trials_of(study) == expected, f"trials differ after {killed} kills")
        expect(plan_of(study) == plan, f"the plan differs after {killed} kills")
        study.unlink()
    done = run(*virtual(study))
    expect(done.returncode == 0, f"after the last kill: {done.stderr}")
    expect(trials_of(study) == expected, "trials differ after the last kill")
    expect(plan_of(study) == plan, "the plan differs after the last kill")
    print(f"killed {killed} times with the study open, {lost} of them in a transaction, "
          f"finished {finished + 1} times: trials and plan are the undisturbed ones")


def check_full_disk(folder):
    """No room for another trial: a line, the study intact, and on where it ended."""
    calm, study = folder / "small.study", folder / "full.study"
    testbed = folder / "small.testbed.json"

    def line(path):
        return ["profile", OTHER, "--edge", "rpi4", "--testbed", str(testbed),
                *virtual(path)[4:]]

    done = run(*[word for word in line(calm) if word not in ("--testbed", str(testbed))])
    expect(done.returncode == 0, f"a small model: {done.stderr}")
    room = calm.stat().st_size - 4096

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = run(*line(study), preexec_fn=limit, restore_signals=False)
    expect(done.returncode == 1 and str(study) in done.stderr, f"full disk: {done.stderr}")
    count = len(trials_of(study)[0])
    expect(0 < count < len(trials_of(calm)[0]), f"{count} trials on a full disk")
    done = run(*line(study))
    expect(done.returncode == 0, f"with room again: {done.stderr}")
    expect(trials_of(study) == trials_of(calm), "trials differ after a full disk")


def check_seeds(folder):
    """The same seed, the same samples; another, others."""
    first, again, other = (folder / f"seed{i}.study" for i in range(3))
    for study, seed in (first, 3), (again, 3), (other, 4):
        shutil.copy(folder / "calm.testbed.json", study.with_suffix(".testbed.json"))
        run(*virtual(study, "--seed", seed, "--budget", 20, "--search", "guided"))
    expect(trials_of(first) == trials_of(again), "the same seed gave other trials")
    expect(trials_of(first) != trials_of(other), "another seed gave the same trials")


def check_bad_input(folder):
    study = folder / "bad.study"
    calm = folder / "calm.study"
    testbed = json.loads((folder / "calm.testbed.json").read_text())

    def with_knob(name, values):
        changed = json.loads(json.dumps(testbed))
        changed["knobs"][name] = {"part": "shared", "kind": "nominal", "values": values}
        changed.pop("baselines")
        changed.pop("constraints")
        path = folder / f"changed-{name}-{values[0]}.json"
        path.write_text(json.dumps(changed))
        return path

    broken = folder / "broken.json"
    broken.write_text('{"name": "x",\n "knobs": 3\n "objectives": []}')
    less = folder / "less.json"
    less.write_text(json.dumps({**testbed, "objectives": ["speed"]}))
    rows = [
        (["--testbed", broken], 1, "broken.json:3"),
        (["--testbed", less], 1, "objectives"),
        (["--testbed", with_knob("zoom", [1])], 1, '"zoom"'),
        (["--testbed", with_knob("codec", ["mp3"])], 1, '"codec"'),
        (["--testbed", with_knob("cut", [0, 999])], 1, '"999"'),
        (["--testbed", with_knob("edge.cpu_khz", [1])], 1, "edge.cpu_khz"),
        (["--testbed", with_knob("variant", ["tiny"])], 1, '"tiny"'),
        (["--testbed", folder / "none.json"], 1, "none.json"),
        (["--edge", "pdp11"], 1, "pdp11"),
        (["--data", folder], 1, "no labelled data"),
        (["--data", folder / "none"], 1, "No such file"),
        (["--link", "fast"], 2, "--link"),
        (["--budget", "1.5"], 2, "--budget"),
        (["--tolerance", "0"], 2, "--tolerance"),
        (["--variant", "small"], 2, "--variant"),
        (["--variant", "base=x.onnx"], 2, "\"base\""),
        (["--search", "luck"], 2, "luck"),
        (["-o", folder / "no" / "such.study"], 1, "such"),
        (["-o", folder / "calm.testbed.json", "--testbed", folder / "calm.testbed.json"], 1,
         "this is no study"),
    ]
    for more, status, says in rows:
        done = run(*virtual(study, *more))
        expect(done.returncode == status and says in done.stderr,
               f"{more}: {done.returncode} {done.stderr}")
        expect(len(done.stderr.strip().splitlines()) == 1,
               f"{more}: more than a line: {done.stderr}")
    before = calm.read_bytes()
    other = virtual(calm, "--testbed", folder / "calm.testbed.json", "--edge", "rpi4")
    done = run(*other)
    expect(done.returncode == 1 and "edge.accelerator" in done.stderr, done.stderr)
    done = run("profile", OTHER, *virtual(calm)[2:])
    expect(done.returncode == 1, f"another model: {done.stderr}")
    small = folder / "small.json"
    small.write_text(json.dumps({"name": "s", "objectives": ["latency_ms"], "knobs": {
        "cut": {"part": "shared", "kind": "ordered", "values": [0]}}}))
    mine = folder / "mine.study"
    expect(run(*virtual(mine, "--testbed", small)).returncode == 0, "a testbed of one cut")
    done = run("profile", OTHER, *virtual(mine, "--testbed", small)[2:])
    expect(done.returncode == 1 and "its model.base is" in done.stderr, done.stderr)
    done = run(*virtual(calm, "--testbed", small))
    expect(done.returncode == 1 and "another testbed" in done.stderr, done.stderr)
    expect(calm.read_bytes() == before, "a refused study was changed")


def check_accuracy(folder):
    """Accuracy by cut and codec is what `wattshed compare` finds another way."""
    study, testbed = folder / "data.study", folder / "data.json"
    demo = pathlib.Path(MODEL).parent
    testbed.write_text(json.dumps({
        "name": "data", "objectives": ["latency_ms", "accuracy"], "knobs": {
            "cut": {"part": "shared", "kind": "ordered", "values": [0, 17, 39, 58]},
            "codec": {"part": "shared", "kind": "nominal", "values": ["none", "int8"]}}}))
    done = run(*virtual(study, "--testbed", testbed, "--data", demo, "--data-limit", 40,
                        "--search", "exhaustive"))
    expect(done.returncode == 0, f"accuracy: {done.stderr}")
    done = run("compare", MODEL, "--samples", demo / "digits_inputs.npy", "--labels",
               demo / "digits_labels.npy", "--limit", 40, "--codec", "none,int8", "--json")
    expect(done.returncode == 0, f"compare: {done.stderr}")
    theirs = {(row["cut"], row["codec"]): row["top1"]
              for row in json.loads(done.stdout)["rows"] if "top1" in row}
    with sqlite3.connect(study) as db:
        ours = {(json.loads(knobs)["cut"], json.loads(knobs)["codec"]): value
                for knobs, value in db.execute(
                    "SELECT knobs, value FROM trials JOIN measures USING(trial)"
                    " WHERE kind = 'outcome' AND name = 'accuracy'")}
        kept = db.execute("SELECT count(*) FROM accuracies").fetchone()[0]
    expect(len(ours) == 8, f"{len(ours)} accuracies")
    both = ours.keys() & theirs.keys()
    expect(len(both) > 3, f"in both: {both}")
    for key in both:
        expect(abs(ours[key] - theirs[key]) < 1e-9, f"{key}: {ours[key]}, {theirs[key]}")
    expect(kept <= 4, f"{kept} runs over the data: cuts without a codec are one")


def check_samples(study):
    """What a table of samples says of the parts is what the study holds of them."""
    done = run("study", study, "--samples", 200)
    expect(done.returncode == 0, f"samples: {done.stderr}")
    groups = {}
    for row in csv.DictReader(done.stdout.splitlines()):
        groups.setdefault((row["knob.cut"], row["knob.codec"]), []).append(row)
    expect(len(groups) == 8, f"{len(groups)} settings")
    with sqlite3.connect(study) as db:
        parts = {key: moments for key, *moments in db.execute(
            "SELECT key, ms_count, ms_m2, ms_min, ms_max FROM parts")}
    varied = 0
    for (cut, codec), rows in groups.items():
        expect(len(rows) == 200, f"{len(rows)} rows of cut {cut}, {codec}")
        rest = [float(row["latency_ms"]) - sum(float(row[f"{side}_ms"]) for side in
                                               ("edge", "transfer", "cloud"))
                for row in rows]
        expect(max(rest) - min(rest) < 1e-6, f"cut {cut}, {codec}: parts do not add up")
        for side in ("edge", "transfer", "cloud"):
            seen = [float(row[f"{side}_ms"]) for row in rows]
            count, m2, least, most = parts.get(f"{side} cut={cut} codec={codec}",
                                               (0, 0, 0, 0))
            known = (m2 / (count - 1)) ** 0.5 if count > 1 else 0
            varied += known > 0
            expect(max(seen) - min(seen) <= most - least + 1e-9, f"{side} {cut}: range")
            expect(known / 3 <= statistics.stdev(seen) + 1e-9 and
                   statistics.stdev(seen) <= known * 1.001 + 1e-9,
                   f"{side} of cut {cut}, {codec}: {statistics.stdev(seen)}, {known} known")
    expect(varied > 8, f"{varied} parts that vary")
    for wrong in (["--samples", 1], ["--samples", 5, "--csv"], ["--samples", "x"]):
        expect(run("study", study, *wrong).returncode == 2, f"taken: {wrong}")


def check_live(folder):
    """A real node that dies in the middle, and comes back."""
    study = folder / "live.study"
    testbed = folder / "live.json"
    testbed.write_text(json.dumps({
        "name": "live", "objectives": ["latency_ms", "edge_ms"], "knobs": {
            "cut": {"part": "shared", "kind": "ordered", "values": [0, 17, 39, 58]},
            "codec": {"part": "shared", "kind": "nominal", "values": ["none", "int8"]}}}))

    def node():
        process = subprocess.Popen([WATTSHED, "node", "--listen", "127.0.0.1:0", MODEL],
                                   stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    def trials_there(path):
        if not path.exists() or path.stat().st_size == 0:
            return False
        with sqlite3.connect(path) as db:
            return db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] > 0 and \
                db.execute("SELECT count(*) FROM trials").fetchone()[0] > 0

    def line(url, *more):
        return ["profile", MODEL, "--node", url, "--testbed", str(testbed), "--budget", "8",
                "--search", "exhaustive", "--tolerance", "0.5", "-o", str(study), *more]

    server, url = node()
    child = subprocess.Popen([WATTSHED, *line(url, "--tolerance", "0.0001", "--samples",
                                              "2000")],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not trials_there(study):
        time.sleep(0.1)
    busy = run(*line(url))
    expect(busy.returncode == 1 and "another process profiles" in busy.stderr, busy.stderr)
    server.kill()
    server.wait()
    _, said = child.communicate(timeout=120)
    expect(child.returncode == 1 and "127.0.0.1" in said, f"a dead node: {said}")
    server, url = node()
    done = run(*line(url))
    expect(done.returncode == 0, f"after the node came back: {done.stderr}")
    expect("unknown" not in done.stdout, done.stdout)
    with sqlite3.connect(study) as db:
        count, truths = db.execute("SELECT count(*), group_concat(DISTINCT truth)"
                                   " FROM trials").fetchone()
        energies = db.execute("SELECT count(*) FROM measures WHERE name LIKE '%energy%'"
                              " AND name != 'cloud_energy_j'").fetchone()[0]
        runs = [json.loads(row[0]) for row in db.execute("SELECT conditions FROM runs")]
    expect(count == 8 and truths == "measured", f"{count} trials, {truths}")
    if "meter" not in runs[-1]:
        expect(energies == 0, "an energy that nothing measured")
        expect("no meter" in runs[-1]["energy"], runs[-1])
    expect(len(runs) == 2, f"{len(runs)} runs")
    server.terminate()
    server.wait()
    check_samples(study)


def main():
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = pathlib.Path(name)
        check_killed(folder)
        check_full_disk(folder)
        check_seeds(folder)
        check_bad_input(folder)
        check_accuracy(folder)
        check_live(folder)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
