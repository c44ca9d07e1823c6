#!/usr/bin/env bash
# What a reload must not do: take a volume away whose journal holds something, give one volume another's medium, move a volume that
# stays, forget what was said by command, or make half of a file true. What it did is there after a kill.
source "$(dirname "$0")/lib.sh"

for medium in a b c d e; do blank $medium.img 16M; done
volume() { printf '[[volume]]\nname = "%s"\nmedium = "%s.img"\n' "$1" "${2:-$1}"; }
remembered() { tr -d ' \n' <state/volumes.json 2>/dev/null || echo nothing; }
bays() { hotbay status --json | grep -o '"bays":[0-9]*'; }
volumes() { hotbay status --json | "$python" -c 'import json, sys; print(*[v["name"] for v in json.load(sys.stdin)["volumes"]])'; }
kill_and_start() {
    kill_hotbay
    start_hotbay drive.toml
}
{ volume a; volume b; } >drive.toml
start_hotbay drive.toml
becomes a present
becomes b present

# --- a journal that holds what no medium has
hotbay eject b
fill b 0xb1 0 1M
volume a >drive.toml
refused hotbay reload
grep -q '^refused: volume b goes: the journal of volume b holds' output || fail "$(cat output)"
holds b 0xb1 0 1M
is "the bays" "$(bays)" '"bays":2'
hotbay insert b
becomes b present
hotbay reload | grep -qx 'volume b goes'
is "the volumes" "$(volumes)" a
is "the bays" "$(bays)" '"bays":1'
file_holds b.img 0xb1 0 1M

# --- a hook hears what happens from now on, not what was
hotbay eject a
hotbay insert a
becomes a present
{
    printf '[[hook]]\ncommand = ["/bin/sh", "-c", "echo $HOTBAY_EVENT >>%s/seen"]\nevents = ["ejected", "pulled"]\n' "$dir"
    volume a
} >drive.toml
hotbay reload | grep -q '^hook '
hotbay pull a
until [ -s seen ]; do sleep 0.05; done
hotbay insert a
becomes a present
is "what the hook heard" "$(cat seen)" pulled

# --- a medium that a volume is on by command, though the file does not say so
hotbay swap a c.img
{ volume a; volume x c; } >drive.toml
refused hotbay reload
grep -q '^refused: volume x comes: .*c.img is the medium of volume a' output || fail "$(cat output)"
[ ! -e state/volumes/x ] || fail "something is left of a volume that did not come"
{ volume a; volume none; } >drive.toml
refused hotbay reload
grep -q '^refused: volume none comes: ' output || fail "$(cat output)"
is "the bays" "$(bays)" '"bays":1'

# --- a volume stays on its medium, whatever the file says; and it is said each time
{ volume a d; } >drive.toml
sed -i '$a journal_limit = "96MiB"\nabsent_wait = "1s"' drive.toml
hotbay reload >said
grep -qx 'volume a: absent_wait 30s -> 1s' said || fail "$(cat said)"
hotbay reload >said
grep -q '^not now: volume a: medium ' said && grep -q '^not now: volume a: journal_limit ' said || fail "$(cat said)"
! grep -q absent_wait said || fail "it is said twice: $(cat said)"
is "the medium" "$(field a medium)" "file:$dir/c.img"
hotbay eject a
exits 1 timeout 20 qemu-io -f raw -c 'read 8M 4k' "$(uri a)"         # it waits for a second, and not for 30
hotbay insert a
is "the medium" "$(field a medium)" "file:$dir/c.img"

# --- who may open what by the drive's list: said once
{ echo 'allow = ["everyone"]'; volume a; } >drive.toml
hotbay reload >/dev/null
{ printf 'allow = ["user:%s"]\n' "$(id -u)"; volume a; } >drive.toml
hotbay reload | grep -q '^allow everyone -> user:'
hotbay reload | grep -qx 'nothing has changed'

# --- what was said by command is remembered until the file says it, and no longer
hotbay volume add d=d.img >/dev/null
{ volume a; volume d; } >drive.toml
hotbay reload >/dev/null
is "what is remembered" "$(remembered)" '{"format":1,"added":[],"removed":[]}'
kill_and_start
is "the volumes" "$(volumes)" "a d"
volume a >drive.toml
hotbay reload | grep -qx 'volume d goes'
kill_and_start
is "the volumes" "$(volumes)" a

hotbay volume add e=e.img >/dev/null
hotbay volume add d=d.img >/dev/null
before=$(remembered)
{ volume a; volume d; volume f e; } >drive.toml      # the e of the command has this medium
sed -i '1i [defaults]\nabsent_wait = "3s"' drive.toml
refused hotbay reload
grep -q 'have the same medium' complaint || fail "$(cat complaint)"
is "what is remembered" "$(remembered)" "$before"
is "the volumes" "$(volumes)" "a e d"
volume a >drive.toml
hotbay reload | grep -qx 'nothing has changed'
hotbay volume remove d >/dev/null

# --- a removal by command is remembered while the file names the volume; named anew later, it is there
{ volume a; volume b; } >drive.toml
hotbay reload | grep -qx 'volume b comes'
becomes b present
hotbay volume remove b >/dev/null
hotbay reload | grep -qx 'nothing has changed'
is "the volumes" "$(volumes)" "a e"
volume a >drive.toml
hotbay reload >/dev/null
{ volume a; volume b; } >drive.toml
hotbay reload | grep -qx 'volume b comes'
kill_and_start
is "the volumes" "$(volumes)" "a b e"
becomes b present
file_holds b.img 0xb1 0 1M
stop_hotbay

# --- a copy of a mirror that comes by a reload is served on its own: its mirror does not take it for equal
rm -r state
for medium in a b c; do blank $medium.img 8M; done
mirror() { timeout 20 hotbay serve --layout mirror --volume a=a.img --volume b=b.img --listen "unix:$dir/nbd.sock" --state state; }
start_hotbay --layout mirror --volume a=a.img --volume b=b.img
in_sync b
stop_hotbay
volume c >drive.toml
start_hotbay drive.toml
{ volume c; volume b; } >drive.toml
hotbay reload | grep -qx 'volume b comes'
becomes b present
fill b 0x5b 0 1M
stop_hotbay
refused mirror
grep -q '^error: volume b was served on its own' complaint || fail "$(cat complaint)"

# --- never more volumes than a drive may have, also where one that is to go has to stay
rm -r state
memory() { for number in $(seq "$1" "$2"); do printf '[[volume]]\nname = "m%s"\nmedium = "mem:64KiB"\n' "$number"; done; }
memory 1 128 >drive.toml
start_hotbay drive.toml
nbdsh -u "$(uri m1)" -c 'h.pread(512, 0); print("open", flush=True); input()' < <(until [ -e go ]; do sleep 0.05; done; echo) >session.log &
session=$!
until grep -qs open session.log; do sleep 0.05; done
memory 2 129 >drive.toml
refused hotbay reload
grep -q '^refused: volume m1 goes: volume m1 is open in a session' output || fail "$(cat output)"
grep -q '^refused: volume m129 comes: 129 volumes are too many; the limit is 128' output || fail "$(cat output)"
touch go
wait "$session"
hotbay reload | grep -qx 'volume m129 comes'
stop_hotbay
