#!/bin/bash
# The units at work, as root under a real systemd that is nobody else's (tools/check-units
# starts one): a node with certificates and tokens, an agent whose knobs the helper sets, a
# tree of files that stands for the machine, reload, death and end; the node announced to the
# network. Usage: units_live.sh
set -eu
source=/root/wattshed
demo=$source/etc/demo
run=/run/wattshed-live # the machine that the helper sets
slow=600000 fast=1500000
policy=$run/sys/devices/system/cpu/cpufreq/policy0

fail() {
    echo "units_live: $*" >&2
    journalctl --no-pager -n 20 -u 'wattshed-*' >&2 || true
    exit 1
}
# expect NAME WANTED GOT
expect() {
    [ "$2" = "$3" ] || fail "$1: expected $2, got $3"
}
# wait_for NAME COMMAND ...: until it succeeds, ten seconds at most.
wait_for() {
    local name=$1
    shift
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "waited for $name in vain"
}
pid_of() { systemctl show --property MainPID --value "wattshed-$1"; }
listens() { curl --silent --insecure "$1/v2/health/live"; }

# --- as etc/systemd/README.md says ---
cp $source/etc/systemd/*.service /etc/systemd/system/
mkdir -p /etc/sysusers.d
cp $source/etc/systemd/wattshed.sysusers /etc/sysusers.d/wattshed.conf
systemd-sysusers 2>/dev/null
systemctl daemon-reload
mkdir -p /etc/wattshed/models
cd /etc/wattshed
cp $demo/digits.onnx models/
wattshed keys fleet --server cloud,10.9.8.7 --client agent >/dev/null
cp fleet/ca.pem fleet/cloud.pem fleet/cloud.key fleet/tokens fleet/agent.token .
chgrp wattshed cloud.key tokens agent.token
chmod 640 cloud.key tokens agent.token

# --- a node ---
node=https://10.9.8.7:8443
cat >node.env <<EOF
WATTSHED_NODE="--listen 10.9.8.7:8443 --cert /etc/wattshed/cloud.pem \
--key /etc/wattshed/cloud.key --tokens /etc/wattshed/tokens --announce cloud \
/etc/wattshed/models/digits.onnx"
EOF
systemctl start wattshed-node
wait_for 'the node' listens $node
who=$(ps -o user= -p "$(pid_of node)")
case $who in
root) fail "the node runs as root" ;;
esac
expect 'its capabilities' 'CapEff: 0000000000000000' \
    "$(grep CapEff "/proc/$(pid_of node)/status" | tr '\t' ' ')"
infer=(wattshed infer models/digits.onnx --cut 30 --node "$node" --cacert ca.pem
    --input "$demo/test_data_set_0/input_0.pb")
"${infer[@]}" --token-file agent.token >/dev/null || fail "the node does not answer"
"${infer[@]}" >out 2>&1 && fail "the node answers strangers"
grep -q 'the server answered 401' out || fail "strangers are told: $(cat out)"
echo "node: ok, as $who"

# --- announced to the network, and found there by others and by us ---
wait_for 'the announcement' sh -c \
    'avahi-browse --terminate --resolve --parsable _wattshed._tcp | grep "^=.*10.9.8.7;8443"'
cat >cluster.json <<EOF
{"format": "wattshed-cluster", "version": 1, "model": "digits",
 "variants": {"digits": {}}, "nodes": [{"name": "cloud"}]}
EOF
wattshed distribute --nodes cluster.json --mdns --measure --input $demo/digits_inputs.npy \
    --cacert ca.pem --token-file agent.token >out 2>&1 || fail "distribute: $(cat out)"
grep -q '"image_ms"' cluster.json || fail "nobody was found and measured: $(cat out)"
echo "mdns: ok"

# --- an agent and the helper of its knobs ---
mkdir -p $policy $run/proc/device-tree
echo 'A Small Board' >$run/proc/device-tree/model
put() { echo "$2" >"$policy/$1"; }
put cpuinfo_min_freq $slow
put cpuinfo_max_freq 1800000
put scaling_available_frequencies "$slow $fast 1800000"
put scaling_available_governors 'ondemand powersave'
put scaling_governor ondemand
put scaling_min_freq $slow
put scaling_max_freq 1800000
put scaling_setspeed '<unsupported>'
before=$(grep -r . $policy | sort)
as_before() { [ "$(grep -r . $policy | sort)" = "$before" ]; }
mkdir -p /etc/systemd/system/wattshed-knobs.service.d
cat >/etc/systemd/system/wattshed-knobs.service.d/tree.conf <<EOF
[Service]
ReadWritePaths=$run
ExecStart=
ExecStart=/usr/bin/wattshed knobs --socket /run/wattshed/knobs \
    --allow /etc/wattshed/knobs.allow --user wattshed-serve --root $run
ExecStopPost=
ExecStopPost=/usr/bin/wattshed doctor --restore --root $run
EOF
systemctl daemon-reload
echo "edge.cpu_khz $slow $fast" >knobs.allow
cat >testbed.json <<EOF
{"name": "live", "table": "table.csv", "objectives": ["latency_ms", "energy_j"], "knobs": {
 "cut": {"part": "shared", "kind": "ordered", "values": [30, 58]},
 "edge.cpu_khz": {"part": "edge", "kind": "ordered", "values": [$slow, $fast]}}}
EOF
cat >table.csv <<EOF
knob.cut,knob.edge.cpu_khz,latency_ms,energy_j,edge_ms,transfer_ms,cloud_ms
58,$slow,400,0.1,400,0,0
30,$fast,100,0.4,40,30,30
EOF
wattshed plan testbed.json --search exhaustive -o plan.json >/dev/null
cat >wattshed.ini <<EOF
[serve]
listen = 127.0.0.1:8080
knobs = /run/wattshed/knobs
[nodes]
url = $node
cacert = /etc/wattshed/ca.pem
token_file = /etc/wattshed/agent.token
EOF
cat >serve.env <<EOF
WATTSHED_SERVE="/etc/wattshed/plan.json --model /etc/wattshed/models/digits.onnx \
--config /etc/wattshed/wattshed.ini"
EOF
# ask DEADLINE_MS: the speed that the machine had for it.
ask() {
    printf 'index,deadline_ms\n0,%s\n' "$1" >workload.csv
    wattshed load http://127.0.0.1:8080 --workload workload.csv >out 2>&1 ||
        fail "load: $(cat out)"
    grep -q '1 answered, 0 refused, 0 failed' out || fail "load: $(cat out)"
    cat $policy/scaling_max_freq
}
systemctl start wattshed-serve
wait_for 'the agent' listens http://127.0.0.1:8080
expect 'with time' $slow "$(ask 60000)"
expect 'in a hurry' $fast "$(ask 200)"
echo "serve and knobs: ok, as $(ps -o user= -p "$(pid_of serve)")"

agent=$(pid_of serve)
systemctl reload wattshed-serve || fail "it cannot be reloaded"
expect 'with time, reloaded' $slow "$(ask 60000)"
expect 'the agent after a reload' "$agent" "$(pid_of serve)"
kill -KILL "$agent"
wait_for 'another agent' sh -c "[ \"\$(systemctl show -P MainPID wattshed-serve)\" != $agent ]"
wait_for 'another agent' listens http://127.0.0.1:8080
expect 'in a hurry, another agent' $fast "$(ask 200)"
kill -KILL "$(pid_of knobs)"
wait_for 'what it had changed' as_before
echo "reload and deaths: ok"

systemctl stop wattshed-serve wattshed-knobs wattshed-node
for unit in node serve knobs; do
    expect "wattshed-$unit at its end" success \
        "$(systemctl show --property Result --value wattshed-$unit)"
done
as_before || fail "the machine is not as it was"
echo "end: ok"
