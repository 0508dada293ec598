#!/bin/bash
# What doctor says of a small machine, as text and as JSON, and that it gives back what a
# killed process left. Usage: doctor.sh WATTSHED
set -u
wattshed=$1
failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# put PATH TEXT: a file of the machine.
put() {
    mkdir -p "$dir/root/$(dirname "$1")"
    printf '%s\n' "$2" >"$dir/root/$1"
}

# holds TEXT WORDS ...: each must be in it.
holds() {
    local text=$1
    shift
    for words in "$@"; do
        if [[ $text != *"$words"* ]]; then
            printf 'no "%s" in:\n%s\n' "$words" "$text"
            failed=1
        fi
    done
}

policy=sys/devices/system/cpu/cpufreq/policy0
put proc/device-tree/model 'A Small Board'
put $policy/cpuinfo_min_freq 600000
put $policy/cpuinfo_max_freq 1800000
put $policy/scaling_available_frequencies '600000 1200000 1800000'
put $policy/scaling_available_governors 'ondemand powersave'
put $policy/scaling_governor ondemand
put $policy/scaling_min_freq 600000
put $policy/scaling_max_freq 1800000
put $policy/scaling_cur_freq 1200000
put $policy/scaling_setspeed '<unsupported>'
put sys/class/hwmon/hwmon0/name ina3221
put sys/class/hwmon/hwmon0/in1_label VDD_IN
put sys/class/hwmon/hwmon0/in1_input 5000
put sys/class/hwmon/hwmon0/curr1_input 700
put sys/class/thermal/thermal_zone0/type cpu-thermal
put sys/class/thermal/thermal_zone0/temp 48500
put sys/class/thermal/cooling_device0/type cpufreq-cpu0
put sys/class/thermal/cooling_device0/cur_state 2
put sys/class/thermal/cooling_device0/max_state 12
put sys/devices/platform/soc/soc:firmware/get_throttled 50005
put proc/812/comm auto-cpufreq
put proc/813/comm bash
chmod 444 "$dir/root/$policy/scaling_governor"

text=$("$wattshed" doctor --root "$dir/root") || failed=1
holds "$text" 'A Small Board' 'edge.cpu_khz' '3: 600000 .. 1800000' 'now 1200000' \
    'LOCKED' 'can be set' 'ina3221 VDD_IN' '3.500 W' 'the whole board' 'cpu-thermal' \
    '48.5 C' "HELD BACK: the supply's voltage is too low" 'HELD BACK: it is throttled' \
    'cpufreq-cpu0 is cooled by slowing it down, step 2 of 12' \
    'ALSO GOVERNS: auto-cpufreq' 'ONNX Runtime' \
    'z /sys/devices/system/cpu/cpufreq/policy*/scaling_governor 0664 root wattshed -'

json=$("$wattshed" doctor --root "$dir/root" --json) || failed=1
printf '%s' "$json" | python3 -c '
import json, sys
facts = json.load(sys.stdin)
knobs = {knob["name"]: knob for knob in facts["knobs"]}
assert set(knobs) == {"edge.cpu_khz", "edge.cpu_governor"}, knobs
assert knobs["edge.cpu_khz"]["values"] == ["600000", "1200000", "1800000"]
assert knobs["edge.cpu_khz"]["writable"] and not knobs["edge.cpu_governor"]["writable"]
assert abs(facts["meters"][0]["power_w"] - 3.5) < 1e-9
assert facts["also_governing"][0]["name"] == "auto-cpufreq"
assert len(facts["held_back"]) == 3, facts["held_back"]
assert facts["runtime"]["providers"]
' || failed=1

# A lease that a dead process left: the bounds it changed come back.
put $policy/scaling_max_freq 600000
cat >"$dir/lease.json" <<LEASE
{"wattshed_lease": 1, "pid": 1, "boot": "", "originals": [
  {"path": "devices/system/cpu/cpufreq/policy0/scaling_max_freq", "text": "1800000"}]}
LEASE
text=$("$wattshed" doctor --root "$dir/root" --lease "$dir/lease.json" --restore) || failed=1
holds "$text" 'gave back 1 settings'
holds "$(cat "$dir/root/$policy/scaling_max_freq")" 1800000
if [ -e "$dir/lease.json" ]; then
    echo 'the lease is still there'
    failed=1
fi
text=$("$wattshed" doctor --root "$dir/root" --lease "$dir/lease.json" --restore) || failed=1
holds "$text" 'nothing to give back'

# While another process holds the lease, nothing is touched.
exec 9>"$dir/lease.json.lock"
flock 9
text=$("$wattshed" doctor --root "$dir/root" --lease "$dir/lease.json" --restore 2>&1) &&
    failed=1
holds "$text" 'another process has set'
exec 9>&-

text=$("$wattshed" doctor --root "$dir/root" --capture "$dir/capture.txt") || failed=1
holds "$text" 'attributes'
holds "$(cat "$dir/capture.txt")" 'captured by wattshed doctor' \
    'rw devices/system/cpu/cpufreq/policy0/scaling_max_freq = 1800000' \
    'ro /proc/device-tree/model = A Small Board' 'class/hwmon/hwmon0/in1_label = VDD_IN'

# This machine, whatever it is.
"$wattshed" doctor >/dev/null || failed=1
exit $failed
