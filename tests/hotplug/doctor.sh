#!/usr/bin/env bash
# The doctor tells what is wrong and what to do, and what it says to do helps.
source "$(dirname "$0")/lib.sh"
export HOTBAY_STATE=$dir/state

# says VERDICT CHECK TEXT: a finding of a doctor who is asked now.
says() {
    hotbay doctor --json >findings 2>/dev/null || true
    "$python" -c '
import json, sys
verdict, check, text = sys.argv[1:]
findings = [f for f in json.load(open("findings")) if (f["check"], f["verdict"]) == (check, verdict)]
sys.exit(not any(text in f["found"] or text in (f["advice"] or "") for f in findings))' "$@" ||
        fail "the doctor does not say $*: $(cat findings)"
}

says note daemon 'hotbay serve'
says note 'state directory' 'not there yet'

blank a.img 16M
printf 'state = "state"\n[defaults]\njournal_limit = "16MiB"\n[[volume]]\nname = "a"\nmedium = "a.img"\n' >drive.toml
start_hotbay drive.toml
becomes a present
says good volume 'a is present'
chmod 755 state
says problem 'state directory' 'chmod 700'
exits 1 hotbay doctor drive.toml
grep -q '^error: there \(is one problem\|are .* problems\)' complaint
chmod 700 state
hotbay doctor drive.toml >output || fail "$(cat output)"

hotbay pull a
fill a 0x11 0 1M
says note volume 'its journal holds'
kill_hotbay
says note journal 'that of volume a holds 1'
start_hotbay drive.toml
hotbay insert a
stop_hotbay
says good journal 'holds nothing'

# A limit that no disk has.
sed -i 's/16MiB/1024TiB/' drive.toml
exits 1 hotbay doctor drive.toml
grep -q 'make room, or lower journal_limit' output
echo 'naem = "x"' >wrong.toml
exits 1 hotbay doctor wrong.toml
grep -q 'did you mean' output
