# What attach and detach must not do: hand a mounted file system another disk, let go of one that is
# in use, hang for ever. Before that:
#
# What the doctor says of the kernel's client and of who may use it: none, one that is not loaded, one that shows no partitions, one
# whose devices are all used, nobody's rights, and root's without the one that counts.
finds() {
    { hotbay doctor "${@:2}" || true; } >/run/findings
    grep -F -- "$1" /run/findings || { cat /run/findings; false; }
}
finds "nbd: this kernel has no NBD client"
binary=$(readlink -f "$(command -v hotbay)")
mkdir -p /run/root/lib/modules /run/root/proc /run/root/sys
for file in "$binary" $(ldd "$binary" | grep -o '/[^ ]*'); do
    mkdir -p "/run/root${file%/*}"
    cp -L "$file" "/run/root$file"
done
mount --bind /usr/lib/uml/modules /run/root/lib/modules     # where a machine has them, and this one has not
mount --bind /proc /run/root/proc
mount --bind /sys /run/root/sys
{ chroot /run/root "$binary" doctor || true; } >/run/findings
grep -F "nbd: the kernel's NBD client is not loaded" /run/findings
grep -F "'modprobe nbd'" /run/findings
refused "no hotbay daemon answers" hotbay attach usb || refused "modprobe nbd" hotbay attach usb

driver nbd nbds_max=1 max_part=0
finds "nbd: the kernel's NBD client is there, devices: 1, free: 1"
truncate -s 32M usb.img other.img third.img
printf 'layout = "partitions"\n[[volume]]\nname = "a"\nmedium = "usb.img"\n' >partitions.toml
finds "partitions: the drive has partitions, and the kernel's NBD client shows none" partitions.toml
start_hotbay --volume usb=usb.img --volume other=other.img
hotbay attach usb /dev/nbd0
finds "devices: 1, none free: 'hotbay attach' adds one"
[ "$(hotbay attach other)" = /dev/nbd1 ]    # as it says
hotbay detach usb
hotbay detach other

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups "/run/root$binary")
{ "${nobody[@]}" doctor || true; } >/run/findings
grep -F "user: not root" /run/findings
grep -F "'sudo hotbay attach'" /run/findings
grep -F "you may not read and write $HOTBAY_STATE" /run/findings
grep -F "run the daemon as its owner, user 0" /run/findings
refused "may not be asked: Permission denied" "${nobody[@]}" status
refused "only root may attach" "${nobody[@]}" attach usb
unable=(setpriv --bounding-set=-sys_admin hotbay)
{ "${unable[@]}" doctor || true; } | grep -F "user: root without the capability CAP_SYS_ADMIN"
refused "the kernel does not let you attach" "${unable[@]}" attach usb
refused "it takes the capability CAP_SYS_ADMIN" "${unable[@]}" attach usb
[ -z "$(hotbay attach --list 2>/dev/null)" ]
stop_hotbay
rm -r "$HOTBAY_STATE"
driver -r nbd

driver nbd nbds_max=4 max_part=8
refused "no hotbay daemon answers" hotbay attach usb
serve() { start_hotbay --volume usb=usb.img; }
serve
refused "did you mean usb?" hotbay attach usv
refused "write /dev/nbd0" hotbay attach usb /dev/sda
refused "is not attached" hotbay detach /dev/nbd0
refused "there is no /dev/nbd9" hotbay detach /dev/nbd9

[ "$(hotbay attach usb /dev/nbd2 --wait-for-daemon 1m)" = /dev/nbd2 ]
refused "usb is attached to it" hotbay attach usb /dev/nbd2
make_and_mount usb /dev/nbd2 ext2
refused "it is mounted at /run/mnt/usb" hotbay detach /dev/nbd2
put usb before 300000
sync -f /run/mnt/usb

# Another daemon, with a volume of the same name, behind the same socket.
kill_hotbay
HOTBAY_STATE=/run/other-state start_hotbay --volume usb=other.img
poll "the refusal" in_the_log "another volume of that name"
put usb meanwhile 300000 & writer=$!       # it may wait, and must not fail
kill_hotbay
cmp -n 33554432 other.img /dev/zero
serve
wait "$writer"
sync -f /run/mnt/usb
put usb after 300000
no_error_in_the_log
compare usb
umount /run/mnt/usb
hotbay detach /dev/nbd2

# nbd-client lets it go as well, and the resident ends with it.
hotbay attach usb /dev/nbd2
nbd-client -d /dev/nbd2
flock -w 10 /run/hotbay-attach/nbd2 true
[ -z "$(hotbay attach --list)" ]

# A daemon that stays away: an error, no hang, and a device that is free.
hotbay attach usb /dev/nbd1 --wait-for-daemon 3s
kill_hotbay
refused "Input/output error" dd if=/dev/zero of=/dev/nbd1 bs=4k seek=8000 count=1 oflag=direct
flock -w 10 /run/hotbay-attach/nbd1 true
[ -z "$(hotbay attach --list)" ]
serve
[ "$(hotbay attach usb /dev/nbd1 --wait-for-daemon 3s)" = /dev/nbd1 ]

# One that is mounted meanwhile is not connected again once its requests have failed.
mount -t ext2 -o ro /dev/nbd1 /run/mnt/usb
kill_hotbay
flock -w 20 /run/hotbay-attach/nbd1 true
serve
refused "somebody still has it open" hotbay attach usb /dev/nbd1
umount /run/mnt/usb
poll "the device to be free" test ! -e /sys/block/nbd1/pid
[ "$(hotbay attach usb /dev/nbd1 --wait-for-daemon 3s)" = /dev/nbd1 ]

# Another content in the volume's place.
hotbay swap usb third.img --as-is
refused "Input/output error" dd if=/dev/zero of=/dev/nbd1 bs=4k seek=8000 count=1 oflag=direct
in_the_log "another content was put in its place"
stop_hotbay
save usb usb.img
