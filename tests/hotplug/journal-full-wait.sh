#!/usr/bin/env bash
# journal_full = "wait": at the limit a write waits, and is done when the medium is back. Meanwhile all that show the drive say so.
source "$(dirname "$0")/lib.sh"

blank a.img 64M
cat >small.toml <<'EOF'
[[volume]]
name = "a"
medium = "a.img"
journal_limit = "16MiB"
retained_limit = "4MiB"
journal_full = "wait"
EOF
start_hotbay small.toml --metrics 0
page=$(hotbay status --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["metrics"])')
metric() { "$python" -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())' "$page" | awk -v name="$1" '$1 == name { print $2 }'; }
is "what waits for room" "$(field a waiting_for_room)" None
hotbay eject a
fill a 0x33 0 40M &
writer=$!
event '"journal-full"'
kill -0 "$writer" || fail "the write did not wait"
hotbay status a >shown
grep -Eq "^the journal of a is full: [0-9]+ requests? waits?, for .*s; 'hotbay insert a' empties it" shown || fail "$(cat shown)"
grep -q "'full': 'journal', 'requests': [1-9]" <<<"$(field a waiting_for_room)" || fail "$(field a waiting_for_room)"
more_than() { awk -v value="$(metric "$1{volume=\"a\"}")" 'BEGIN { exit !(value > 0) }' || fail "$1 is not more than 0"; }
more_than hotbay_waiting_for_room
more_than hotbay_waiting_for_room_age_seconds
exits 1 hotbay doctor small.toml
grep -q 'a is absent, and the journal of a is full: ' output || fail "$(cat output)"

hotbay insert a
wait "$writer"
is "what waits for room" "$(field a waiting_for_room)" None
is "the number of those" "$(metric 'hotbay_waiting_for_room{volume="a"}')" 0.0
stop_hotbay
file_holds a.img 0x33 0 40M
