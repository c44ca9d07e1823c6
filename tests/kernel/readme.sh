# The blocks of README.md that need root, taken from the page and run as they stand, in its order; and what the page says of each.
blocks=/run/blocks
mkdir $blocks
readme=$(realpath "${SCENARIO%/*}/../../README.md")
/usr/bin/python3 "${SCENARIO%/*}/../readme-blocks.py" "$readme" $blocks
unset HOTBAY_CONTROL HOTBAY_STATE           # the page has the defaults of root
for place in /var/lib /mnt /srv /media; do mount -t tmpfs none $place; done     # and must not reach those of the host
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/m "$@"\n' >/run/bin/modprobe
chmod +x /run/bin/modprobe

# block NAME: its lines, one after the other; it fails with the first that does.
block() {
    echo "$1" >>/run/ran
    echo "--- $1"
    bash -eu $blocks/"$1".sh
}

# terminal NAME: the same in a terminal of its own; returns when the daemon in it answers.
terminal() {
    echo "$1" >>/run/ran
    serve_in_terminal $blocks/"$1".sh
}
serve_in_terminal() {
    echo "--- in a terminal: $(cat "$1")"
    setsid bash -eu "$1" >/run/log 2>&1 &
    terminal=$!
    poll "the daemon's first answer" answers_or_gone
    hotbay status >/run/status
}
answers_or_gone() { hotbay status || ! kill -0 "$terminal"; }

# Ctrl-C in that terminal: the whole group gets it, and the daemon calls it a success.
control_c() {
    kill -INT -- "-$terminal"
    wait "$terminal"
}

wishes_work() { hotbay status | grep -q "please insert volume work"; }

# present N: how many volumes are.
present() { [ "$(hotbay status --json | grep -o '"state":"present"' | wc -l)" = "$1" ]; }

copies_agree() { hotbay wait usb present && ! hotbay status | grep -q 'behind'; }

# --- install and serve
terminal serve
poll "the greeting" grep -q "in another terminal:" /run/log
grep -q "volume a  64MiB, on file:/var/lib/hotbay" /run/log
block mount
findmnt -n -o SOURCE,FSTYPE /mnt | grep -q '^/dev/nbd0 *ext2'
cat /dev/nbd0 >/dev/null                    # what the file system looks up is cached: a read need not wait for the medium
echo before >/mnt/before
block eject
grep -q hello /mnt/file
present 2
sync
control_c                                   # the daemon may be restarted under the mount
serve_in_terminal $blocks/serve.sh
echo 3 >/proc/sys/vm/drop_caches
[ "$(cat /mnt/file /mnt/before)" = "$(printf 'hello\nbefore')" ]
hotbay pull a
echo torn >/mnt/torn
sync -f /mnt
hotbay insert a
umount /mnt
hotbay detach /dev/nbd0
control_c
medium=$(find /var/lib/hotbay -name 'a.img')
mkdir -p /run/originals/a
printf 'hello\n' >/run/originals/a/file
printf 'torn\n' >/run/originals/a/torn
save a "$medium"

terminal serve-tcp
hotbay pull a
hotbay insert a
block nbdinfo >/run/nbdinfo
grep -q 'export-size: 67108864' /run/nbdinfo
control_c

# --- the jobs
/lib/systemd/systemd-udevd --daemon          # lsblk asks udev for names
modprobe scsi_debug dev_size_mb=16 delay=0 num_tgts=2
modprobe sd_mod
poll "two disks" test -b /dev/sdb
echo 'label: gpt
size=8M' | sfdisk -q /dev/sdb
poll "the partition" test -b /dev/sdb1
udevadm trigger --settle --subsystem-match=block
# The two names are those of disks that are not here: they become those of the ones that are.
lsblk -n -d -o NAME,WWN,SERIAL
wwn=$(lsblk -n -d -o WWN /dev/sda) serial=$(lsblk -n -d -o SERIAL /dev/sdb)
grep -q wwn:0x5000c500a1b2c3d4 $blocks/by-name.sh
sed -i "s/wwn:0x5000c500a1b2c3d4/wwn:$wwn/; s/serial:4C530001230905110522/serial:$serial/" $blocks/by-name.sh
terminal by-name
hotbay wait disk present                    # udev may have just been looking at it
hotbay wait stick present
echo 1 >/sys/block/sdb/device/delete        # pulled, and back: by itself
hotbay wait stick absent
for host in /sys/class/scsi_host/host*; do echo '- - -' >"$host/scan"; done
hotbay wait stick present
control_c

terminal one-bay
[ "$(hotbay status --json | grep -o '"state":"present"' | wc -l)" = 1 ]
block replace
hotbay wait backup present
hotbay wait work absent
qemu-io -f raw -c 'write 0 4k' 'nbd+unix:///work?socket=/run/hotbay/nbd.sock'     # it runs on its journal
qemu-io -f raw -c 'read 1M 4k' 'nbd+unix:///work?socket=/run/hotbay/nbd.sock' >/dev/null &
reader=$!
poll "the wish" wishes_work
hotbay insert work --replace
wait "$reader"
control_c

terminal partitions
block attach-partitions
poll "the partitions" test -b /dev/nbd0p2
hotbay detach /dev/nbd0
control_c

mkdir "$WORK/usb"                           # the second copy is written in full: more than there is memory
mount --bind "$WORK" /media
terminal mirror
poll "the copy" copies_agree
block scrub >/run/scrubbed
cat /run/scrubbed
control_c
umount /media
rm -r "$WORK/usb"

serve_in_terminal $blocks/serve.sh
block volumes
[ "$(stat -c %s /srv/scratch.img)" = 134217728 ]
[ ! -e /var/lib/hotbay/volumes/scratch ]
block swap
hotbay status a | grep -q /srv/new-place.img
[ "$(stat -c %s /srv/new-place.img)" = 67108864 ]
control_c

cp /etc/hosts /run/hosts
echo '127.0.0.1 server.example' >>/run/hosts
mount --bind /run/hosts /etc/hosts
truncate -s 16M /run/disk.img
nbdkit --exit-with-parent --exportname=disk file /run/disk.img & kit=$!
poll "the server" nbdinfo --size nbd://server.example/disk
terminal remote
present 1
control_c
kill "$kit"
serve_in_terminal $blocks/serve.sh
qemu-img create -q -f qcow2 /run/disk.qcow2 64M
qemu-nbd --persistent --format=qcow2 --socket=/run/qcow2.sock /run/disk.qcow2 & qemu=$!
poll "the server" nbdinfo --size 'nbd+unix:///?socket=/run/qcow2.sock'
block swap-to-remote
hotbay status a | grep -q qcow2.sock
control_c
kill "$qemu"

rm -r /var/lib/hotbay                       # which knows another volume of that name
truncate -s 16M /run/usb.img
echo "hotbay serve --volume usb=/run/usb.img" >/run/usb.sh
serve_in_terminal /run/usb.sh
hotbay pull usb
qemu-io -f raw -c 'write -P 0x11 1M 64k' 'nbd+unix:///usb?socket=/run/hotbay/nbd.sock'
block journal >/run/journals
cat /run/journals
[ "$(stat -c %s what-the-stick-lacks.img)" = 16777216 ]
qemu-io -f raw -r -c 'read -P 0x11 1M 64k' what-the-stick-lacks.img
control_c

echo "hotbay serve --volume a=mem:64MiB --volume scratch=mem:64MiB --listen unix:/run/hotbay/nbd.sock --listen tcp:127.0.0.1:10809" >/run/bench.sh
serve_in_terminal /run/bench.sh
block bench >/run/measured
/usr/bin/python3 -c 'import json, sys; json.loads(sys.stdin.readlines()[-1])' </run/measured
control_c

diff $blocks/guest /run/ran                 # all of them, in the order of the page
