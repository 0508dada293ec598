# Sourced by tests that start daemons: a folder $dir, `fail`, `start`; all of it is cleaned
# up at the end.
# shellcheck shell=bash
dir=$(mktemp -d)
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT
failed=0

fail() {
    echo "$*"
    # shellcheck disable=SC2034 # who sources this reads it
    failed=1
}

# start NAME COMMAND ...: in the background; its first line goes to $line.
start() {
    local name=$1
    shift
    "$@" >"$dir/$name" 2>"$dir/$name.err" &
    jobs+=($!)
    for _ in $(seq 600); do
        line=$(head -1 "$dir/$name")
        [ -n "$line" ] && return
        sleep 0.1
    done
    fail "$* did not start: $(cat "$dir/$name.err")"
    exit 1
}
