#!/bin/bash
# Device models fitted to what others measured on real boards: the errors on settings that
# were held out, printed and bounded, and that the fitted model is one to load. Without
# those measurements: to the shipped testbed. Usage: calibrate.sh WATTSHED
set -u
wattshed=$1
data=${WS_SHARED_DATA:-$WS_SOURCE_ROOT/../shared/data}
models=$WS_SOURCE_ROOT/etc/devices
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# fit NAME BOUND ARG ...: medians over all units of at most BOUND.
fit() {
    local name=$1 bound=$2 median what all
    shift 2
    if ! "$wattshed" calibrate "$@" -o "$dir/$name.json" --json >"$dir/report"; then
        echo "$name: calibrate failed"
        failed=1
        return
    fi
    all=$(sed -n '/^  "all": {/,/^  }/p' "$dir/report")
    for what in time energy; do
        median=$(sed -n "/\"${what}_error\"/,/}/s/.*\"median\": \([0-9.e-]*\),*/\1/p" <<<"$all")
        echo "$name: median error of $what on held-out settings: $median"
        if ! awk -v m="$median" -v b="$bound" 'BEGIN { exit !(m != "" && m <= b) }'; then
            echo "$name: $what is off by more than $bound"
            failed=1
        fi
    done
    # What was written is a device model: it can be calibrated again.
    if ! "$wattshed" calibrate "$@" --device "$dir/$name.json" >/dev/null; then
        echo "$name: the fitted model does not load"
        failed=1
    fi
}

if [ -r "$data/dynasplit-vgg16/testbed.json" ]; then
    fit nano 0.1 "$data/jetson-nano-gpu/testbed.json" --device jetson-nano \
        --only concurrency=1 --work "$models/jetson-nano/model.json"
    fit pi 0.1 "$data/dynasplit-vgg16/testbed.json" --device rpi4-coral \
        --work "$models/rpi4-coral/model.json"
    fit server 0.1 "$data/dynasplit-vgg16/testbed.json" --device gpu-server --side cloud \
        --work "$models/rpi4-coral/model.json"
else
    echo "$data is not here: skipped"
    exit 77
fi

# expect STATUS WORDS ARG ...
expect() {
    local status=$1 words=$2 err got
    shift 2
    err=$("$wattshed" calibrate "$@" 2>&1 >/dev/null)
    got=$?
    if [ "$got" != "$status" ] || [[ $err != *"$words"* ]]; then
        echo "calibrate $*: status $got (expected $status), \"$err\""
        failed=1
    fi
}

nano=$data/jetson-nano-gpu/testbed.json
work=$models/jetson-nano/model.json
expect 2 '--device and --work are needed' "$nano"
expect 2 '--fit 0: expected 0.01 to 1' "$nano" --fit 0
expect 1 'has no value "99"' "$nano" --device jetson-nano --work "$work" --only concurrency=99
expect 1 'devices/nowhere/board.json' "$nano" --device nowhere --work "$work"
expect 1 'device model rpi4 has no knob for edge.gpu_khz' "$nano" --device rpi4 --work "$work"
exit $failed
