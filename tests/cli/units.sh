#!/bin/sh
# The systemd units of etc/systemd: hardened as far as systemd itself can tell, and every
# option that they use is one that the program has. Usage: units.sh WATTSHED SOURCE
set -eu
wattshed=$1
units=$2/etc/systemd
status=0
lacking=$(for unit in node serve knobs; do
    # Folded lines first; then each word that looks like an option.
    sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$units/wattshed-$unit.service" |
        sed -n 's/^ExecStart=//p' | grep -o -e '--[a-z-]*' | while read -r option; do
        "$wattshed" "$unit" -h | grep -q -e "$option" || echo "wattshed $unit: $option"
    done
done)
if [ -n "$lacking" ]; then
    echo "the units use what the program lacks: $lacking"
    status=1
fi
if ! systemd-analyze --version 2>/dev/null | grep -q 'systemd 25[2-9]'; then
    echo "no systemd-analyze of 252 to 259: units and their exposure were not looked at"
    [ $status = 0 ] && status=77
    exit $status
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for unit in node serve knobs; do
    # What systemd does not know or understand it says and goes on; the program is where it
    # was built, and its manual need not be installed.
    sed -e "s|/usr/bin/wattshed|$wattshed|" -e '/^Documentation=/d' \
        "$units/wattshed-$unit.service" >"$dir/wattshed-$unit.service"
    said=$(systemd-analyze verify "$dir/wattshed-$unit.service" 2>&1) || status=1
    if [ -n "$said" ]; then
        echo "$said"
        status=1
    fi
    # Exposure in tenths, of 100; an ordinary service has 96.
    systemd-analyze security --offline=yes --threshold=12 \
        "$units/wattshed-$unit.service" >/dev/null 2>&1 || {
        echo "wattshed-$unit.service is exposed to more than 1.2"
        status=1
    }
done
exit $status
