#!/usr/bin/env bash
# Three cartridges, one drive, and a SCSI media changer: config/changer-mtx exchanges them with mtx, whose place a stand-in takes that
# says to the letter what mtx 1.3.12 says. All volumes are used at once, and lose nothing, also where the changer or the drive balks.
source "$(dirname "$0")/lib.sh"
config=$tests/../config

# A library is a directory: an element is a directory with the cartridge in it, and `drive` is where the one in the drive is read.
mkdir -p library/{drive0,slot1,slot2,slot3,slot4,slot5}
for number in 1 2 3; do blank "library/slot$number/JB000$number" 16M; done
blank library/slot5/CLN001L1 1M
cat >bin/mtx <<'MTX'
#!/bin/bash
# mtx -f LIBRARY status | load SLOT DRIVE | unload SLOT DRIVE
[ "$1" = -f ] && cd "$2" 2>/dev/null || { echo "cannot open SCSI device '$2' - No such file or directory" >&2; exit 1; }
echo "${*:3}" >>../moves
refuse() { echo "$*" >&2; exit 1; }
in_it() { ls "$1"; }
# move FROM TO: what a changer answers shows only here.
move() {
    [ ! -e ../offline ] || refuse 'Drive needs offline before move'
    if [ -e ../stuck ]; then
        echo 'mtx: Request Sense: Long Report=yes' >&2
        echo 'mtx: Request Sense: Sense Key=Hardware Error' >&2
        refuse 'MOVE MEDIUM from Element Address 1000 to 256 Failed'
    fi
    [ -n "$(in_it "$1")" ] || refuse 'Source Element Address 1000 is Empty'
    mv "$1"/* "$2"/
    echo done
}
case $3 in
    status)
        printf '  Storage Changer %s:1 Drives, 5 Slots ( 1 Import/Export )\n' "$2"
        if [ -n "$(in_it drive0)" ]; then
            printf 'Data Transfer Element 0:Full (Storage Element %s Loaded):VolumeTag = %-32s\n' "$(cat from)" "$(in_it drive0)"
        else
            echo 'Data Transfer Element 0:Empty'
        fi
        for slot in 1 2 3 4 5; do
            [ $slot = 5 ] && kind=' IMPORT/EXPORT' || kind=
            if [ -n "$(in_it slot$slot)" ]; then
                printf '      Storage Element %s%s:Full :VolumeTag=%-32s\n' $slot "$kind" "$(in_it slot$slot)"
            else
                printf '      Storage Element %s%s:Empty\n' $slot "$kind"
            fi
        done ;;
    load)
        [ -d "slot$4" ] || refuse "Invalid <storage-element-number> argument '$4' to 'load' command"
        [ -d "drive$5" ] || refuse "illegal <drive-number> argument '$5' to 'load' command"
        [ -z "$(in_it "drive$5")" ] || refuse "Drive $5 Full (Storage Element $(cat from) loaded)"
        printf 'Loading media from Storage Element %s into drive %s...' "$4" "$5"
        move "slot$4" "drive$5"
        echo "$4" >from
        ln drive0/* ../drive ;;
    unload)
        [ -n "$(in_it "drive$5")" ] || refuse "Data Transfer Element $5 is Empty"
        [ -z "$(in_it "slot$4")" ] || refuse "Storage Element $4 is Already Full"
        printf 'Unloading drive %s into Storage Element %s...' "$5" "$4"
        move "drive$5" "slot$4"
        rm ../drive ;;
    *) echo 'Usage:' >&2; exit 1 ;;
esac
MTX
printf '#!/bin/sh\necho "$1" >>%s/ejected\nrm %s/offline\n' "$dir" "$dir" >bin/eject
chmod +x bin/mtx bin/eject

# The example as it stands, but for the places.
sed "s,/usr/local/bin/,$config/,; s,/dev/sg3,$dir/library,; s,/dev/sdc,$dir/drive,; s,/run/hotbay/media,$dir/media,
     s,^bay_minimum_stay.*,bay_minimum_stay = \"1s\"," "$config/changer-mtx.toml" >library.toml
hotbay check-config "$config/changer-mtx.toml" >/dev/null

# by_hand load|unload VOLUME
by_hand() {
    HOTBAY_ACTION=$1 HOTBAY_BAY=1 HOTBAY_VOLUME=$2 HOTBAY_MEDIUM=$dir/media/$2 "$config/changer-mtx" \
        "$dir/library" "$dir/drive" red=JB0001 green=JB0002 blue=JB0003 lost=JB0009
}

# --- the first time: volumes are made one after the other, with each one's medium in
by_hand load red
start_hotbay --bays 1 --volume "red=$dir/media/red"
for pair in red:green green:blue; do
    hotbay eject "${pair%:*}"
    by_hand unload "${pair%:*}"
    by_hand load "${pair#*:}"
    hotbay volume add "${pair#*:}=$dir/media/${pair#*:}"
done
stop_hotbay
by_hand unload blue
is "the links" "$(ls media)" ""

# --- all three at once
: >moves
start_hotbay library.toml
# cold VOLUME NUMBER: a read that only the medium can answer.
cold() { timeout 90 qemu-io -f raw -c "read -P 0 $((8192 + 64 * $2))k 64k" "$(uri "$1")" >"$1.log" 2>&1 || { cat "$1.log" >&2; return 1; }; }
use() {
    local round
    for round in 0 1 2; do
        timeout 90 qemu-io -f raw -c "write -P $2$round $((64 * round))k 64k" -c flush "$(uri "$1")" >"$1.log" 2>&1
        cold "$1" "$round" || return 1
    done
}
use red 0x1 & one=$!
use green 0x2 & two=$!
use blue 0x3 & three=$!
for user in $one $two $three; do wait "$user" || fail "a client met an error: $(cat log)"; done
[ "$(grep -c '^load [123] 0$' moves)" -ge 3 ] && [ "$(grep -c '^unload [123] 0$' moves)" -ge 2 ] || fail "what was moved: $(cat moves)"
for volume in red green blue; do cold $volume 10; becomes $volume present; done
is "the tag in the drive" "$(ls library/drive0)" JB0003
is "the links" "$(ls media)" blue
for round in 0 1 2; do
    file_holds library/slot1/JB0001 0x1$round $((64 * round))k 64k
    file_holds library/slot2/JB0002 0x2$round $((64 * round))k 64k
    file_holds library/drive0/JB0003 0x3$round $((64 * round))k 64k
done

# --- the changer balks: what mtx says is in the log, the client waits, and it is tried again
touch stuck
cold red 20 & reader=$!
event "unload 1 blue' ended with exit status: 1"
grep -q 'MOVE MEDIUM from Element Address 1000 to 256 Failed' log || fail "the log does not say what mtx said: $(cat log)"
rm stuck
wait "$reader" || fail "the reader met an error though the changer is well again"

# --- a drive that holds on to its medium is told to let go
becomes red present
touch offline
cold green 20
is "what was ejected" "$(cat ejected)" "$dir/drive"
becomes green present

stop_hotbay
by_hand unload green

# --- what it says of what cannot be
refused_by() { ! "${@:2}" >said 2>&1 || fail "not refused: ${*:2}"; grep -qF -- "$1" said || fail "it says: $(cat said)"; }
refused_by 'no storage element has JB0009, the medium of lost' by_hand load lost
refused_by 'volume violet has no tag: say violet=TAG' by_hand load violet
by_hand load red
by_hand load red                         # it is there already
mv library/slot2/JB0002 library/slot1/   # somebody takes the slot that it came from
by_hand unload red
is "the first slot that was empty" "$(ls library/slot2)" JB0001
by_hand unload red                       # the drive is empty already
