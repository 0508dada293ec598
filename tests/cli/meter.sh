#!/bin/bash
# Energy from a plug that a little server here pretends to be: a node shares it among its
# requests, infer tells what its own machine drew. Usage: meter.sh WATTSHED
set -u
wattshed=$1
python=$(PATH=/usr/bin:$PATH command -v python3) || exit 77
demo=$WS_SOURCE_ROOT/etc/demo
model=$demo/digits.onnx
input=$demo/test_data_set_0/input_0.pb
# shellcheck source=tests/cli/daemons.sh
. "$(dirname "$0")/daemons.sh"

# A Shelly plug at 12.5 W.
start plug "$python" -u -c '
import http.server
class Plug(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"{\"id\": 0, \"apower\": 12.5, \"aenergy\": {\"total\": 1.0}}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plug)
print(server.server_address[1])
server.serve_forever()'
plug=shelly:127.0.0.1:$line
start node "$wattshed" node --listen 127.0.0.1:0 --meter "$plug" --idle 0.2 "$model"
node=$line

# What idle draws is nobody's, and this plug never draws more; the edge's is all of it. A
# machine so loaded that the plug was not asked for a second says unknown: then once more.
check() {
    "$wattshed" infer "$model" --cut 30 --node "$node" --input "$input" --repeat 20 \
        --meter "$plug" --json >"$dir/report" || return
    "$python" - "$dir/report" <<'EOF'
import json
import sys
report = json.load(open(sys.argv[1]))
edge = report["edge_energy"]
assert edge["truth"] == "measured" and edge["boundary"] == "wall", edge
assert abs(edge["idle_w"] - 12.5) < 0.2, edge
assert edge["energy_j"] >= 12.5 * 0.9 * report["edge_ms"] / 1000, edge
assert report["truth"] == "measured" and report["boundary"] == "wall"
assert 0 <= report["cloud_energy_j"] < 0.01, report
EOF
}
check || check || check || fail "$(cat "$dir/report")"
run() {
    "$wattshed" run "$model" --input "$input" --repeat 20 --meter "$plug" >"$dir/run" &&
        grep -q 'edge energy .* J a request (measured, wall: shelly' "$dir/run"
}
run || run || run || fail "run: $(cat "$dir/run")"

# A profile of this machine takes the plug for the edge's: as long as it takes to see it.
cat >"$dir/p.testbed.json" <<'EOF'
{"name": "p", "objectives": ["latency_ms", "edge_energy_j"], "knobs": {
 "cut": {"part": "shared", "kind": "ordered", "values": [58]},
 "edge.threads": {"part": "edge", "kind": "ordered", "values": [1]}}}
EOF
profile() {
    rm -f "$dir/p.study"
    "$wattshed" profile "$model" --node "$node" --meter "$plug" --testbed \
        "$dir/p.testbed.json" --budget 1 -o "$dir/p.study" --plan "$dir/plan.json" \
        >"$dir/profile" 2>&1 &&
        "$wattshed" study "$dir/p.study" --json >"$dir/trials" &&
        "$python" - "$dir/trials" <<'EOF'
import json
import sys
trial, = json.load(open(sys.argv[1]))["trials"]
outcome = trial["outcome"]
watts = outcome["edge_energy_j"] / outcome["edge_ms"] * 1000
assert abs(watts - 12.5) < 1, trial
assert trial["samples"] * outcome["edge_ms"] > 2500, trial
EOF
}
profile || profile || profile || fail "profile: $(cat "$dir/profile" "$dir/trials")"
# So does an agent; requests that overlap share what the plug counts.
start serve "$wattshed" serve "$dir/plan.json" --model "$model" --listen 127.0.0.1:0 \
    --meter "$plug"
serve=$line
seq 0 79 | sed 's/$/,5000/; 1i index,deadline_ms' >"$dir/workload.csv"
share() {
    local before=$EPOCHREALTIME
    "$wattshed" load "$serve" --workload "$dir/workload.csv" --closed 4 \
        --requests "$dir/requests" >"$dir/load" || return
    "$python" - "$dir/requests" "$before" "$EPOCHREALTIME" <<'EOF'
import csv
import sys
rows = list(csv.DictReader(open(sys.argv[1])))
spent_s = float(sys.argv[3]) - float(sys.argv[2])
joules = [float(row["edge_energy_j"]) for row in rows]
alone = sum(float(row["latency_ms"]) for row in rows) / 1000 * 12.5
assert len(rows) == 80 and min(joules) > 0, rows
assert sum(joules) <= 12.5 * spent_s * 1.05, (sum(joules), spent_s)
assert sum(joules) < alone * 0.8, (sum(joules), alone)
EOF
}
share || share || share || fail "serve: $(cat "$dir/load" "$dir/requests")"
err=$("$wattshed" profile "$model" --edge rpi4-coral --node "$node" --meter "$plug" \
    -o "$dir/e.study" 2>&1)
[[ $err == *'the edge is no real one'* ]] || fail "a meter of an emulated edge: $err"

err=$("$wattshed" infer "$model" --node "$node" --input "$input" --meter nothing 2>&1)
[[ $err == *meter* ]] || fail "an unknown meter: $err"
err=$("$wattshed" infer "$model" --node "$node" --input "$input" --set volts=3 2>&1)
[[ $err == *'no knob "volts" among '* ]] || fail "an unknown knob: $err"
exit $failed
