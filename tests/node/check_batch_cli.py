#!/usr/bin/env python3
"""A cluster's figures in a study: profile --cluster makes them, batches refresh them.

Usage: check_batch_cli.py WATTSHED DEMO_FOLDER
"""
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile


def expect(condition, what):
    """Ends the test with a line unless the condition holds."""
    if not condition:
        sys.exit(f"check_batch_cli: {what}")


def kept(study):
    """The study's only cluster and when it was measured."""
    with sqlite3.connect(study) as database:
        rows = database.execute("SELECT model, measured_s, cluster FROM clusters").fetchall()
    expect(len(rows) == 1 and rows[0][0] == "digits", f"clusters: {rows}")
    return rows[0][1], json.loads(rows[0][2])


def figures(cluster):
    """Milliseconds of an image on each node."""
    return [node["profile"]["variants"]["digits"]["image_ms"] for node in cluster["nodes"]]


def check(wattshed, demo, folder, urls):
    """Profiles, then shares two batches, by the study alone."""
    def run(*words):
        done = subprocess.run([wattshed, *words], capture_output=True, text=True,
                              check=False)
        expect(done.returncode == 0, f"{words}: {done.stderr}")
        return done.stdout

    study, file = f"{folder}/home.study", pathlib.Path(folder) / "cluster.json"
    data = pathlib.Path(folder) / "data"
    data.mkdir()
    shutil.copy(demo / "digits_inputs.npy", data / "inputs.npy")
    shutil.copy(demo / "digits_labels.npy", data / "labels.npy")
    file.write_text(json.dumps({
        "format": "wattshed-cluster", "version": 1, "model": "digits",
        "variants": {"digits": {}},
        "nodes": [{"name": f"n{i}", "url": url} for i, url in enumerate(urls)]}))
    before = file.read_bytes()
    printed = json.loads(run("profile", "--cluster", str(file), "--data", str(data),
                             "--data-limit", "50", "-o", study, "--json"))
    first_s, cluster = kept(study)
    expect(cluster == printed, "the study has what was printed")
    expect(file.read_bytes() == before, "the cluster's file stays as it is")
    expect(cluster["variants"]["digits"]["samples"] == 50, f"{cluster['variants']}")
    expect(0.8 < cluster["variants"]["digits"]["accuracy"] <= 1, f"{cluster['variants']}")
    expect([node["url"] for node in cluster["nodes"]] == urls, "addresses")
    expect(all(ms > 0 for ms in figures(cluster)), "figures")

    run("distribute", "--study", study, "--virtual", "--images", "100")
    expect(kept(study) == (first_s, cluster), "a virtual batch refreshes nothing")
    done = json.loads(run("distribute", "--study", study, "--model", "digits", "--input",
                          str(data), "--images-per-s", "1", "--json"))
    images = sum(node["variants"].get("digits", {"images": 0})["images"]
                 for node in done["nodes"])
    expect(done["images"] == images and images >= 100, f"images: {done}")
    expect(done["top1"] > 0.8 and done["images_per_s"] > 1, f"batch: {done}")
    second_s, refreshed = kept(study)
    expect(second_s > first_s, "a batch refreshes the study")
    expect(figures(refreshed) != figures(cluster), "its figures move")


def main():
    """Two nodes, and the checks."""
    wattshed, demo = sys.argv[1], pathlib.Path(sys.argv[2])
    nodes = [subprocess.Popen([wattshed, "node", "--listen", "127.0.0.1:0", "--threads",
                               "1", str(demo / "digits.onnx")],
                              stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        urls = [node.stdout.readline().strip() for node in nodes]
        with tempfile.TemporaryDirectory() as folder:
            check(wattshed, demo, folder, urls)
    finally:
        for node in nodes:
            node.terminate()
            node.wait()


if __name__ == "__main__":
    main()
