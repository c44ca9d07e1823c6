# What happens in the Debian of install.sh, as its root, when it has booted.
set -eEuo pipefail
exec 2>&1
export SYSTEMD_BUS_TIMEOUT=10min           # however busy the machine below is
trap 'echo "failed at line $LINENO: $BASH_COMMAND"; systemctl --failed --no-pager --plain; journalctl --no-pager -n 40 | grep -v epollctl; echo "failed at line $LINENO: $BASH_COMMAND"; turn_off' ERR
turn_off() { sync; systemctl start --no-block --job-mode=replace-irreversibly poweroff.target; }

# put DIRECTORY NAME BYTES
put() { head -c "$3" /dev/urandom >"$1/$2"; sync -f "$1"; }
# sums VOLUME DIRECTORY: what its medium must hold.
sums() { (cd "$2" && find . -type f -exec sha256sum {} +) >"/sums-$1"; }
unit_is() { [ "$(systemctl is-active "$2")" = "$1" ] || { echo "$2 is $(systemctl is-active "$2")"; false; }; }

unit_is active hotbay
[ "$(hotbay status --json | grep -o '"state":"present"' | wc -l)" = 2 ]
[ -z "$(awk '$4 == "0A"' /proc/net/tcp*)" ]     # nobody listens for other machines
man=/usr/share/man/man1/hotbay-attach.1.gz
[ -s $man ] && [ -s /usr/share/bash-completion/completions/hotbay ]

# As a service, mounted by fstab, by the line that the unit's own comments have.
systemctl enable --now hotbay-attach@a
systemctl start dev-hotbay-a.device         # comes when udev has made the link
[ "$(readlink -f /dev/hotbay/a)" = "$(hotbay attach --list | awk '$2 == "a" { print $1 }')" ]
mke2fs -q -t ext4 /dev/hotbay/a
sed -n 's,^# *\(/dev/hotbay/usb .*\),\1,p' /lib/systemd/system/hotbay-attach@.service | sed 's/usb/a/g' >>/etc/fstab
grep -q '^/dev/hotbay/a  */srv/a .*_netdev' /etc/fstab
mkdir /srv/a
systemctl daemon-reload
systemctl start srv-a.mount
findmnt /srv/a

# By hand, as the help has it.
mke2fs -q "$(hotbay attach b)"
udevadm settle
mount /dev/hotbay/b /mnt

for directory in /srv/a /mnt; do put $directory present 700000; done
cat /dev/hotbay/[ab] >/dev/null             # what the file systems look up is cached: no read waits for a medium
hotbay pull a
hotbay pull b
for directory in /srv/a /mnt; do put $directory away 900000; done
systemctl restart hotbay                    # no removal, for those above
for directory in /srv/a /mnt; do put $directory away-after-a-restart 300000; done
hotbay insert a
hotbay insert b
for directory in /srv/a /mnt; do put $directory returned 500000; done
sums a /srv/a
sums b /mnt
umount /mnt
hotbay detach b
udevadm settle                              # it takes the link away in its own time
[ ! -e /dev/hotbay/b ]

# udisks, whom desktops ask which disks they may mount, is told that a volume's stick is none, in its bay, pulled and back, and ejected;
# another stick is one.
hint() { udisksctl info -b "$1" | awk '$1 == "HintIgnore:" { print $2 }'; }
hint_is() {
    for _ in {1..300}; do [ "$(hint "$2")" != "$1" ] || return 0; sleep 0.1; done
    udisksctl info -b "$2"
    false
}
the_disk() { for _ in {1..300}; do [ ! -b "$1" ] || return 0; sleep 0.1; done; false; }
modprobe scsi_debug dev_size_mb=48 delay=0 removable=1
modprobe sd_mod
the_disk /dev/sda
systemctl start udisks2
mke2fs -q -t ext4 /dev/sda
hint_is false /dev/sda
hotbay volume add "stick=wwn:$(cat /sys/block/sda/device/wwid)"
udevadm trigger --action=change /dev/sda
udevadm settle --timeout=60                 # a disk in a bay keeps nobody waiting who waits for udev
hint_is true /dev/sda
if udisksctl mount -b /dev/sda --no-user-interaction; then false; fi
echo 1 >/sys/block/sda/device/delete
hotbay wait stick absent
echo '- - -' >/sys/class/scsi_host/host0/scan
hotbay wait stick present --timeout 60s
udevadm settle --timeout=60
disk=$(echo /dev/sd?)
hint_is true "$disk"
hotbay eject stick
udevadm settle --timeout=60
hint_is true "$disk"
echo 1 >/sys/bus/pseudo/drivers/scsi_debug/add_host
other=/dev/sdb
[ "$disk" != /dev/sdb ] || other=/dev/sda
the_disk "$other"
hint_is false "$other"
hotbay volume remove stick
echo passed >/verdict
turn_off
