#!/usr/bin/env bash
# journal_full = "wait": at the limit a write waits, and is done when the medium is back.
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
start_hotbay small.toml
hotbay eject a
fill a 0x33 0 40M &
writer=$!
event '"journal-full"'
kill -0 "$writer" || fail "the write did not wait"

hotbay insert a
wait "$writer"
stop_hotbay
file_holds a.img 0x33 0 40M
