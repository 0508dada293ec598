#!/usr/bin/env python3
"""From a profile, and from somebody else's table, to every list, page and picture of it.

The numbers of each are compared with the study's own database or with what this script
works out from the table by itself. Usage: check_tables.py WATTSHED MODEL
"""
import csv
import html.parser
import io
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

THEIRS = """Model,Split,Freq,Head (s),Tail (s),E,Note
resnet50,0,600,0,0.1,2.5,x
resnet50,0,1200,0,0.1,2.6,x
resnet50,1,600,0.05,0.04,1.5,y
resnet50,1,1200,0.03,0.04,1.9,y
vgg,0,600,0,1,9,z
resnet50,2,600,0.2,0,1.2,y
resnet50,2,1200,0.12,0,1.6,y
"""
MAP = {"name": "theirs", "source": "made up", "where": {"Model": "resnet50"},
       "knobs": {"cut": {"column": "Split", "part": "shared", "kind": "ordered"},
                 "edge.cpu_khz": {"column": "Freq", "part": "edge", "kind": "ordered"}},
       "measures": {"edge_ms": {"column": "Head (s)", "scale": 1000},
                    "cloud_ms": {"column": "Tail (s)", "scale": 1000},
                    "energy_j": {"column": "E"},
                    "latency_ms": {"terms": {"edge_ms": 1, "cloud_ms": 1}}},
       "objectives": ["latency_ms", "energy_j"]}
SAMPLES = 3


def fail(what):
    """Ends everything with a line."""
    sys.exit(f"check_tables: {what}")


def expect(got, wanted, what):
    """The same, or the end."""
    if got != wanted:
        fail(f"{what}: {got}, expected {wanted}")


class Program:
    """The program; every call is to succeed, or to fail with the words given."""

    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments, refuses=None):
        run = subprocess.run([self.path, *map(str, arguments)], capture_output=True,
                             text=True, timeout=120, check=False)
        if refuses is None and run.returncode != 0:
            fail(f"{arguments}: {run.stderr}")
        if refuses is not None and (run.returncode not in (1, 2) or
                                    refuses not in run.stderr):
            fail(f"{arguments}: {run.returncode}, {run.stderr}, expected {refuses}")
        return run.stdout


class Page(html.parser.HTMLParser):
    """Whether elements are closed in order; and what a page must not have."""

    def __init__(self):
        super().__init__()
        self.open, self.marks, self.text = [], 0, ""

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe"):
            fail(f"the page has a <{tag}>")
        if tag not in ("meta", "br", "circle", "line", "rect", "path", "polyline", "use"):
            self.open.append(tag)
        self.marks += tag in ("circle", "path", "rect")

    def handle_endtag(self, tag):
        if tag in self.open and self.open.pop() != tag:
            fail(f"the page closes <{tag}> out of order")

    def handle_data(self, data):
        self.text += data


def rows(text):
    """A table's rows as dictionaries."""
    return list(csv.DictReader(io.StringIO(text)))


def front(table):
    """Those that nobody beats in both latency and energy, cheapest first."""
    points = sorted((float(r["energy_j"]), float(r["latency_ms"])) for r in table)
    best, kept = float("inf"), []
    for energy, latency in points:
        if latency < best:
            best = latency
            kept.append((energy, latency))
    return kept


def check_study(wattshed, study, folder):
    """Text, CSV, samples and JSON hold what the database holds."""
    with sqlite3.connect(study) as db:
        trials = db.execute("SELECT count(*) FROM trials").fetchone()[0]
        valid = db.execute("SELECT count(*) FROM trials WHERE valid").fetchone()[0]
    expect(len(wattshed("study", study).splitlines()), trials + 1, "lines of the list")
    table = rows(wattshed("study", study, "--csv"))
    expect(len(table), valid, "rows of the table")
    facts = json.loads(wattshed("study", study, "--json"))
    expect(len(facts["trials"]), trials, "trials of the JSON")
    for row, trial in zip(table, (t for t in facts["trials"] if t["valid"])):
        for name, value in trial["setting"].items():
            expect(row[f"knob.{name}"], str(value), f"trial {trial['trial']}, {name}")
        for name in ("latency_ms", "energy_j"):
            if abs(float(row[name]) - trial["outcome"][name]) > 1e-6 * float(row[name]):
                fail(f"trial {trial['trial']}: {name} is {row[name]} and {trial['outcome']}")
    drawn = rows(wattshed("study", study, "--samples", SAMPLES))
    expect(len(drawn), SAMPLES * valid, "rows of samples")
    for i, row in enumerate(table):
        mean = sum(float(d["latency_ms"]) for d in drawn[SAMPLES * i:SAMPLES * (i + 1)])
        mean /= SAMPLES
        if abs(mean - float(row["latency_ms"])) > 1e-3 * mean:
            fail(f"row {i}: samples have a mean of {mean}, the trial {row['latency_ms']}")
    page = Page()
    page.feed(wattshed("report", study))
    wattshed("report", study, "-o", folder / "page.html")
    expect(page.open, [], "elements left open")
    if page.marks < valid or f"{trials} settings tried" not in page.text:
        fail(f"the page has {page.marks} marks for {valid} settings")
    wattshed("report", folder / "none.study", refuses="none.study")
    wattshed("study", folder / "page.html", refuses="page.html")


def check_plan(wattshed, study, folder):
    """A plan's list is the front; its pictures are pictures."""
    table = rows(wattshed("study", study, "--csv"))
    facts = json.loads(wattshed("plan", study, "--json"))
    expect(facts["front_size"], len(front(table)), "the front of a study")
    wattshed("plan", study, "--plot", folder / "front.svg")
    wattshed("plan", study, "--plot", folder / "front.png")
    if "<svg" not in (folder / "front.svg").read_text():
        fail("no SVG in front.svg")
    expect((folder / "front.png").read_bytes()[1:4], b"PNG", "front.png")
    wattshed("plan", study, "--plot", folder / "front.bmp", refuses="front.bmp")


def check_import(wattshed, folder):
    """Somebody else's columns come out as ours; the front is the one of the table."""
    theirs, names = folder / "theirs.csv", folder / "map.json"
    theirs.write_text(THEIRS)
    names.write_text(json.dumps(MAP))
    out = wattshed("import", theirs, "--map", names, "-o", folder / "theirs")
    if "6 rows of 6 settings" not in out or "1 rows left out" not in out:
        fail(f"import said {out}")
    table = rows((folder / "theirs/table.csv").read_text())
    for row, line in zip(table, [r for r in rows(THEIRS) if r["Model"] == "resnet50"]):
        expect(row["knob.cut"], line["Split"], "a knob")
        expect(float(row["latency_ms"]),
               1000 * float(line["Head (s)"]) + 1000 * float(line["Tail (s)"]), "a sum")
    testbed = folder / "theirs/testbed.json"
    facts = json.loads(wattshed("plan", testbed, "--search", "exhaustive", "--json"))
    expect((facts["evaluated"], facts["front_size"]), (6, len(front(table))), "the front")
    listed = wattshed("plan", testbed, "--search", "exhaustive").splitlines()
    got = [tuple(float(word) for word in line.split()[3:1:-1]) for line in listed[1:-1]]
    expect(got, front(table), "the front, listed")
    names.write_text(json.dumps(MAP).replace("Head (s)", "Hed"))
    wattshed("import", theirs, "--map", names, "-o", folder / "no", refuses='"Hed"')
    names.write_text('{"name": "x"}')
    wattshed("import", theirs, "--map", names, "-o", folder / "no", refuses='"knobs"')


def main():
    """All of it, in a folder of its own."""
    wattshed, model = Program(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        study = folder / "digits.study"
        wattshed("profile", model, "--edge", "rpi4-coral", "--cloud", "gpu-server",
                 "--virtual", "--link", "20,5", "--budget", 40, "--seed", 7, "-o", study)
        check_study(wattshed, study, folder)
        check_plan(wattshed, study, folder)
        check_import(wattshed, folder)


main()
