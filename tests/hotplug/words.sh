#!/usr/bin/env bash
# What a person reads who does something wrong: what it was, with the thing and the value, and the next step. A line of the table is
# a command, what its `error:` says, and what its `hint:` says (- where the error says what to write).
source "$(dirname "$0")/lib.sh"
here=--listen\ unix:$dir/other.sock\ --state\ $dir/other-state\ --control\ $dir/other-control.sock

# says TABLE: each of its lines.
says() {
    local command error hint code
    while IFS='|' read -r command error hint; do
        [ -n "$command" ] || continue
        command=${command%"${command##*[! ]}"} error=${error# } error=${error%"${error##*[! ]}"} hint=${hint# }
        rm -rf other-state
        code=0
        # shellcheck disable=SC2086  # a command line
        timeout "$patience" hotbay $command >output 2>complaint </dev/null || code=$?
        [ "$code" != 0 ] && [ "$code" != 124 ] || fail "hotbay $command ended with $code"
        grep -q '^error: ' complaint || fail "hotbay $command has no error: line: $(cat complaint)"
        grep '^error: ' complaint | grep -qF -- "$error" || fail "hotbay $command does not say '$error': $(cat complaint)"
        [ "$hint" = - ] || grep -E '^(hint| *tip): |possible values' complaint | grep -qF -- "$hint" ||
            fail "hotbay $command does not hint '$hint': $(cat complaint)"
        ! grep -q 'panicked\|RUST_BACKTRACE' complaint || fail "hotbay $command: $(cat complaint)"
        count=$((count + 1))
    done <<<"$1"
}
count=0

blank a.img 16M
blank b.img 16M
blank other.img 16M
blank big.img 32M
blank empty.img 0
mkdir directory
head -c 100000 /dev/zero >zeroes
touch taken.img

# --- no daemon
says "
status                                          | no hotbay daemon answers at $dir/control.sock          | 'hotbay serve'
eject a                                         | no hotbay daemon answers                               | --control
wait a present                                  | no hotbay daemon answers                               | 'hotbay serve'
events --follow                                 | no hotbay daemon answers                               | 'hotbay serve'
top                                             | is no terminal                                         | 'hotbay status --json'
serve missing.toml                              | cannot read missing.toml: No such file                 | name a file that is there
serve big.img                                   | is larger than 1MiB, so it is no configuration         | --volume NAME=PATH
serve directory                                 | cannot read directory: Is a directory                  | -
serve --volume a=missing.img $here              | volume a: there is no file $dir/missing.img            | '?create=64MiB' behind a file's path
serve --volume a=directory $here                | neither a regular file nor a block device              | must be there once
serve --volume a=empty.img $here                | the medium of volume a, is empty                       | truncate -s 64M
serve --volume a=no/new.img?create=16MiB $here  | there is no directory for $dir/no/new.img              | -
serve --volume a=new.img?create=16MB $here      | write 16MiB                                            | -
serve --volume a=new.img?creat=16MiB $here      | the only one is ?create=SIZE                           | -
serve --volume a=serial:NONE $here              | no disk serial:NONE is there                           | must be there once
serve --volume a=nbd://127.0.0.1:1/x $here      | no server answers at 127.0.0.1 port 1                  | must be there once
serve --volume a=a.img --volume a=b.img $here   | two --volume flags name a                              | a name of its own
serve --volume a=a.img --volume b=a.img $here   | volumes a and b have the same medium                   | give each its own
serve --volume a/b=a.img $here                  | because of \`/\`                                       | -
serve --layout raid                             | write volumes, partitions, linear, mirror              | -
serve --volume a=a.img --listen tcp:nowhere     | write unix:PATH or tcp:HOST:PORT                       | -
serve --volume a=a.img --state /proc/no         | cannot use the state directory /proc/no                | --state DIR
serve --volume a=a.img $here --metrics 99999    | write a port                                           | -
check-config missing.toml                       | cannot read missing.toml                               | name a file that is there
scenario run missing.toml                       | cannot read missing.toml                               | name a file that is there
bench nbd+unix:///a?socket=$dir/none.sock       | cannot connect                                         | 'hotbay status' shows
journal list --state none                       | cannot read the state directory                        | --state DIR
"

# --- a daemon, and what it refuses
start_hotbay --bays 1 --volume usb=a.img --volume backup=b.img
becomes usb present
says "
status usv                                      | there is no volume usv                                 | did you mean usb?
eject floppy                                    | there is no volume floppy                              | the volumes are: usb, backup
insert backup                                   | the bay holds the medium of volume usb                 | 'hotbay insert backup --replace'
insert usb                                      | its medium is in a bay already                         | 'hotbay swap'
eject backup                                    | its medium is away already                             | 'hotbay insert backup'
pull backup                                     | its medium is away already                             | 'hotbay insert backup'
wait usb prezent                                | invalid value 'prezent'                                | possible values: present, absent
wait usb absent --timeout 100ms                 | volume usb is present, not absent, after 100ms         | 'hotbay status usb'
wait usb absent --timeout 5                     | write a number and a unit                              | -
swap usb big.img                                | has 33554432 bytes, volume usb has 16777216            | nothing was written to it
swap usb none.img                               | there is no file $dir/none.img                         | nothing was changed
swap backup other.img                           | there is nothing to copy from                          | 'hotbay insert'
swap usb                                        | required arguments were not provided                   | -
fault usb vanisch                               | \`vanisch\` is no fault; write                         | 'hotbay fault --help'
scrub usb                                       | volume usb is no copy of a mirror                      | layout = \"mirror\"
journal show usv --state state                  | knows no volume usv                                    | usb
bench nbd+unix:///usv?socket=$dir/nbd.sock      | there is no export                                     | -
bench $(uri usb) --write                        | would destroy the data                                 | --destroy-data
detach usb                                      | $([ "$(id -u)" = 0 ] && echo 'no device is attached to usb | attach --list' || echo 'only root | sudo')
serve --volume q=other.img --listen unix:$dir/other.sock --state state --control $dir/q.sock       | another daemon uses the state directory | --state DIR
serve --volume q=other.img --listen unix:$dir/nbd.sock --state other-state --control $dir/q.sock   | another server is listening             | --listen
serve --volume q=other.img --listen unix:$dir/other.sock --state other-state                       | another daemon answers                  | --control PATH
serve --volume q=a.img $here                    | a.img is in use                                        | -
evnts                                           | unrecognized subcommand                                | 'events'
"
hotbay pull usb
says "
insert usb big.img                              | has 33554432 bytes, volume usb has 16777216            | nothing was written to it
insert usb other.img                            | is not the medium of volume usb                        | --as-is
insert usb none.img                             | there is no file $dir/none.img                         | nothing was changed
insert usb directory                            | neither a regular file nor a block device              | -
"
fill usb 0x11 0 4k
says "
journal export usb taken.img --state state      | taken.img                                              | -
"
stop_hotbay

# --- a configuration: the line, the column, and what to write. `~` ends a line of the file.
wrong() {
    local text error hint
    while IFS='|' read -r text error hint; do
        [ -n "$text" ] || continue
        tr '~' '\n' <<<"$text" >wrong.toml
        says "check-config wrong.toml|$error|${hint# }"
    done <<<"$1"
}
volume='[[volume]]~name = "a"~medium = "a.img"~'
wrong "
bays = 1~volumne = 3                            | wrong.toml:2:1: there is no key \`volumne\` here        | did you mean \`volume\`?
[default]                                       | wrong.toml:1:2: there is no key \`default\` here        | did you mean \`defaults\`?
[[volume]]~name = \"a\"~medum = \"a.img\"       | wrong.toml:3:1: there is no key \`medum\` here          | did you mean \`medium\`?
[[volume]]~name = \"a\"                         | wrong.toml:1:1: the key \`medium\` is missing           | a name and a medium
bays = \"two\"                                  | wrong.toml:1:8: bays: string \"two\" is not what belongs here; write a number, without quotes | -
bays = 129                                      | wrong.toml:1:8: bays: 129 is out of bounds; write a number from 1 to 128 | -
listen = \"unix:/x\"                            | wrong.toml:1:10: listen: string \"unix:/x\" is not what belongs here; write a list | -
state = 5                                       | wrong.toml:1:9: state: integer \`5\` is not what belongs here; write a path in quotes | -
metrics = 9750                                  | write a port or an address in quotes                    | -
layout = \"partition\"                          | wrong.toml:1:10: layout: \`partition\` is no layout; write volumes, partitions | -
${volume}absent_wait = 30                       | wrong.toml:4:15: absent_wait: integer \`30\` is not what belongs here; write a duration in quotes | -
${volume}absent_wait = \"30 moons\"             | wrong.toml:4:15: absent_wait: \`30 moons\` is not a duration | -
${volume}absent_reads = \"block\"               | wrong.toml:4:16: absent_reads: \`block\` is not a value | write wait, error
${volume}journal_limit = \"16MB\"               | wrong.toml:4:17: journal_limit: \`16MB\` has no known unit; write 16MiB | -
${volume}journal_limit = \"1MiB\"               | write a size from 16MiB to 1PiB                         | -
${volume}${volume}                              | wrong.toml:5:8: name: the volume of line 2 is named \`a\` too | a name of its own
[[hook]]~command = [\"notify\"]                 | a hook's program \`notify\` is no absolute path         | /bin/sh
[[volume]~name = \"a\"                          | wrong.toml:1:10: unclosed array table                   | -
"

# --- where there is no room for the journal
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=1m none full 2>/dev/null; then
    head -c 2M /dev/zero >full/filled 2>/dev/null || true
    code=0
    timeout "$patience" hotbay serve --volume a=a.img --listen "unix:$dir/other.sock" --state full/state >output 2>complaint || code=$?
    umount full
    [ "$code" = 1 ] || fail "on a full disk serve ended with $code"
    grep -q 'No space left on device' complaint && grep -q '^hint: ' complaint || fail "of a full disk it says: $(cat complaint)"
fi
[ "$count" -gt 60 ] || fail "only $count lines were tried"
