#!/usr/bin/env bash
# The configuration is read again, by command and by SIGHUP: what can count while the daemon runs does, the rest is named, and a wrong
# file changes nothing.
source "$(dirname "$0")/lib.sh"

for medium in a b c d; do blank $medium.img 16M; done
volume() { printf '[[volume]]\nname = "%s"\nmedium = "%s.img"\n' "$1" "$1"; }
{ volume a; volume b; } >drive.toml
start_hotbay drive.toml --listen tcp:127.0.0.1:0
becomes a present
becomes b present
hotbay reload | grep -qx 'nothing has changed'
keep_writing a
writes 100

# --- settings, hooks, a volume that comes and one that goes, under load
cat >drive.toml <<EOF
metrics = "9750"
[[hook]]
command = ["/bin/sh", "-c", "echo \$HOTBAY_EVENT \$HOTBAY_VOLUME >>$dir/seen"]
events = ["ejected", "removed", "added"]
[defaults]
absent_reads = "error"
EOF
{ volume a; volume c; } >>drive.toml
hotbay reload >said
for line in 'volume a: absent_reads wait -> error' 'volume b goes' 'volume c comes'; do
    grep -qx -- "$line" said || fail "not said: $line; but $(cat said)"
done
grep -q '^not now: metrics off -> 127.0.0.1:9750: ' said || fail "$(cat said)"
refused hotbay status b
becomes c present
is "the bays" "$(hotbay status --json | grep -o '"bays":[0-9]*')" '"bays":2'
writes 100
hotbay eject c
until grep -qx 'ejected c' seen 2>/dev/null; do sleep 0.05; done
grep -q 'absent' <(state c)
exits 1 timeout 20 qemu-io -f raw -c 'read 8M 4k' "$(uri c)"        # fails at once now
hotbay insert c

# --- a wrong file changes nothing
cp drive.toml right.toml
volume d >>drive.toml
echo 'absent_wait = "soon"' >>drive.toml
refused hotbay reload
grep -q 'drive.toml:16:15: absent_wait: `soon` is not a duration' complaint || fail "$(cat complaint)"
sed -i 's/absent_wait.*/absent_wiat = "1s"/' drive.toml
refused hotbay reload
grep -q '^hint: did you mean `absent_wait`' complaint || fail "$(cat complaint)"
kill -HUP "$daemon"
until grep -q 'the configuration stays as it was' log; do sleep 0.05; done
refused hotbay status d
writes 100

# --- what is refused is named, and tried again by the next one
cp right.toml drive.toml
volume none >>drive.toml
sed -i '/name = "a"/,+1d' drive.toml                               # the load has it open
sed -i '0,/\[\[volume\]\]/{/\[\[volume\]\]/d}' drive.toml
refused hotbay reload
grep -q '2 of [34] changes were refused' complaint || fail "$(cat complaint output)"
grep -q '^refused: volume a goes: volume a is open in a session' output
grep -q '^refused: volume none comes: .*none.img' output
[ ! -e state/volumes/none ] || fail "something is left of a volume that did not come"
writes 100
stop_writing
blank none.img 16M
kill -HUP "$daemon"
until hotbay status none >/dev/null 2>&1; do sleep 0.05; done
becomes none present
until ! hotbay status a >/dev/null 2>&1; do sleep 0.05; done
cmp a.img expected.img || fail "a holds something else than was written"

# --- what was said by command stays, until the file says it
hotbay volume add d=d.img >/dev/null
hotbay volume remove none >/dev/null
hotbay reload >/dev/null
is "the volumes" "$(hotbay status --json | grep -o '"name":"[a-z]*","export"' | tr -d '\n')" '"name":"c","export""name":"d","export"'

# --- who may open what, as what, and in TLS: for sessions to come; limits at the next start, and it is said
port=$(sed -n 's/.*listening on tcp:127.0.0.1:\([0-9]*\).*/\1/p' log | head -n 1)
nbdinfo --size "nbd://127.0.0.1:$port/c" >/dev/null
nbdsh -u "$(uri c)" -c 'h.pwrite(b"1" * 512, 0); print("open", flush=True); input(); h.pwrite(b"2" * 512, 0); h.flush()' \
    < <(until [ -e go ]; do sleep 0.05; done; echo) >session.log &
earlier=$!
until grep -qs open session.log; do sleep 0.05; done
hotbay tls make tls >/dev/null
sed -i '/name = "c"/a allow = ["user:65534"]\nread_only = true\nrotational = true\ndescription = "of nobody"' drive.toml
sed -i '1i handshake_timeout = "7s"\nmax_connections = 77' drive.toml
printf '[tls]\nmode = "offered"\ncertificate = "tls/server-cert.pem"\nkey = "tls/server-key.pem"\nclient_ca = "tls/ca-cert.pem"\n' >>drive.toml
hotbay reload >said
for line in 'allow everyone -> user:65534' 'read_only false -> true' 'rotational false -> true' 'description  -> of nobody'; do
    grep -qx "volume c: $line, for sessions that begin from now on" said || fail "not said: $line; but $(cat said)"
done
grep -q '^tls off -> offered, with .*, for sessions that begin from now on' said || fail "not said: tls; but $(cat said)"
nbdinfo --size "nbds+unix:///c?socket=$dir/nbd.sock&tls-hostname=localhost&tls-certificates=$dir/tls" >/dev/null
for key in handshake_timeout max_connections; do
    grep -q "^not now: $key .*at the next start" said || fail "not said: $key; but $(cat said)"
done
nbdinfo --is read-only "$(uri c)" && nbdinfo --is rotational "$(uri c)"
nbdinfo --list "$(uri '')" | grep -q 'description: of nobody'
exits 1 nbdinfo --size "nbd://127.0.0.1:$port/c"                    # over TCP nobody is user 65534
touch go
wait "$earlier" || fail "a session that was open is not what it was"
nbdsh -u "$(uri c)" -c 'assert h.pread(512, 0) == b"2" * 512'
hotbay reload >said
grep -q '^not now: handshake_timeout' said || fail "$(cat said)"
! grep -q tls said || fail "it is said twice: $(cat said)"
! grep -q 'volume c' said || fail "it is said twice: $(cat said)"
stop_hotbay

# --- in another layout volumes cannot come or go; without a file there is nothing to read
blank e.img 16M
{ volume a; volume b; } >disk.toml
start_hotbay disk.toml --layout linear
{ volume a; volume b; volume e; } >disk.toml
sed -i '1i [defaults]\nabsent_wait = "1s"' disk.toml
hotbay reload >said
grep -q '^not now: volume e comes: all volumes are one disk' said || fail "$(cat said)"
grep -qx 'volume b: absent_wait 30s -> 1s' said
refused hotbay status e
stop_hotbay
rm -r state
start_hotbay --volume a=a.img
refused hotbay reload
grep -q 'without a configuration file' complaint
stop_hotbay
