#!/bin/bash
# A node that passes for another machine, behind a link that is another one: answers stay
# the same, times and energies are the model's and say so. Usage: emulate.sh WATTSHED
set -u
wattshed=$1
demo=$WS_SOURCE_ROOT/etc/demo
model=$demo/digits.onnx
input=$demo/test_data_set_0/input_0.pb
# shellcheck source=tests/cli/daemons.sh
. "$(dirname "$0")/daemons.sh"

# at_least WHAT VALUE LEAST
at_least() {
    awk -v v="$2" -v l="$3" 'BEGIN { exit !(v + 0 >= l + 0) }' || fail "$1 is $2, not $3"
}

# field NAME FILE: a number of infer's JSON.
field() {
    sed -n "s/^ *\"$1\": \([0-9.e+-]*\),*$/\1/p" "$2" | head -1
}

start node "$wattshed" node --listen 127.0.0.1:0 --emulate rpi4 --set cpu_khz=600000 "$model"
node=$line
start shape "$wattshed" shape --to "${node#http://}" --mbit 50 --delay 10
link=http://$line

"$wattshed" infer "$model" --cut 30 --node "$link" --input "$input" -o "$dir/far" --json \
    >"$dir/far.json" || fail 'infer over the link failed'
"$wattshed" infer "$model" --cut 30 --node "$node" --input "$input" -o "$dir/near" --json \
    >"$dir/near.json" || fail 'infer without the link failed'
cmp "$dir/far/logits.npy" "$dir/near/logits.npy" || fail 'the answers differ'
at_least 'transfer over the link' "$(field transfer_ms "$dir/far.json")" 20
at_least 'the emulated tail' "$(field cloud_ms "$dir/near.json")" 5
grep -q '"cloud_energy_j": ' "$dir/near.json" || fail 'no energy of the node is told'
grep -q '"truth": "modelled"' "$dir/near.json" || fail 'modelled energy does not say so'

# A trace takes the link over from its first row on.
printf 'time_s,link_delay_ms,link_loss\n0,30,0\n' >"$dir/trace.csv"
start traced "$wattshed" shape --to "${node#http://}" --delay 1 --trace "$dir/trace.csv"
"$wattshed" infer "$model" --cut 30 --node "http://$line" --input "$input" --json \
    >"$dir/traced.json" || fail 'infer over the traced link failed'
at_least 'transfer over the traced link' "$(field transfer_ms "$dir/traced.json")" 60

# refuses WORDS OPTION ...
refuses() {
    local words=$1 err
    shift
    err=$("$wattshed" node --listen 127.0.0.1:0 "$@" "$model" 2>&1)
    [[ $err == *"$words"* ]] || fail "node $*: expected $words, got $err"
}

refuses 'no knob "volts" among edge.cpu_khz' --emulate rpi4 --set volts=3
refuses 'has no value "5"' --emulate rpi4 --set cpu_khz=5
refuses 'either modelled or measured' --emulate rpi4 --meter best
refuses 'which machine' --set cpu_khz=600000
exit $failed
