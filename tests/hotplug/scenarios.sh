#!/usr/bin/env bash
# The example scenarios pass; a sweep names the writes after which a file system without a journal is damaged, and finds
# nothing wrong after the replay; a scenario that fails says so and exits 1.
source "$(dirname "$0")/lib.sh"

examples=$tests/../config/scenarios
unset HOTBAY_CONTROL                    # each has a daemon of its own

for example in usb-pull disk-hangs; do
    hotbay scenario run "$examples/$example.toml" >output || fail "$example: $(cat output)"
    grep -q '^PASS ' output || fail "$example: $(cat output)"
    grep -q 'away 3 times' output || fail "$example was not away each time: $(cat output)"
done

hotbay scenario sweep "$examples/ext2-sweep.toml" >output || fail "$(cat output)"
grep -q 'found: as it was pulled: the check ended with exit status: ' output ||
    fail "ext2 is never damaged: $(cat output)"
grep -q 'after the replay something is wrong after 0$' output || fail "$(cat output)"

# What is lost back to the last flush is whole: each image was.
sed 's/^fault = .*/fault = "lose-unsynced"/; s/"report"/"must_pass"/' "$examples/ext2-sweep.toml" >lost.toml
hotbay scenario sweep lost.toml --every 3 --limit 8 >output || fail "$(cat output)"
grep -q '^8 pulls: the check fails on the medium as it was pulled after 0;' output || fail "$(cat output)"

# Torn between the halves of a block, the check must pass and does not.
sed 's/^fault = .*/fault = "torn"/; s/"report"/"must_pass"/' "$examples/ext2-sweep.toml" >torn.toml
exits 1 hotbay scenario sweep torn.toml
grep -q '^FAIL ' output

# Stopped by a signal it leaves nothing behind: no directory, and nothing that runs.
until_so() { for _ in $(seq 300); do if "$@"; then return; fi; sleep 0.1; done; fail "not so: $*"; }
mkdir temporary
cat >slow.toml <<'SLOW'
size = "1MiB"
[load]
kind = "random"
requests = 10
longest = "8KiB"
[[step]]
do = "shell sleep 170 & echo $! >../../sleeper; wait"
SLOW
TMPDIR=$PWD/temporary hotbay scenario run slow.toml >output 2>&1 & scenario=$!
until_so test -s sleeper
kill -TERM "$scenario"
if wait "$scenario"; then fail "a scenario that was stopped has passed"; fi
grep -q '^error: stopped by a signal' output || fail "$(cat output)"
[ -z "$(ls temporary)" ] || fail "this was left behind: $(ls temporary)"
is_gone() { ! kill -0 "$(cat sleeper)" 2>/dev/null; }
until_so is_gone
