# /etc/hotbay/attach: exports become devices by a line each. One that is wrong is told, and is in no other's way.
driver nbd nbds_max=8 max_part=8
truncate -s 32M a.img b.img c.img
start_hotbay --volume a=a.img --volume b=b.img --volume c=c.img
cat >table <<'TABLE'
# EXPORT DEVICE    OPTIONS
a        /dev/nbd3
b        -         server=unix:/run/nbd.sock,wait-for-daemon=1m
c        /dev/nbd4 wait-for=1h
d
TABLE
daemon_of() { hotbay attach --list | awk -v export="$1" '$2 == export { print $5 }'; }
until_daemon_is() { for _ in {1..300}; do [ "$(daemon_of a)" != "$1" ] || return 0; sleep 0.1; done; return 1; }
attached() { hotbay attach --list | awk -v export="$1" '$2 == export { print $1 }'; }

[ -z "$(hotbay attach --list 2>/dev/null)" ]
hotbay attach --list 2>&1 | grep -F "nothing is attached; 'hotbay attach EXPORT' makes a device"
[ "$(hotbay attach --list --json)" = '[]' ]
refused "table:4: there is no option wait-for=1h" hotbay attach --all --table table
[ "$(attached a)" = /dev/nbd3 ]
[ -n "$(attached b)" ]
[ -z "$(attached c)" ]
refused "there is no export d" hotbay attach --all --table table
[ "$(hotbay attach --list | wc -l)" = 3 ]   # those that are attached are left as they are
refused "table:4:" hotbay attach c --table table
hotbay attach c --table /dev/null           # flags and other tables win
sed -i '/^[cd]/d' table
hotbay attach --all --table table
refused "no-such-table" hotbay attach a --table no-such-table

make_and_mount a "$(attached a)" ext2
put a before 300000
cp -L "$(command -v hotbay)" /run/for-all   # somebody who is not root sees what is attached, and that he does not see who keeps it
setpriv --reuid=65534 --regid=65534 --clear-groups /run/for-all attach --list >/run/listed 2>/run/noted
awk '$1 == "/dev/nbd3" { print $2, $5 }' /run/listed | grep -x 'a unknown'
grep -F "only root sees who keeps the devices: 'sudo hotbay attach --list'" /run/noted
resident=/run/hotbay-attach/nbd3
kill -9 "$(cat $resident)"
flock $resident true
[ "$(daemon_of a)" = - ]
[ "$(hotbay attach a)" = /dev/nbd3 ]        # the one that it has lost its resident on, not another
[ "$(daemon_of a)" = connected ]
hotbay attach --list --json | grep -F '{"device":"/dev/nbd3","export":"a","server":"unix:/run/nbd.sock","resident":'"$(cat $resident)"',"daemon":"connected"}'
kill_hotbay
until_daemon_is away
start_hotbay --volume a=a.img --volume b=b.img --volume c=c.img
until_daemon_is connected
put a after 300000
no_error_in_the_log
compare a

refused "it is mounted at" hotbay detach a
umount /run/mnt/a
hotbay detach a
refused "no device is attached to a" hotbay detach a
refused "is no NBD device" hotbay detach /dev/null
second=$(hotbay attach b)
refused "several devices are attached to b" hotbay detach b
hotbay detach "$second"
hotbay detach b
hotbay detach c
stop_hotbay
save a a.img
