#!/usr/bin/env bash
# A journal is as large as what it must remember, not as its history: the same megabytes may be
# overwritten for ever, within the limit and on the disk.
source "$(dirname "$0")/lib.sh"

blank a.img 64M
cat >small.toml <<'EOF'
[[volume]]
name = "a"
medium = "a.img"
journal_limit = "32MiB"
retained_limit = "4MiB"
journal_full = "error"
EOF
start_hotbay small.toml
hotbay eject a
for round in $(seq 20); do fill a "$round" 0 8M; done
holds a 20 0 8M
limit=$((32 << 20))
[ "$(field a journal.disk_bytes)" -le "$limit" ] || fail "$(field a journal.disk_bytes) bytes on disk"
[ "$(du -s -B1 --apparent-size state | cut -f1)" -le $((limit + (1 << 20))) ] || fail "$(du -s state)"

hotbay insert a
stop_hotbay
file_holds a.img 20 0 8M
