# A real SCSI disk is unplugged under a mounted file system, and plugged in again.
driver nbd nbds_max=4 max_part=8
driver scsi_debug dev_size_mb=48 delay=0
driver sd_mod
poll "the disk" test -b /dev/sda
start_hotbay --volume stick=/dev/sda
attach stick /dev/nbd0 ext4
read_metadata stick /dev/nbd0

a_disk_is_there() { ls -d /sys/block/sd*; }      # looked for anew each time

for round in 1 2; do
    disk=$(basename /sys/block/sd*)
    keep_writing stick
    writes 12
    echo 1 >"/sys/block/$disk/device/delete"
    hotbay wait stick absent --timeout 30s
    writes 12
    echo '- - -' >/sys/class/scsi_host/host0/scan
    poll "the disk" a_disk_is_there
    disk=$(basename /sys/block/sd*)
    poll "its node" test -b "/dev/$disk"
    hotbay insert stick "/dev/$disk" || hotbay wait stick present --timeout 30s
    writes 12
    stop_writing
done

detach stick /dev/nbd0
stop_hotbay
save stick "/dev/$disk"
