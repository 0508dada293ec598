#!/usr/bin/env python3
"""The commands that need a node, over TLS with tokens: keys, node, infer and compare.

Usage: check_cli.py WATTSHED DEMO_FOLDER
"""
import json
import pathlib
import subprocess
import sys
import tempfile


def expect(condition, what):
    """Ends the test with a line unless the condition holds."""
    if not condition:
        sys.exit(f"check_cli: {what}")


def main():
    """Runs everything once."""
    wattshed, demo = sys.argv[1], pathlib.Path(sys.argv[2])
    model = str(demo / "digits.onnx")

    def run(*words):
        return subprocess.run([wattshed, *words], capture_output=True, text=True,
                              check=False)

    with tempfile.TemporaryDirectory() as fleet:
        made = run("keys", fleet, "--server", "node,127.0.0.1", "--client", "cam")
        expect(made.returncode == 0 and "cam.token" in made.stdout, f"keys: {made}")
        node = subprocess.Popen(
            [wattshed, "node", "--listen", "127.0.0.1:0", "--threads", "1",
             "--cert", f"{fleet}/node.pem", "--key", f"{fleet}/node.key",
             "--tokens", f"{fleet}/tokens", model], stdout=subprocess.PIPE, text=True)
        try:
            url = node.stdout.readline().strip()
            expect(url.startswith("https://127.0.0.1:"), f"address: {url}")
            known = ["--node", url, "--cacert", f"{fleet}/ca.pem",
                     "--token-file", f"{fleet}/cam.token", "--threads", "1"]
            done = run("compare", model, "--samples", str(demo / "digits_inputs.npy"),
                       "--labels", str(demo / "digits_labels.npy"), "--limit", "1",
                       "--codec", "none", "--json", *known)
            expect(done.returncode == 0, f"compare: {done.stderr}")
            rows = json.loads(done.stdout)["rows"]
            sent = [row for row in rows if "transfer_ms" in row]
            expect(len(sent) > 20 and len(sent) >= len(rows) - 2, f"{len(sent)} rows")
            for row in sent:
                expect(row["transfer_ms"] > 0 and row["cloud_ms"] > 0, f"times: {row}")
                expect(row["agreement"] == 1, f"agreement: {row}")
            one = ["infer", model, "--cut", "17", "--codec", "int8c", "--input",
                   str(demo / "test_data_set_0" / "input_0.pb")]
            done = run(*one, *known)
            expect(done.returncode == 0 and "largest at" in done.stdout, f"{done}")
            # Without the token, and without the authority.
            done = run(*one, "--node", url, "--cacert", f"{fleet}/ca.pem")
            expect(done.returncode == 1 and "401" in done.stderr, f"{done}")
            done = run(*one, "--node", url, "--token-file", f"{fleet}/cam.token")
            expect(done.returncode == 1 and "certificate" in done.stderr, f"{done}")
            # It may not send models.
            done = run(*one, "--upload", *known)
            expect(done.returncode == 1 and "403" in done.stderr, f"{done}")
        finally:
            node.terminate()
            expect(node.wait(30) == 0, f"exit status {node.returncode}")


main()
