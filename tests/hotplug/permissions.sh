#!/usr/bin/env bash
# What the daemon makes is its owner's alone, whatever the umask: the journal is the disk's content. Another user reads who may, and what
# to do.
source "$(dirname "$0")/lib.sh"

# A place that another user may get to, as /srv and /run are.
public=$(mktemp -d /var/tmp/hotbay-permissions-XXXXXX)
at_the_end() { rm -rf "$public"; }
chmod 755 "$public"
cd "$public"
cp "$hotbay_binary" hotbay
export HOTBAY_CONTROL=$public/control.sock

umask 000
blank a.img 16M
"$public/hotbay" serve --volume a=a.img --listen "unix:$public/nbd.sock" --control "$HOTBAY_CONTROL" --state "$public/state" >>"$dir/log" 2>&1 &
daemon=$!
answers "$daemon"
hotbay eject a
fill_here() { nbdsh -u "nbd+unix:///a?socket=$public/nbd.sock" -c 'h.pwrite(b"x" * 65536, 0)' -c 'h.flush()'; }
fill_here
umask 022

is "the control socket" "$(stat -c %a control.sock)" 600
is "the NBD socket" "$(stat -c %a nbd.sock)" 600
is "the state directory" "$(stat -c %a state)" 700
open=$(find state -perm /077 ! -type l)
is "what others may read" "$open" ""

# For root another user is nobody; anybody else has no more rights than that where nobody has any.
if [ "$(id -u)" = 0 ]; then
    another=(setpriv --reuid=65534 --regid=65534 --clear-groups env "HOME=$public/mine")
else
    another=(env)
    chmod 0 control.sock nbd.sock state
fi
mkdir mine
[ "$(id -u)" != 0 ] || chown 65534:65534 mine

# denied ERROR HINT COMMAND…: another user's command is refused, and the error and the hint say this.
denied() {
    local error=$1 hint=$2 code=0
    shift 2
    "${another[@]}" timeout "$patience" "$public/hotbay" "$@" >"$dir/output" 2>"$dir/complaint" || code=$?
    [ "$code" = 1 ] || fail "another user's hotbay $* ended with $code: $(cat "$dir/complaint")"
    grep -qF -- "error: $error" "$dir/complaint" || fail "another user's hotbay $* does not say '$error': $(cat "$dir/complaint")"
    grep '^hint: ' "$dir/complaint" | grep -qF -- "$hint" || fail "another user's hotbay $* does not hint '$hint': $(cat "$dir/complaint")"
}

may_not_be_asked="the daemon at $public/control.sock may not be asked: Permission denied"
denied "$may_not_be_asked" 'as the user that the daemon runs as, or as root' status
denied "$may_not_be_asked" 'as the user that the daemon runs as, or as root' eject a
denied "$may_not_be_asked" 'as the user that the daemon runs as, or as root' events --follow
denied 'cannot connect to ' 'as the user that the server runs as' bench "nbd+unix:///a?socket=$public/nbd.sock"
denied "cannot read the state directory $public/state: Permission denied" "as the daemon's user" journal list --state state
denied "cannot read the state directory $public/state: Permission denied" "as the daemon's user" owner /dev/null --state state

blank secret.img 16M
echo 'bays = 1' >secret.toml
mkdir secret closed
"$public/hotbay" tls make secret/tls >/dev/null
chmod 0 secret.img secret.toml secret/tls/*.pem
chmod 555 closed
[ "$(id -u)" != 0 ] || chmod 755 closed
here="--listen unix:$public/mine/nbd.sock --control $public/mine/control.sock"
# shellcheck disable=SC2086  # flags
{
    denied "volume b: $public/secret.img may not be read and written" "let the daemon's user read and write it" serve --volume b=secret.img --state mine/state $here
    denied "cannot use the state directory $public/state: Permission denied" "as the directory's owner, or name another one with --state" serve --volume b=mem:1MiB --state state $here
    denied "cannot use the state directory $public/closed/state: Permission denied" 'name another one with --state' serve --volume b=mem:1MiB --state closed/state $here
    denied 'cannot read secret.toml: Permission denied' 'read it as its owner' serve secret.toml $here
}
denied "cannot listen on unix:$public/closed/nbd.sock: Permission denied" '--listen' \
    serve --volume b=mem:1MiB --state mine/state --listen "unix:$public/closed/nbd.sock" --control "$public/mine/control.sock"
denied "cannot listen on $public/closed/control.sock: Permission denied" '--control PATH' \
    serve --volume b=mem:1MiB --state mine/state --listen "unix:$public/mine/nbd.sock" --control "$public/closed/control.sock"
denied "cannot use $public/control.sock: Permission denied" 'name another path with --control PATH' \
    serve --volume b=mem:1MiB --state mine/state --listen "unix:$public/mine/nbd.sock"
denied 'cannot read secret.toml: Permission denied' 'read it as its owner' check-config secret.toml
denied 'cannot write man pages to ' 'that you may write to' man closed/man1
denied 'cannot make the directory closed/tls' 'in which you may make files' tls make closed/tls
denied 'cannot read secret/tls/ca-cert.pem: Permission denied' 'as its owner' tls client secret/tls laptop mine/laptop

# A block device is root's to make; the hint has what root's command lacks.
if [ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null; then
    denied 'only root may attach and detach block devices' "run it with sudo, and --control $public/control.sock" attach a
    denied 'only root may attach and detach block devices' 'run it with sudo' detach /dev/nbd0
fi
"${another[@]}" "$public/hotbay" attach --list --json >"$dir/output"

# A daemon of another user is asked for what that one may not have.
# shellcheck disable=SC2086  # flags
"${another[@]}" "$public/hotbay" serve --volume m=mem:16MiB --state mine/state $here >>"$dir/log" 2>&1 &
export HOTBAY_CONTROL=$public/mine/control.sock
for _ in $(seq 200); do [ ! -S "$HOTBAY_CONTROL" ] || break; sleep 0.05; done
denied "$public/secret.img may not be read and written" "let the daemon's user read and write it" swap m "$public/secret.img"
denied "volume q: $public/secret.img may not be read and written" "let the daemon's user read and write it" volume add "q=$public/secret.img"
"${another[@]}" "$public/hotbay" pull m
denied "$public/secret.img may not be read and written" "let the daemon's user read and write it" insert m "$public/secret.img"
