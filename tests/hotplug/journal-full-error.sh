#!/usr/bin/env bash
# journal_full = "error": at the limit a write gets ENOSPC, nothing before it is hurt, and the
# volume lives on as soon as the medium is back.
source "$(dirname "$0")/lib.sh"

blank a.img 64M
cat >small.toml <<'EOF'
[[volume]]
name = "a"
medium = "a.img"
journal_limit = "16MiB"
retained_limit = "4MiB"
journal_full = "error"
EOF
start_hotbay small.toml
hotbay eject a
fill a 0x22 0 4M
! qemu-io -f raw -c 'write -P 0x33 4M 40M' "$(uri a)" >io.log 2>&1 || fail "16 MiB took 40 MiB"
grep -q 'No space left' io.log
event '"journal-full"'
holds a 0x22 0 4M
is "the state" "$(state a)" absent

hotbay insert a
fill a 0x44 8M 32M
stop_hotbay
file_holds a.img 0x22 0 4M
file_holds a.img 0x44 8M 32M
