# One bay, two disks on a shelf, and a robot that moves them: two file systems are written and read at the same time, and whoever must
# read its disk gets it in its turn.
driver nbd nbds_max=4 max_part=8
mkdir bay shelf
truncate -s 48M bay/a.img bay/b.img
cat >robot <<'ROBOT'
#!/bin/bash
# robot load|unload BAY VOLUME MEDIUM
set -e
cd /run/media
case $1 in
    load) [ -z "$(ls bay)" ] && mv "shelf/$3.img" bay/ ;;
    unload) mv "bay/$3.img" shelf/ ;;
esac
echo "$1 $3 $(date +%s%3N)" >>moves
ROBOT
chmod +x robot
cat >drive.toml <<'CONFIG'
bays = 1
bay_command = ["/run/media/robot"]
bay_minimum_stay = "2s"
[defaults]
absent_wait = "60s"
[[volume]]
name = "a"
medium = "bay/a.img"
[[volume]]
name = "b"
medium = "bay/b.img"
CONFIG

grep -v '^bay_' drive.toml >by-hand.toml    # once with both at hand: a medium tells its volume's size
start_hotbay by-hand.toml
hotbay wait a present
stop_hotbay
mv bay/b.img shelf/
start_hotbay drive.toml
attach a /dev/nbd0 ext2
attach b /dev/nbd1 ext2

# use VOLUME: writes files, and reads from the disk those of the round before, until each of the two has had its turns.
use() {
    local round=0
    until [ "$round" -ge 4 ] && each_had_two_turns; do
        round=$((round + 1))
        put "$1" "round-$round/one" 300000
        put "$1" "round-$round/two" 700000
        sync -f "/run/mnt/$1"
        echo 3 >/proc/sys/vm/drop_caches
        diff -r "/run/originals/$1/round-$((round > 1 ? round - 1 : 1))" "/run/mnt/$1/round-$((round > 1 ? round - 1 : 1))"
    done
}
each_had_two_turns() { [ "$(grep -c "^load a " moves)" -ge 2 ] && [ "$(grep -c "^load b " moves)" -ge 2 ]; }
use a & one=$!
use b & other=$!
wait "$one"
wait "$other"
no_error_in_the_log

# None of the turns was cut short, and there were no more moves than turns of two seconds have room for.
cat moves
awk '$1 == "load" { since = $3 }
     $1 == "unload" && since && $3 - since < 2000 { print "went too early: " $0; exit 1 }' moves
awk 'NR == 1 { first = $3 }
     END { most = 2 * (($3 - first) / 2000 + 2); print NR " moves, at most " most; exit NR > most }' moves

compare a
umount /run/mnt/a
nbd-client -d /dev/nbd0
compare b
umount /run/mnt/b
nbd-client -d /dev/nbd1
stop_hotbay
save a "$(ls */a.img)"
save b "$(ls */b.img)"
