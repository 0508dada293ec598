#!/bin/sh
# A network on a graphics card (or on one that Vulkan emulates): cut anywhere it answers
# with the same bits, also to clients that ask at once, though the provider knows one
# thread at a time. Skipped where there is no adapter.
# Usage: webgpu.sh WATTSHED MODEL INPUT
set -eu
wattshed=$1 model=$2 input=$3
dir=$(mktemp -d)
node=
clean_up() {
    [ -z "$node" ] || kill "$node" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean_up EXIT

# By any spelling, also the one that doctor shows.
if ! "$wattshed" run "$model" --input "$input" --provider WebGpu >"$dir/out" 2>&1; then
    tail -n 1 "$dir/out"
    if grep -q '^wattshed: execution provider: WebGPU: ' "$dir/out"; then
        exit 77
    fi
    exit 1
fi
"$wattshed" verify "$model" --provider webgpu 2>/dev/null | tee "$dir/out"
grep -q '^pass .*cuts abs 0 rel 0' "$dir/out"

"$wattshed" node "$model" --provider webgpu --listen 127.0.0.1:0 >"$dir/url" 2>"$dir/log" &
node=$!
for _ in $(seq 300); do
    [ ! -s "$dir/url" ] || break
    sleep 0.1
done
url=$(cat "$dir/url")
for round in 1 2; do
    clients=
    for cut in 8 17 39 52; do
        "$wattshed" infer "$model" --cut $cut --node "$url" --input "$input" --repeat 20 \
            -o "$dir/$cut.$round" >"$dir/$cut.log" 2>&1 &
        clients="$clients $!"
    done
    for client in $clients; do
        wait "$client" || { cat "$dir"/*.log; exit 1; }
    done
done
for cut in 8 17 39 52; do
    cmp "$dir/$cut.1/logits.npy" "$dir/$cut.2/logits.npy"
done
kill "$node"
wait "$node"
node=
