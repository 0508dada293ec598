#!/bin/bash
# `shape --step`: the link goes a row further at each signal, whatever the times say, and
# stays at the last; `load --batch`: so many samples a request. Usage: shape.sh WATTSHED
set -u
wattshed=$1
# shellcheck source=tests/cli/daemons.sh
. "$(dirname "$0")/daemons.sh"

start node "$wattshed" node --listen 127.0.0.1:0 --threads 1 \
    "$WS_SOURCE_ROOT/etc/demo/digits.onnx"
node=$line
# The second row's time never comes.
printf 'time_s,link_mbit_s\n0,100\n100000,0\n100001,100\n' >"$dir/trace.csv"
start link "$wattshed" shape --to "${node#http://}" --trace "$dir/trace.csv" --step
link=${jobs[-1]}
port=${line##*:}

# asks SECONDS: whether an answer came within them, over the open connection.
asks() {
    local status=''
    printf 'GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n' >&3
    read -r -t "$1" status <&3
    [[ $status == *200* ]]
}
open() { exec 3<>"/dev/tcp/127.0.0.1/$port"; }
open
asks 60 || fail "no answer over the link as it begins"
kill -USR1 "$link"
cut=0
for _ in $(seq 60); do # until the signal has come through
    open
    asks 1 || { cut=1 && break; }
done
[ $cut = 1 ] || fail "the link is not cut"
kill -USR1 "$link"
read -r -t 60 status <&3
[[ ${status:-} == *200* ]] || fail "what was under way does not arrive once the link is back"
kill -USR1 "$link" # there is no further row
open
asks 60 || fail "no answer after the last row"
kill "$link"
wait "$link" || fail "shape ends with $?"

printf 'index,deadline_ms\n0,60000\n' >"$dir/one.csv"
for batch in 1 3; do
    "$wattshed" load "$node" --workload "$dir/one.csv" --batch $batch --requests \
        "$dir/requests-$batch" >"$dir/load" || fail "load --batch $batch"
    grep -q '^1 requests.* 1 answered' "$dir/load" || fail "load --batch $batch: $(cat "$dir/load")"
done
"$wattshed" load "$node" --workload "$dir/one.csv" --batch 0 >/dev/null 2>"$dir/err" &&
    fail "--batch 0 is taken"
exit $failed
