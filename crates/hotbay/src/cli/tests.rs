use clap::CommandFactory as _;
use clap::error::ErrorKind;

use std::time::Duration;

use clap::Parser as _;

use super::{Cli, Command};
use crate::control::State;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_lines_of_the_contract_are_understood() {
    for line in [
        "hotbay serve",
        "hotbay serve h.toml --volume a=x.img --volume b=mem:1MiB --bays 1 --layout volumes",
        "hotbay serve --listen unix:/x --listen tcp:[::1]:10809 --control /c --state /s",
        "hotbay status",
        "hotbay status usb --json --watch",
        "hotbay insert usb",
        "hotbay insert usb file:/srv/a.img?create=64MiB --replace",
        "hotbay insert a /dev/sdd --new",
        "hotbay eject usb --control /c",
        "hotbay --control /c pull usb",
        "hotbay swap usb /dev/sdb --as-is",
        "hotbay scrub a --repair",
        "hotbay reload",
        "hotbay volume add usb=/dev/sdb1",
        "hotbay volume remove usb --close-sessions --keep-journal",
        "hotbay volume grow usb 128MiB",
        "hotbay wait usb present --timeout 30s",
        "hotbay events --follow --json",
        "hotbay fault usb vanish on write 100 back 2s",
        "hotbay fault usb --clear",
        "hotbay check-config h.toml",
        "hotbay serve --tls /tls --listen tcp:h:1",
        "hotbay tls make /tls --name h.example --name 192.0.2.1",
        "hotbay tls client /tls laptop /new",
        "hotbay attach usb",
        "hotbay attach usb /dev/nbd3 --wait-for-daemon 1h --foreground --server tcp:h:1",
        "hotbay attach --list",
        "hotbay attach --all --table t",
        "hotbay attach usb /dev/nbd3 --resize",
        "hotbay owner /dev/sdb1 --udev --state /s",
        "hotbay detach /dev/nbd3",
        "hotbay detach usb",
        "hotbay detach /dev/hotbay/usb",
        "hotbay journal list --json",
        "hotbay journal --state /s show usb --extents --records",
        "hotbay journal verify",
        "hotbay journal export usb f.img --onto --state /s",
        "hotbay demo",
        "hotbay scenario run s.toml --keep",
        "hotbay scenario sweep s.toml --every 10 --limit 5 --parallel 4",
        "hotbay bench nbd://h/a",
        "hotbay bench nbd+unix:///a?socket=/s --read --random --time 500ms --json",
        "hotbay bench nbd://h --write --destroy-data --sequential --fua --block 1MiB --depth 4 --requests 9",
        "hotbay bench nbd://h --mixed 30 --destroy-data --flush-every 10 --sessions 4 --offset 1MiB --length 1GiB",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn wrong_lines_are_usage_errors_that_say_what_to_write() {
    for (line, says) in [
        ("hotbay", "Usage"),
        ("hotbay inject usb", "insert"),
        ("hotbay insert", "<VOLUME>"),
        ("hotbay insert a --new", "MEDIUM"),
        ("hotbay insert a/b", "no name because of `/`"),
        ("hotbay insert usb mem:64MB", "write 64MiB"),
        ("hotbay wait usb gone", "present, absent, replaying, copying, conflict, failed"),
        ("hotbay wait usb present --timeout 30", "30s"),
        ("hotbay serve --bays 0", "from 1 to 128"),
        ("hotbay serve --layout raid", "no layout"),
        ("hotbay serve --listen /x", "unix:PATH or tcp:HOST:PORT"),
        ("hotbay serve --volume usb", "NAME=MEDIUM"),
        ("hotbay scenario run", "<FILE.toml>"),
        ("hotbay scenario sweep s.toml --every 0", "1.."),
        ("hotbay bench", "<URI>"),
        ("hotbay bench /run/nbd.sock", "nbd+unix:///EXPORT?socket=PATH"),
        ("hotbay bench nbd://h --read --write", "cannot be used with"),
        ("hotbay bench nbd://h --write --mixed 3", "cannot be used with"),
        ("hotbay bench nbd://h --mixed 100", "1..=99"),
        ("hotbay bench nbd://h --depth 0", "1..=1024"),
        ("hotbay bench nbd://h --block 4k", "4KiB"),
        ("hotbay bench nbd://h --time 10", "30s"),
        ("hotbay fault usb", "<SPEC>"),
        ("hotbay attach", "<EXPORT>"),
        ("hotbay attach usb /dev/sda", "write /dev/nbd0"),
        ("hotbay detach", "</dev/nbdN|EXPORT>"),
        ("hotbay detach a/b", "no name because of `/`"),
        ("hotbay volume", "grow"),
        ("hotbay attach usb --all", "cannot be used with"),
        ("hotbay attach usb --resize --foreground", "cannot be used with"),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(says), "{line}: {error}");
    }
}

#[test]
fn version_and_help_are_no_errors() {
    for (line, kind) in [
        ("hotbay --version", ErrorKind::DisplayVersion),
        ("hotbay --help", ErrorKind::DisplayHelp),
        ("hotbay serve --help", ErrorKind::DisplayHelp),
    ] {
        let shown = parse(line).unwrap_err();
        assert_eq!((shown.kind(), shown.exit_code()), (kind, 0), "{line}");
    }
}

#[test]
fn wait_has_half_a_minute() {
    let Command::Wait(arguments) = parse("hotbay wait usb absent").unwrap().command else {
        panic!("`wait` is parsed as another command")
    };
    assert_eq!(arguments.timeout, Duration::from_secs(30));
    assert_eq!(arguments.state, State::Absent);
}
