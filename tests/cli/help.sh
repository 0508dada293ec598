#!/bin/bash
# Every command explains itself: -h and --help go to stdout within 80 columns, exit 0,
# begin with how the command is called and name each option once; the man page and the
# README know the command. Usage: help.sh WATTSHED SOURCE_ROOT
set -u
wattshed=$1
root=$2
failed=0
say() { echo "$*" && failed=1; }

commands=$("$wattshed" -h | sed -n 's/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 25 ] || say "commands: $commands"
for command in $commands; do
    text=$("$wattshed" "$command" -h 2>&1) || say "$command -h: status $?"
    [ "$text" = "$("$wattshed" "$command" --help)" ] || say "$command: --help is not -h"
    [[ $text == "Usage: wattshed $command"* ]] || say "$command: ${text%%$'\n'*}"
    wide=$(awk 'length > 80' <<<"$text")
    [ -z "$wide" ] || say "$command: beyond 80 columns: $wide"
    twice=$(grep -oE '^  (-[a-z], )?--[a-z-]+' <<<"$text" | sort | uniq -d)
    [ -z "$twice" ] || say "$command: more than once: $twice"
    grep -q "wattshed $command" "$root/README.md" || say "README.md lacks $command"
    grep -q "^\.It Cm $command\b" "$root/docs/man/wattshed.1" ||
        say "the man page lacks $command"
done
exit $failed
