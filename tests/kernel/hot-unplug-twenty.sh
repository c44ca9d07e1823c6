# Two real SCSI disks are unplugged under mounted file systems, twenty times, and plugged in again in the other order, so
# that each comes back under the name of the other. They are known by their world wide names, there is no udev, and nobody
# types `insert`.
driver nbd nbds_max=4 max_part=8
two_disks
until_state() { hotbay wait two "$1" --timeout 60s; hotbay wait four "$1" --timeout 60s; }

start_hotbay --volume "two=wwn:$(wwn_of 0)" --volume "four=wwn:$(wwn_of 1)"
attach two /dev/nbd0 ext2
attach four /dev/nbd1 ext4
read_metadata two /dev/nbd0
read_metadata four /dev/nbd1

moved=0
for round in $(seq 20); do
    was=$(name_of 0)
    busy=two
    [ $((round % 2)) = 0 ] || busy=four
    keep_writing $busy                  # the other disk is idle: only the kernel's news tell of it at once
    writes 2
    unplug 0
    unplug 1
    until_state absent
    writes 2
    for host in $([ "$was" = sda ] && echo 1 0 || echo 0 1); do plug "$host"; done
    until_state present
    writes 1
    stop_writing
    [ "$(name_of 0)" = "$was" ] || moved=$((moved + 1))
done
echo "$moved of 20 times under another name"
[ "$moved" -ge 15 ]

# Of the 20 losses of idle disks the regular looks see some first.
told=$(hotbay events | grep -c 'lost.*devices have changed')
echo "$told losses by the kernel's news"
[ "$told" -ge 8 ]
! dmesg | grep -E 'error.* nbd[01]|EXT[24]-fs.*error|Aborting journal'

detach two /dev/nbd0
detach four /dev/nbd1
stop_hotbay
save two "/dev/$(name_of 0)"
save four "/dev/$(name_of 1)"
