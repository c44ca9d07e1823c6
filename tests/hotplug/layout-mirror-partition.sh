#!/usr/bin/env bash
# A disk of two partitions, one of them a mirror of two media: tools accept its table, either copy of the mirror is pulled and
# returns, then both, and the partition beside it never notices. A mirror in a linear disk, too.
source "$(dirname "$0")/lib.sh"

for volume in system data-a data-b; do blank $volume.img 8M; done
cat >drive.toml <<EOF
name = "disk"
layout = "partitions"
[[volume]]
name = "system"
medium = "system.img"
[[volume]]
name = "data-a"
medium = "data-a.img"
copy_of = "data"
[[volume]]
name = "data-b"
medium = "data-b.img"
copy_of = "data"
EOF
start_hotbay drive.toml

in_sync data-a
in_sync data-b

# --- the table: two partitions, the second one named as the mirror
is "the size" "$(nbdinfo --size "$(uri disk)")" $((18 << 20))
accepted() {
    sfdisk --verify "$1" >said 2>&1 || fail "sfdisk: $(cat said)"
    grep -q 'No errors detected' said && ! grep -qi warning said || fail "sfdisk: $(cat said)"
    sgdisk --verify "$1" >said 2>&1 || fail "sgdisk: $(cat said)"
    grep -q 'No problems found' said && ! grep -qiE 'warning|caution' said || fail "sgdisk: $(cat said)"
}
nbdcopy "$(uri "")" disk.img
accepted disk.img
is "the partitions" "$(sfdisk --json disk.img | "$python" -c '
import json, sys
print([(p["name"], p["start"], p["size"]) for p in json.load(sys.stdin)["partitiontable"]["partitions"]])')" \
    "[('system', 2048, 16384), ('data', 18432, 16384)]"
table=$(sfdisk --dump disk.img)

# --- what people see
is "the mirror of data-a" "$(field data-a copy.mirror)" data
is "system as a copy" "$(field system copy)" None
is "the export of data-b" "$(field data-b export)" disk
refused hotbay scrub system
refused hotbay swap data-a other.img --as-is
refused hotbay resolve system newest

# --- each copy, then both; the mirror begins at 9 MiB of the disk, system at 1 MiB
round=0
for away in data-a data-b "data-a data-b"; do
    round=$((round + 1))
    fill "" 0x1$round 9M 1M
    for volume in $away; do hotbay pull "$volume"; done
    [ "$away" = "data-a data-b" ] || behind "$away"
    fill "" 0x2$round 10M 1M
    fill "" 0x3$round 9184k 64k                           # across the seam
    holds "" 0x2$round 10M 1M
    is "system" "$(state system)" present
    for volume in $away; do hotbay insert "$volume"; done
    in_sync data-a
    in_sync data-b
done
hotbay pull data-b
behind data-b
fill "" 0x55 12M 64k
hotbay status | grep -q 'the copy on data-b is behind: by up to' || fail "$(hotbay status)"
hotbay pull system                                         # and the mirror goes on
fill "" 0x56 13M 64k
fill "" 0x57 2M 64k

# --- a restart is not a removal; which copy is behind is known
kill_hotbay
start_hotbay drive.toml
is "the copy on data-a" "$(field data-a copy.in_sync)" True
is "the copy on data-b" "$(field data-b copy.in_sync)" False
holds "" 0x55 12M 64k
hotbay insert system
hotbay insert data-b
in_sync data-b
hotbay scrub data-a | grep -q 'compared, no difference'
nbdcopy "$(uri "")" again.img
accepted again.img
is "the table" "$(sfdisk --dump again.img | sed s/again.img/disk.img/)" "$table"
stop_hotbay
cmp data-a.img data-b.img || fail "the copies differ"
file_holds data-a.img 0x33 0 32k
file_holds data-a.img 0x13 32k 992k
file_holds data-a.img 0x23 1M 1M
file_holds data-a.img 0x55 3M 64k
file_holds data-a.img 0x56 4M 64k
file_holds system.img 0x33 8160k 32k
file_holds system.img 0x57 1M 64k

# --- a mirror in a linear disk, of the same volumes
sed 's/"partitions"/"linear"/' drive.toml >linear.toml
start_hotbay linear.toml
in_sync data-b
is "the size" "$(nbdinfo --size "$(uri disk)")" $((16 << 20))
hotbay eject data-a
behind data-a
fill "" 0x66 7M 2M                                         # across the seam
hotbay insert data-a
in_sync data-a
stop_hotbay
file_holds system.img 0x66 7M 1M
file_holds data-a.img 0x66 0 1M
cmp data-a.img data-b.img || fail "the copies differ"

# --- what makes no sense
nonsense() {
    refused hotbay check-config nonsense.toml
    grep -q "$1" complaint && grep -q '^hint: ' complaint || fail "$(cat complaint)"
}
sed 's/"partitions"/"mirror"/' drive.toml >nonsense.toml
nonsense 'nonsense.toml:9:11: copy_of: in layout mirror each volume is a copy of the one disk already'
sed 's/"partitions"/"volumes"/' drive.toml >nonsense.toml
nonsense 'nonsense.toml:9:11: copy_of: in layout volumes there is no disk'
sed '$d' drive.toml >nonsense.toml
nonsense 'nonsense.toml:9:11: copy_of: data has no other copy'
sed 's/"data"/"system"/' drive.toml >nonsense.toml
nonsense 'nonsense.toml:9:11: copy_of: system is the name of a volume'
