"""Runs `wattshed inspect` and `wattshed split` as a user would.

Usage: check_cli.py WATTSHED SOURCE_ROOT. Where Debian's python3-onnx is installed its
checker also looks at what split writes.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import onnx
    import onnx.checker
except ImportError:
    onnx = None

WATTSHED, ROOT = sys.argv[1:3]
SEEDS = os.path.join(ROOT, "fuzz", "corpus", "onnx")


def seed(name):
    return os.path.join(SEEDS, f"{name}.onnx")


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


def check_inspect(folder):
    done = run(0, "inspect", "--all", "--json", seed("residual"))
    report = json.loads(done.stdout)
    crossing = [[t["name"] for t in cut["tensors"]] for cut in report["cuts"]]
    assert crossing == [["x"], ["a"], ["a", "b"], []], crossing
    assert [cut["number"] for cut in report["cuts"]] == [0, 1, 2, 3]
    assert report["cuts"][1]["dims_assumed"] == 1
    assert report["cuts"][1]["tensors"][0]["shape"] == [None, 4]
    fixed = run(0, "inspect", "--all", "--json", "--dim", "n=5", seed("residual"))
    cut = json.loads(fixed.stdout)["cuts"][2]
    assert cut["bytes"] == 2 * 5 * 4 * 4 and cut["dims_assumed"] == 0, cut
    dot = os.path.join(folder, "graph.dot")
    table = run(0, "inspect", "--dot", dot, seed("residual")).stdout
    assert "--dim NAME=N" in table and "cuts" in table, table
    with open(dot, encoding="utf-8") as file:
        assert file.read().startswith("digraph model {")
    # An operator that the runtime does not know: what can be said without it is said.
    strange = json.loads(run(0, "inspect", "--json", seed("left-out")).stdout)
    assert "refuses" in strange["note"], strange["note"]
    assert [cut["natural"] for cut in strange["cuts"]] == [None, None]
    assert "Usage" in run(0, "inspect", "-h").stdout
    refuse(2, "MODEL", "inspect")
    refuse(2, "MODEL", "inspect", "a", "b")
    refuse(1, "No such file", "inspect", os.path.join(folder, "none.onnx"))
    refuse(1, "create", "inspect", "--dot", "/no/such/folder/x", seed("residual"))


def check_broken():
    for name, says in (
        ("text", "not an ONNX model"),
        ("truncated", "not an ONNX model"),
        ("cycle", "cycle"),
        ("made-twice", '"y"'),
        ("dangling", '"ghost"'),
        ("deep-bodies", "deeper"),
        ("short-weight", '"w"'),
        ("external-outside", "leaves the model's folder"),
    ):
        refuse(1, says, "inspect", seed(name))
        refuse(1, says, "split", seed(name), "--cut", "1", "-o", "/nonexistent/x")


def check_written(folder):
    for name in ("head.onnx", "tail.onnx"):
        path = os.path.join(folder, name)
        assert os.path.getsize(path) > 0
        if onnx is not None:
            onnx.checker.check_model(path)


def check_split(folder):
    to = os.path.join(folder, "a", "b")
    for options in ([], ["--external"], ["--codec", "fp16"], ["--codec", "int8"]):
        for name, cut in (("residual", "a,b"), ("captures", "1"), ("recurrent", "hn")):
            run(0, "split", seed(name), "--cut", cut, "-o", to, *options)
            check_written(to)
    refuse(1, 'no cut "9"', "split", seed("residual"), "--cut", "9", "-o", to)
    refuse(2, "one side", "split", seed("residual"), "--cut", "0", "-o", to)
    refuse(2, "-o DIR", "split", seed("residual"), "--cut", "1")
    refuse(2, "--cut", "split", seed("residual"), "-o", to)
    refuse(2, "codec", "split", seed("residual"), "--cut", "1", "-o", to, "--codec", "x")
    refuse(2, "--input", "split", seed("residual"), "--cut", "1", "-o", to,
           "--codec", "int8c")
    refuse(1, "create", "split", seed("residual"), "--cut", "1", "-o", "/proc/none")


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_inspect(folder)
        check_broken()
        check_split(folder)


main()
