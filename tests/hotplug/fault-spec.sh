#!/usr/bin/env bash
# `hotbay fault`: a wrong word is named, status shows what is armed and what happened, --clear ends it.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
becomes a present

refused hotbay fault a vanish on wirte 3
grep -q '`wirte` is no operation' complaint || fail "the word is not named: $(cat complaint)"
refused hotbay fault nobody vanish
grep -q 'no volume nobody' complaint
exits 2 hotbay fault a

hotbay fault a 'count on write; error ENOSPC on write 2 at 1MiB+64KiB' >output
grep -q 'armed on a: error ENOSPC on write 2 at 1MiB+64KiB' output
fill a 0x11 0 64k
fill a 0x12 1M 4k
! timeout 30 qemu-io -f raw -c 'write -P 0x13 1M 4k' "$(uri a)" >io.log 2>&1 || fail "it did not fail"
grep -q 'No space left' io.log || fail "another error: $(cat io.log)"
is "the state" "$(state a)" present
hotbay status a | grep -q 'a fault is armed on a: error ENOSPC on write 2 at 1MiB+64KiB (seen 2, happened 1)' ||
    fail "status says: $(hotbay status a)"

hotbay fault a --clear
is "what is armed" "$(field a faults)" '[]'
holds a 0x12 1M 4k
stop_hotbay
