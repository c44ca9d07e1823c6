# What the kernel scenarios share. They run as root of the guest, in /run/media, which is a tmpfs.
# A volume NAME is mounted at /run/mnt/NAME; whatever is written there is also in
# /run/originals/NAME, which no medium's absence can touch.
trap 'echo "failed at line $LINENO: $BASH_COMMAND"; tail -n 30 /run/log; dmesg | tail -n 20' ERR

driver() { modprobe -d /run/m "$@"; }

# start_hotbay ARGUMENTS OF serve…   returns when it answers
start_hotbay() {
    hotbay serve "$@" --listen unix:/run/nbd.sock >>/run/log 2>&1 &
    daemon=$!
    poll "the daemon's first answer" hotbay status
}

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
    "mkfs.$3" -q "$2"
    mkdir -p "/run/mnt/$1" "/run/originals/$1"
    mount -t "$3" "$2" "/run/mnt/$1"
}

# detach VOLUME /dev/nbdN: its medium must be in. All files are compared as the disk has them, not
# the page cache; then the file system and the device are let go.
detach() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    diff -r --exclude=lost+found "/run/originals/$1" "/run/mnt/$1"
    umount "/run/mnt/$1"
    nbd-client -d "$2"
}

# save VOLUME MEDIUM: the bare medium goes to the host, to be examined without hotbay.
save() {
    cp --sparse=always "$2" "$WORK/$1.img"
    (cd "/run/originals/$1" && find . -type f -exec sha256sum {} +) >"$WORK/$1.sums"
}

# put VOLUME NAME BYTES: a file of random bytes.
put() {
    mkdir -p "$(dirname "/run/originals/$1/$2")" "$(dirname "/run/mnt/$1/$2")"
    head -c "$3" /dev/urandom >"/run/originals/$1/$2"
    cp "/run/originals/$1/$2" "/run/mnt/$1/$2"
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
            echo "$number" >/run/written.new
            mv /run/written.new /run/written
        done
    ) &
    writer=$!
}

# writes N: returns when the load has written N more files.
writes() {
    local goal=$(($(cat /run/written) + $1))
    poll "$1 more files" reached "$goal"
}
reached() { [ "$(cat /run/written)" -ge "$1" ]; }

stop_writing() { rm /run/writing; wait "$writer"; }
