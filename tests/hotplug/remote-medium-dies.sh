#!/usr/bin/env bash
# The medium is another NBD server. It is killed in the middle of the load and forgets everything it
# had not synced; it comes back, and nothing that a client was told is missing.
source "$(dirname "$0")/lib.sh"

blank far.img 16M
start_far() {
    nbdkit -f -U "$dir/far.sock" --filter=cache file far.img cache=writeback 2>>far.log &
    far=$!
    local tries
    for tries in $(seq 200); do
        nbdinfo --size "nbd+unix:///?socket=$dir/far.sock" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "nbdkit does not answer after $tries tries"
}
end_far() { kill -9 "$far"; wait "$far" 2>/dev/null || true; rm -f far.sock; }

start_far
start_hotbay --volume "a=nbd+unix:///?socket=$dir/far.sock"
keep_writing a
for round in 1 2 3; do
    writes 100
    end_far
    becomes a absent
    writes 100
    start_far
    [ "$(state a)" = present ] || hotbay insert a || becomes a present   # or it found its way by itself
done
stop_writing

stop_hotbay
kill "$far"; wait "$far" || true
cmp expected.img far.img
