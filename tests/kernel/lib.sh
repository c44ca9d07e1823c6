# What the kernel scenarios share. They run as root of the guest, in /run/media, which is a tmpfs.
# A volume NAME is mounted at /run/mnt/NAME; whatever is written there is also in
# /run/originals/NAME, which no medium's absence can touch.
trap 'echo "failed at line $LINENO: $BASH_COMMAND"; tail -n 20 /run/log; hotbay status || true; dmesg | tail -n 10' ERR

driver() { modprobe -d /run/m "$@"; }

# start_hotbay ARGUMENTS OF serve…   returns when it answers
start_hotbay() {
    hotbay serve "$@" --listen unix:/run/nbd.sock >>/run/log 2>&1 &
    daemon=$!
    poll "the daemon's first answer" answers_or_ended
    hotbay status >/dev/null
}

# kill_hotbay: as a crash would.
kill_hotbay() { kill -9 "$daemon"; wait "$daemon" || true; }

# refused TEXT COMMAND…: it must fail, and say TEXT.
refused() {
    local text=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "not refused: $*"
        false
    fi
    grep -qF -- "$text" <<<"$said" || { echo "$* says: $said"; false; }
}

in_the_log() { dmesg | grep -F -- "$1"; }

# no_error_in_the_log: what the kernel says when a write or a read has failed.
no_error_in_the_log() { ! dmesg | grep -iE 'I/O error|EXT[234]-fs.*error|lost (async )?page write|Aborting journal'; }

answers_or_ended() { hotbay status || ! kill -0 "$daemon"; }

stop_hotbay() { kill -TERM "$daemon"; wait "$daemon"; }

# poll WHAT COMMAND…: until it succeeds; for what tells nobody that it has happened.
poll() {
    local what=$1 tries
    shift
    for tries in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "waited for $what $tries times"
    false
}

# attach VOLUME /dev/nbdN FILE-SYSTEM: a new file system, mounted.
attach() {
    nbd-client -unix /run/nbd.sock "$2" -N "$1" -timeout 120
    make_and_mount "$@"
}

# make_and_mount VOLUME DEVICE FILE-SYSTEM
make_and_mount() {
    "mkfs.$3" -q "$2"
    mkdir -p "/run/mnt/$1" "/run/originals/$1"
    mount -t "$3" "$2" "/run/mnt/$1"
}

# flaky_disk MEGABYTES: /dev/dm-0, which does as it is told by `behave`.
flaky_disk() {
    driver scsi_debug dev_size_mb="$1" delay=0
    driver sd_mod
    driver dm-flakey
    poll "the disk" test -b /dev/sda
    flaky_sectors=$(($1 * 2048))
    flaky create disk --table "0 $flaky_sectors linear /dev/sda 0"
}
flaky() { dmsetup --noudevsync "$@"; }

# behave well|drop_writes|error_writes
behave() {
    local table="flakey /dev/sda 0 0 1 1 $1"
    [ "$1" != well ] || table="linear /dev/sda 0"
    flaky suspend --nolockfs --noflush disk
    flaky load disk --table "0 $flaky_sectors $table"
    flaky resume disk
}

# two_disks: real SCSI disks of 40 MiB, of hosts 0 and 1, to be unplugged and plugged in.
two_disks() {
    driver scsi_debug add_host=2 per_host_store=1 dev_size_mb=40 delay=0
    driver sd_mod
    poll "the disks" is_plugged 0
    poll "the disks" is_plugged 1
}
# name_of HOST: what the kernel calls its disk now.
name_of() { basename "$(echo /sys/class/scsi_host/host"$1"/device/target*/*/block/sd*)"; }
is_plugged() { test -b "/dev/$(name_of "$1")"; }
unplug() { echo 1 >"/sys/block/$(name_of "$1")/device/delete"; }
plug() { echo '- - -' >"/sys/class/scsi_host/host$1/scan"; poll "the disk of host $1" is_plugged "$1"; }
wwn_of() { cat "/sys/block/$(name_of "$1")/device/wwid"; }

# read_metadata VOLUME /dev/nbdN: everything the file system may want to look up while it writes is in
# the page cache afterwards, so that a write need not wait for a medium that is away.
read_metadata() { cat "$2" >/dev/null; ls -lR "/run/mnt/$1" >/dev/null; }

# detach VOLUME /dev/nbdN: its medium must be in. All files are compared as the disk has them, not
# the page cache; then the file system and the device are let go.
detach() {
    compare "$1"
    umount "/run/mnt/$1"
    nbd-client -d "$2"
}

# compare VOLUME: all files as the disk has them.
compare() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    diff -r --exclude=lost+found "/run/originals/$1" "/run/mnt/$1"
}

# save VOLUME MEDIUM: the bare medium goes to the host, to be examined without hotbay.
save() {
    cp --sparse=always "$2" "$WORK/$1.img"
    (cd "/run/originals/$1" && find . -type f -exec sha256sum {} +) >"$WORK/$1.sums"
}

# put VOLUME NAME BYTES: a file of random bytes.
put() {
    local name=/$2
    [ -d "/run/mnt/$1${name%/*}" ] || mkdir -p "/run/originals/$1${name%/*}" "/run/mnt/$1${name%/*}"
    head -c "$3" /dev/urandom >"/run/originals/$1/$2"
    cp "/run/originals/$1/$2" "/run/mnt/$1/$2"
}

# put_in_place VOLUME NAME: other random bytes over the same blocks of a file that is there, past the
# page cache and with no flush after them.
put_in_place() {
    head -c "$(stat -c %s "/run/originals/$1/$2")" /dev/urandom >"/run/originals/$1/$2.new"
    mv "/run/originals/$1/$2.new" "/run/originals/$1/$2"
    dd if="/run/originals/$1/$2" of="/run/mnt/$1/$2" bs=64k oflag=direct conv=notrunc status=none
}

# keep_writing VOLUME: the load that runs while media come and go, until stop_writing.
keep_writing() {
    echo 0 >/run/written
    touch /run/writing
    (
        number=0
        while [ -e /run/writing ]; do
            number=$((number + 1))
            put "$1" "load/$((number % 40))" $((RANDOM * 4))
            [ $((number % 5)) != 0 ] || sync -f "/run/mnt/$1"
            echo "$number" >>/run/written
        done
    ) &
    writer=$!
}

# writes N: returns when the load has written N more files.
writes() {
    local goal=$(($(tail -n 1 /run/written) + $1))
    poll "$1 more files" reached "$goal"
}
reached() { [ "$(tail -n 1 /run/written)" -ge "$1" ]; }

stop_writing() { rm /run/writing; wait "$writer"; }
