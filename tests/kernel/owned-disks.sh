# With udev and hotbay's rule: a volume's disk that is plugged in is put in by itself and marked, so that desktops leave it alone;
# pulling it is seen at once. Another disk is nobody's. What is attached has its link.
driver nbd nbds_max=4 max_part=8
driver scsi_debug dev_size_mb=48 delay=0
driver sd_mod
poll "the disk" test -b /dev/sda
mkdir -p /run/udev/rules.d
sed "s,/usr/local/bin/hotbay,/run/bin/hotbay,; s,/var/lib/hotbay,$HOTBAY_STATE,g" "${SCENARIO%/*}/../../config/60-hotbay.rules" >/run/udev/rules.d/60-hotbay.rules
udevd=$(ls /lib/systemd/systemd-udevd /usr/lib/systemd/systemd-udevd 2>/dev/null | head -n 1)
"$udevd" --daemon
marked() { udevadm info --query=property "$1" | grep -qx UDISKS_IGNORE=1; }
looked_at() { udevadm trigger --action=change "$@"; udevadm settle --timeout=20; }
looked_at /dev/sda
marked /dev/sda && false

start_hotbay --volume "stick=wwn:$(cat /sys/block/sda/device/wwid)"
hotbay wait stick present
[ "$(hotbay owner /dev/sda)" = stick ]
looked_at /dev/sda                          # it is in a bay, which is in nobody's way who waits for udev
marked /dev/sda
refused "is in use" hotbay serve --volume "other=/dev/sda" --state /run/other --control /run/other.sock --listen unix:/run/other-nbd.sock
hotbay eject stick
looked_at /dev/sda
marked /dev/sda
udevadm info --query=property /dev/sda | grep -x HOTBAY_VOLUME=stick
hotbay insert stick

device=$(hotbay attach stick)
make_and_mount stick "$device" ext4
poll "the link" test -e /dev/hotbay/stick
[ "$(readlink -f /dev/hotbay/stick)" = "$device" ]
read_metadata stick "$device"
keep_writing stick
writes 6
echo 1 >/sys/block/sda/device/delete
hotbay wait stick absent --timeout 30s
writes 6
echo '- - -' >/sys/class/scsi_host/host0/scan
hotbay wait stick present --timeout 60s     # nobody asked for it
writes 6
stop_writing
disk=$(basename /sys/block/sd*)

echo 1 >/sys/bus/pseudo/drivers/scsi_debug/add_host
another() { ls /sys/block | grep '^sd' | grep -vx "$disk"; }
poll "another disk" another
other=/dev/$(another)
poll "its node" test -b "$other"
looked_at "$other"
marked "$other" && false
refused "is no disk of a volume" hotbay owner "$other"
refused "does not say which disk it is" hotbay owner /dev/null
[ -z "$(hotbay owner --udev "$other")" ]

! dmesg | grep -E 'I/O error, dev nbd|EXT4-fs.*error'      # the disk that was pulled has its own
compare stick
umount /run/mnt/stick
hotbay detach stick
poll "the link to go" test ! -e /dev/hotbay/stick
stop_hotbay
looked_at "/dev/$disk"
marked "/dev/$disk"                         # whatever its name is now
save stick "/dev/$disk"
