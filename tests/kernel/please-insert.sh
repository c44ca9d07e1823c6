# The Amiga's way: two mounted disks, one bay, and somebody who puts in whatever disk is asked for.
driver nbd nbds_max=4 max_part=8
truncate -s 48M a.img b.img
start_hotbay --bays 1 --volume a=a.img --volume b=b.img

hotbay events --follow | while read -r line; do
    case $line in
        *"please insert volume a"*) hotbay insert a --replace || true ;;
        *"please insert volume b"*) hotbay insert b --replace || true ;;
    esac
done &
attach a /dev/nbd0 ext2
attach b /dev/nbd1 ext2

for round in 1 2 3 4; do
    put a "round-$round/file" 500000
    put b "round-$round/file" 500000
    sync
    echo 3 >/proc/sys/vm/drop_caches
    cmp "/run/mnt/a/round-$round/file" "/run/originals/a/round-$round/file"
    cmp "/run/mnt/b/round-$round/file" "/run/originals/b/round-$round/file"
done
hotbay events | grep -c 'please insert volume'

detach a /dev/nbd0
detach b /dev/nbd1
hotbay insert a --replace
hotbay insert b --replace
stop_hotbay
save a a.img
save b b.img
