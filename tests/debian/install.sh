#!/usr/bin/env bash
# The Debian package, on a Debian 12 that was made for it: lintian has nothing to say, it installs, and the machine boots with its
# own systemd and udev (in user-mode Linux, whose root is that directory). What happens in there is story.sh; when the machine
# has turned itself off the bare media are examined out here.
#
# The mirror is the one that this machine's apt uses.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(realpath "$here/../..")
export HOTBAY=${HOTBAY:-${CARGO_TARGET_DIR:-$top/target}/release/hotbay}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/hotbay-debian-XXXXXX")
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

main() {
    package=$("$top/packaging/deb" "$work" 2>"$work/build.log") || fail "no package" "$work/build.log"
    no_complaints
    a_clean_debian
    installs
    boot
    examine a
    examine b
    is_removed
}

fail() { echo "install.sh: $1" >&2; [ ! -f "${2:-}" ] || grep -v "vm kernel: epollctl" "$2" | tail -n 60 >&2; exit 1; }

no_complaints() {
    lintian --allow-root --fail-on error,warning "$package" >"$work/lintian.log" 2>&1 || fail "lintian complains" "$work/lintian.log"
}

a_clean_debian() {
    local mirror
    mirror=$(apt-get indextargets --format '$(COMPONENT) $(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "main" && $2 == "Debian" && $3 !~ /-/ { print $4; exit }')
    debootstrap --variant=minbase --include=systemd,systemd-sysv,udev,kmod,e2fsprogs,dbus,udisks2 bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        fail "debootstrap failed" "$work/debootstrap.log"
    # The modules of the kernel that will run, which comes with none of Debian's own.
    cp -r /usr/lib/uml/modules "$root/lib/"
}

installs() {
    cp "$package" "$root/hotbay.deb"
    chroot "$root" dpkg -i /hotbay.deb >"$work/dpkg.log" 2>&1 || fail "it does not install" "$work/dpkg.log"
    [ -L "$root/etc/systemd/system/multi-user.target.wants/hotbay.service" ] || fail "its service is not enabled"
    ! grep -rq 'tcp:' "$root/etc/hotbay.toml" || fail "it would listen beyond this machine"
    cp "$here/story.sh" "$root/story.sh"
    cat >"$root/etc/systemd/system/story.service" <<'UNIT'
[Unit]
Description=What the test has to tell
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /story.sh
TimeoutStartSec=infinity
StandardOutput=append:/told
StandardError=append:/told
UNIT
    ln -s ../story.service "$root/etc/systemd/system/multi-user.target.wants/"
    ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
}

# boot: until it turns itself off, which has to unmount, detach and stop in order.
boot() {
    TMPDIR=/dev/shm timeout --foreground --kill-after=5 900 linux.uml mem=640M root=/dev/root rootfstype=hostfs "rootflags=$root" rw \
        con=null con0=null,fd:1 quiet </dev/null >"$work/console" 2>&1 || fail "the machine does not end" "$work/console"
    [ -s "$root/told" ] || fail "it did not come to the story" "$work/console"
    [ "$(cat "$root/verdict" 2>/dev/null)" = passed ] || fail "the story did not come to its end" "$root/told"
}

# examine VOLUME: its bare medium, as hotbay left it when the machine was turned off.
examine() {
    local image=$root/var/lib/hotbay/media/$1.img
    e2fsck -fn "$image" >"$work/e2fsck" 2>&1 || fail "$1 is not clean" "$work/e2fsck"
    rm -rf "$work/contents"
    mkdir "$work/contents"
    debugfs -R "rdump / $work/contents" "$image" 2>/dev/null
    (cd "$work/contents" && sha256sum --strict --quiet -c "$root/sums-$1") || fail "$1: bytes are wrong"
    echo "$1: clean, $(wc -l <"$root/sums-$1") files as written"
}

# An upgrade keeps all; a removal leaves what is somebody's data.
is_removed() {
    local log=$work/removal.log
    chroot "$root" dpkg -i /hotbay.deb >"$log" 2>&1 && chroot "$root" dpkg -r hotbay >>"$log" 2>&1 || fail "it is not removed" "$log"
    [ ! -e "$root/usr/bin/hotbay" ] && [ -e "$root/etc/hotbay.toml" ] || fail "removed too little, or too much" "$log"
    chroot "$root" dpkg -P hotbay >>"$log" 2>&1 || fail "it is not purged" "$log"
    [ ! -e "$root/etc/hotbay.toml" ] && [ ! -e "$root/etc/systemd/system/multi-user.target.wants/hotbay.service" ] || fail "purged too little" "$log"
    [ -e "$root/var/lib/hotbay/media/a.img" ] && grep -q 'has volumes in it, and is left' "$log" || fail "the purge took data, or did not say so" "$log"
}

main
