#!/usr/bin/env bash
# absent_reads = "error": a read that only the medium can answer fails at once; writes do not.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
cat >refuse.toml <<'EOF'
[[volume]]
name = "a"
medium = "a.img"
absent_reads = "error"
EOF
start_hotbay refuse.toml
hotbay eject a
fill a 0x22 0 1M
holds a 0x22 0 1M
! qemu-io -f raw -c 'read 8M 4k' "$(uri a)" >io.log 2>&1 || fail "a read of nothing was answered"
grep -q 'Input/output error' io.log
hotbay insert a
holds a 0 8M 4k
