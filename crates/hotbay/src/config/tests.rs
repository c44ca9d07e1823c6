use std::path::{Path, PathBuf};

use super::places::User;
use super::*;

/// A user with all directories, in `/here`.
fn someone() -> Environment {
    Environment {
        user: User::Other,
        xdg_runtime: Some("/run/user/1".into()),
        xdg_state: None,
        home: Some("/home/me".into()),
        current: "/here".into(),
    }
}

fn parsed(text: &str, overrides: Overrides) -> Result<Config, Failure> {
    resolve(ConfigFile::parse(text, "h.toml")?, overrides, &someone())
}

fn nothing() -> Overrides {
    Overrides::default()
}

fn volume(flag: &str) -> VolumeFlag {
    flag.parse().unwrap()
}

fn listen(config: &Config) -> Vec<String> {
    config.listen.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_said_is_two_volumes_that_just_work() {
    let config = parsed("", nothing()).unwrap();
    let expected = "\
name                hotbay
bays                2
layout              volumes
listen              unix:/run/user/1/hotbay/nbd.sock
tls                 off
control             /run/user/1/hotbay/control.sock
state               /home/me/.local/state/hotbay
metrics             off
max_connections     1024
max_bytes_in_flight 1GiB
allow               everyone
handshake_timeout   30s
busy_poll           0s

volume a
  medium            file:/home/me/.local/state/hotbay/media/a.img?create=64MiB
  absent_reads      wait
  absent_wait       30s
  io_deadline       30s
  journal_limit     1GiB
  journal_full      wait
  retained_limit    64MiB
  auto_insert       true
  allow             everyone
  read_only         false
  rotational        false
  description

volume b
  medium            file:/home/me/.local/state/hotbay/media/b.img?create=64MiB
  absent_reads      wait
  absent_wait       30s
  io_deadline       30s
  journal_limit     1GiB
  journal_full      wait
  retained_limit    64MiB
  auto_insert       true
  allow             everyone
  read_only         false
  rotational        false
  description
";
    assert_eq!(summary(&config), expected);
}

#[test]
fn every_key_arrives() {
    let text = r#"
        name = "shelf"
        bays = 1
        layout = "volumes"
        listen = ["unix:n.sock", "tcp:[::1]:10809"]
        control = "c.sock"
        state = "s"
        metrics = "[::]:1"
        max_connections = 7
        max_bytes_in_flight = "64MiB"
        allow = ["user:0", "certificate:a b"]
        handshake_timeout = "5s"
        busy_poll = "50us"
        [[hook]]
        command = ["/x", "y"]
        events = ["lost"]
        timeout = "1m"
        [tls]
        mode = "offered"
        certificate = "/tls/c.pem"
        key = "k.pem"
        client_ca = "/ca.pem"
        client_certificate = "optional"
        [[volume]]
        name = "usb"
        medium = "usb.img"
        absent_reads = "error"
        absent_wait = "1m 30s"
        io_deadline = "10s"
        journal_limit = "16MiB"
        journal_full = "error"
        retained_limit = "1MiB"
        auto_insert = false
        allow = []
        read_only = true
        rotational = true
        description = "a stick"
    "#;
    let expected = "\
name                shelf
bays                1
layout              volumes
listen              unix:/here/n.sock, tcp:[::1]:10809
tls                 offered, with /tls/c.pem and /here/k.pem, clients may show a certificate signed by /ca.pem
control             /here/c.sock
state               /here/s
metrics             [::]:1
max_connections     7
max_bytes_in_flight 64MiB
allow               user:0, certificate:a b
handshake_timeout   5s
busy_poll           50us
hook                /x y for lost, at most 1m

volume usb
  medium            file:/here/usb.img
  absent_reads      error
  absent_wait       1m30s
  io_deadline       10s
  journal_limit     16MiB
  journal_full      error
  retained_limit    1MiB
  auto_insert       false
  allow             nobody
  read_only         true
  rotational        true
  description       a stick
";
    assert_eq!(summary(&parsed(text, nothing()).unwrap()), expected);
}

#[test]
fn a_volume_wins_over_the_defaults_of_the_file() {
    let text = r#"
        [defaults]
        absent_wait = "5s"
        journal_limit = "32MiB"
        auto_insert = false
        [[volume]]
        name = "a"
        medium = "mem:1MiB"
        [[volume]]
        name = "b"
        medium = "mem:1MiB"
        absent_wait = "6s"
        auto_insert = true
    "#;
    let flags = Overrides { volumes: vec![volume("c=mem:1MiB")], ..nothing() };
    let config = parsed(text, flags).unwrap();
    let seen: Vec<_> = config
        .volumes
        .iter()
        .map(|v| (v.absent_wait.as_secs(), v.journal_limit_bytes >> 20, v.auto_insert))
        .collect();
    let expected = [
        (5, 32, AutoInsert::Never),
        (6, 32, AutoInsert::WhenItReturns),
        (5, 32, AutoInsert::Never),
    ];
    assert_eq!(seen, expected);
    // The default follows the journal down to a quarter of it.
    assert_eq!(config.volumes[0].retained_limit_bytes, 8 << 20);
}

#[test]
fn flags_win_over_the_file() {
    let text = r#"
        bays = 2
        listen = ["unix:/file.sock", "tcp:localhost:1"]
        control = "/file/c"
        state = "/file/s"
        metrics = "1"
        [[volume]]
        name = "a"
        medium = "/file/a"
        absent_reads = "error"
    "#;
    let flags = Overrides {
        volumes: vec![volume("a=/flag/a"), volume("b=c.img")],
        bays: Some("1".parse().unwrap()),
        layout: Some(Layout::Volumes),
        listen: vec!["unix:flag.sock".parse().unwrap()],
        control: Some("c".into()),
        state: Some("/flag/s".into()),
        tls: None,
        metrics: Some("2".parse().unwrap()),
        busy_poll: Some("20us".parse().unwrap()),
    };
    let config = parsed(text, flags).unwrap();
    assert_eq!((config.bay_count(), config.busy_poll), (1, std::time::Duration::from_micros(20)));
    assert_eq!(config.metrics.to_string(), "127.0.0.1:2");
    assert_eq!(listen(&config), ["unix:/here/flag.sock"]);
    assert_eq!((config.control, config.state), ("/here/c".into(), PathBuf::from("/flag/s")));
    let volumes =
        config.volumes.iter().map(|v| format!("{} {} {:?}", v.name, v.medium, v.absent_reads));
    assert_eq!(volumes.collect::<Vec<_>>(), ["a file:/flag/a Error", "b file:/here/c.img Wait"]);
}

#[test]
fn two_flags_of_one_volume_are_refused() {
    let flags = Overrides { volumes: vec![volume("b=b.img"), volume("b=c.img")], ..nothing() };
    let refused = parsed("", flags).unwrap_err();
    assert_eq!(refused.message(), "two --volume flags name b");
}

#[test]
fn a_hook_is_checked_where_it_is_read() {
    let hook = |text: &str| parsed(&format!("[[hook]]\n{text}"), nothing());
    let config = hook("command = [\"/bin/true\", \"x\"]\nevents = [\"lost\"]").unwrap();
    assert_eq!(config.hooks[0].to_string(), "/bin/true x for lost, at most 30s");
    assert!(!config.hooks[0].wants(hotbay_drive::EventKind::Pulled));
    for (wrong, complaint) in [
        ("command = [\"mail\"]", "a hook's program `mail` is no absolute path"),
        ("command = []", "a hook has an empty command"),
        ("command = [\"/x\\u0000\"]", "has a zero byte"),
        ("command = [\"/x\"]\ntimeout = \"0s\"", "`0s` is out of bounds"),
        ("command = [\"/x\"]\nevents = [\"los\"]", "did you mean `lost`?"),
        ("", "the key `command` is missing"),
    ] {
        let failure = hook(wrong).unwrap_err();
        assert!(failure.message().contains(complaint), "{failure}");
    }
    let many = "[[hook]]\ncommand = [\"/x\"]\n".repeat(17);
    assert!(parsed(&many, nothing()).unwrap_err().message().contains("17 hooks are too many"));
}

#[test]
fn metrics_are_off_and_leave_this_machine_only_by_an_address() {
    let metrics = |text: &str| parsed(text, nothing()).map(|config| config.metrics.to_string());
    assert_eq!(metrics("").unwrap(), "off");
    for (written, address) in [
        ("off", "off"),
        ("9750", "127.0.0.1:9750"),
        ("[::1]:9750", "[::1]:9750"),
        ("0.0.0.0:9750", "0.0.0.0:9750"),
    ] {
        assert_eq!(metrics(&format!("metrics = {written:?}")).unwrap(), address);
    }
    for wrong in ["", "70000", ":9750", "localhost", "localhost:9750", "on"] {
        let failure = metrics(&format!("metrics = {wrong:?}")).unwrap_err();
        assert!(failure.message().contains("is no address for metrics; write a port"), "{failure}");
    }
    let failure = metrics("metrics = 9750").unwrap_err();
    assert!(failure.message().contains("a port or an address in quotes"), "{failure}");
}

#[test]
fn a_flag_alone_replaces_the_built_in_volumes() {
    let flags = Overrides { volumes: vec![volume("usb=/dev/sdb1")], ..nothing() };
    let config = parsed("", flags).unwrap();
    assert_eq!((config.volumes.len(), config.bay_count()), (1, 1));
}

#[test]
fn directories_follow_the_user() {
    let me = someone();
    let root = Environment { user: User::Root, ..me.clone() };
    let bare = Environment { xdg_runtime: None, ..me.clone() };
    let moved = Environment { xdg_state: Some("/x".into()), ..bare.clone() };
    let lost = Environment { home: None, ..bare.clone() };
    for (environment, named, state, run) in [
        (&root, None, "/var/lib/hotbay", "/run/hotbay"),
        (&root, Some("/s"), "/var/lib/hotbay", "/run/hotbay"),
        (&me, None, "/home/me/.local/state/hotbay", "/run/user/1/hotbay"),
        (&bare, None, "/home/me/.local/state/hotbay", "/home/me/.local/state/hotbay/run"),
        (&bare, Some("/s"), "/home/me/.local/state/hotbay", "/s/run"),
        (&moved, None, "/x/hotbay", "/x/hotbay/run"),
    ] {
        assert_eq!(environment.state().unwrap(), Path::new(state));
        assert_eq!(environment.run(named.map(Path::new)).unwrap(), Path::new(run));
    }
    let failure = lost.state().unwrap_err();
    assert_eq!(failure.hint(), Some("name one with --state DIR"));
    assert_eq!(lost.run(Some(Path::new("/s"))).unwrap(), Path::new("/s/run"));
}

/// The text of a file, the error without its file name, and the hint.
const WRONG: &[(&str, &str, &str)] = &[
    // Typing errors.
    ("baays = 1", "1:1: there is no key `baays` here", "did you mean `bays`?"),
    (
        "\n[[volume]]\nname = \"a\"\nmedium = \"mem:1MiB\"\njurnal_limit = \"1GiB\"",
        "5:1: there is no key `jurnal_limit` here",
        "did you mean `journal_limit`?",
    ),
    (
        "[defaults]\nmedium = \"x\"",
        "2:1: there is no key `medium` here",
        "the keys here are absent_reads",
    ),
    ("[volumes]", "1:2: there is no key `volumes` here", "did you mean `volume`?"),
    ("bays =", "1:7: bays: ", ""),
    ("bays = 1\nbays = 2", "2:1: ", ""),
    ("name = \"a", "1:", ""),
    // Values of another type.
    (
        "bays = \"1\"",
        "1:8: bays: string \"1\" is not what belongs here; write a number, without quotes",
        "",
    ),
    ("[defaults]\njournal_limit = 5", "2:17: journal_limit: ", ""),
    ("[defaults]\njournal_limit = 5", "a size in quotes, such as \"64MiB\"", ""),
    ("handshake_timeout = 5", "1:21: handshake_timeout: ", ""),
    (
        "listen = \"unix:/x\"",
        "1:10: listen: string \"unix:/x\" is not what belongs here; write a list",
        "",
    ),
    // Values that are none, or out of bounds.
    (
        "[defaults]\njournal_limit = \"1GB\"",
        "2:17: journal_limit: `1GB` has no known unit; write 1GiB",
        "",
    ),
    ("[defaults]\njournal_limit = \"1MiB\"", "write a size from 16MiB to 1PiB", ""),
    ("[defaults]\nretained_limit = \"2GiB\"", "write a size from 1MiB to 1GiB", ""),
    (
        "[defaults]\nabsent_wait = \"2h\"",
        "`2h` is out of bounds; write a duration from 100ms to 1h",
        "",
    ),
    ("[defaults]\nio_deadline = \"500ms\"", "write a duration from 1s to 1h", ""),
    ("[defaults]\nabsent_wait = \"30\"", "`30` is not a duration; write a number and a unit", ""),
    (
        "[defaults]\nabsent_reads = \"wai\"",
        "`wai` is not a value of this key",
        "did you mean `wait`?",
    ),
    (
        "[defaults]\njournal_full = \"block\"",
        "2:16: journal_full: `block` is not",
        "write wait, error",
    ),
    ("handshake_timeout = \"0s\"", "write a duration from 1s to 5m", ""),
    ("busy_poll = 50", "1:13: busy_poll: ", ""),
    ("busy_poll = 50", "a duration in quotes, such as \"50us\"", ""),
    ("busy_poll = \"50\"", "`50` is not a duration", ""),
    ("busy_poll = \"51us\"", "`51us` is out of bounds; write a duration from 0s to 50us", ""),
    (
        "max_connections = 0",
        "1:19: max_connections: 0 is out of bounds; write a number from 1 to 65536",
        "",
    ),
    ("bays = 129", "129 is out of bounds; write a number from 1 to 128", ""),
    ("bays = -1", "-1 is out of bounds", ""),
    (
        "layout = \"raid\"",
        "1:10: layout: `raid` is no layout; write volumes, partitions, linear, mirror",
        "",
    ),
    ("name = \"\"", "a name has 1 to 64 characters, this one has 0", ""),
    ("name = \"a b\"", "1:8: name: `a b` is no name because of ` `", ""),
    ("name = \".a\"", "the first character is a letter", ""),
    ("name = \"-a\"", "the first character is a letter", ""),
    ("listen = [\"/x\"]", "1:11: listen: `/x` is no address: it begins neither", ""),
    ("listen = [\"unix:\"]", "the path is missing", ""),
    ("listen = [\"tcp:1234\"]", "the port is missing", ""),
    ("listen = [\"tcp::1234\"]", "the host is missing", ""),
    ("listen = [\"tcp:h:65536\"]", "the port is not a number up to 65535", ""),
    ("listen = [\"tcp:::1:10\"]", "IPv6 needs brackets", ""),
    ("listen = []", "listen is empty", "name an address"),
    ("listen = [\"unix:/x\", \"unix:/x\"]", "the address unix:/x is used twice", ""),
    ("control = \"/x\"\nlisten = [\"unix:/x\"]", "the address unix:/x is used twice", ""),
    // Volumes.
    ("[[volume]]\nname = \"a\"", "1:1: the key `medium` is missing", "see config/reference.toml"),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"s3://b/x\"",
        "3:10: medium: s3: media are not supported yet",
        "",
    ),
    ("[[volume]]\nname = \"a\"\nmedium = \"nbd:///x\"", "3:10: medium: ", ""),
    ("[[volume]]\nname = \"a\"\nmedium = \"nbd:///x\"", "the host is missing", ""),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"nbd://h/x\"\n[[volume]]\nname = \"b\"\nmedium = \"nbd://h:10809/x\"",
        "volumes a and b have the same medium nbd://h/x",
        "give each its own",
    ),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"mem:1MiB\"\n[[volume]]\nmedium = \"x\"\nname = \"a\"",
        "6:8: name: the volume of line 2 is named `a` too",
        "a name of its own",
    ),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"x\"\n[[volume]]\nname = \"b\"\nmedium = \"file:./x\"",
        "volumes a and b have the same medium file:/here/x",
        "give each its own",
    ),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"x\"\njournal_limit = \"16MiB\"\nretained_limit = \"8MiB\"",
        "volume a: retained_limit 8MiB is more than a quarter of journal_limit 16MiB",
        "set retained_limit to 4MiB or less, or journal_limit to 32MiB or more",
    ),
    // Mirrors as parts of a disk.
    (
        "layout = \"linear\"\n[[volume]]\nname = \"a\"\nmedium = \"x\"\ncopy_of = \"d\"",
        "h.toml:5:11: copy_of: d has no other copy",
        "a mirror has two copies or more",
    ),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"x\"\ncopy_of = \"d\"",
        "h.toml:4:11: copy_of: in layout volumes there is no disk",
        "layout = \"partitions\" or \"linear\" makes one",
    ),
    (
        "layout = \"mirror\"\n[[volume]]\nname = \"a\"\nmedium = \"x\"\ncopy_of = \"d\"",
        "h.toml:5:11: copy_of: in layout mirror each volume is a copy of the one disk already",
        "leave copy_of out",
    ),
    (
        "layout = \"linear\"\n[[volume]]\nname = \"a\"\nmedium = \"x\"\ncopy_of = \"a\"",
        "h.toml:5:11: copy_of: a is the name of a volume",
        "give the mirror a name of its own",
    ),
    (
        "[[volume]]\nname = \"a\"\nmedium = \"x\"\ncopy_of = \"d d\"",
        "4:11: copy_of: `d d` is no name because of ` `",
        "",
    ),
];

/// A mirror lies where its first copy is named, and one that says that it is none is none.
#[test]
fn copies_are_one_part_of_a_disk() {
    let volume = |name: &str, of: &str| {
        format!("[[volume]]\nname = \"{name}\"\nmedium = \"{name}\"\ncopy_of = \"{of}\"\n")
    };
    let volumes = [volume("a", ""), volume("b", "m"), volume("c", ""), volume("d", "m")].concat();
    let config = parsed(&format!("layout = \"partitions\"\n{volumes}"), nothing()).unwrap();
    let shown = disk_parts(&config.volumes).into_iter().map(|part| match part {
        DiskPart::Volume(name) => name.to_string(),
        DiskPart::Mirror(name, copies) => {
            let copies: Vec<String> = copies.into_iter().map(Name::to_string).collect();
            format!("{name} = {}", copies.join(" + "))
        }
    });
    assert_eq!(shown.collect::<Vec<_>>(), ["a", "m = b + d", "c"]);
    assert!(summary(&config).contains("copy_of           m"));
}

#[test]
fn a_wrong_file_is_told_with_place_and_remedy() {
    for (text, message, hint) in WRONG {
        let failure = parsed(text, nothing()).expect_err(text);
        assert!(failure.message().contains(message), "{text}\n{failure}");
        assert!(failure.hint().unwrap_or_default().contains(hint), "{text}\n{failure}");
        assert!(!failure.message().contains('\n'), "{text}\n{failure}");
    }
}

#[test]
fn columns_count_characters() {
    let failure = parsed("name = \"é\" # ü\n\"ключ\" = 1", nothing()).unwrap_err();
    assert!(failure.message().starts_with("h.toml:1:8: name: `é` is no name"), "{failure}");
    let failure = parsed("listen = [\"unix:/ü\", \"é\"]", nothing()).unwrap_err();
    assert!(failure.message().starts_with("h.toml:1:22: "), "{failure}");
}

#[test]
fn more_than_128_volumes_are_refused() {
    let volumes = |count| (0..count).map(|n| volume(&format!("v{n}=mem:1MiB"))).collect();
    assert!(parsed("", Overrides { volumes: volumes(128), ..nothing() }).is_ok());
    let failure = parsed("", Overrides { volumes: volumes(129), ..nothing() }).unwrap_err();
    assert!(failure.message().starts_with("129 volumes are too many"), "{failure}");
}

#[test]
fn a_socket_path_that_no_address_can_hold_is_refused() {
    let path = |length: usize| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
    assert!(parsed("", Overrides { control: Some(path(107)), ..nothing() }).is_ok());
    for overrides in [
        Overrides { control: Some(path(108)), ..nothing() },
        Overrides { listen: vec![hotbay_server::ListenAddress::Unix(path(108))], ..nothing() },
    ] {
        let failure = parsed("", overrides).unwrap_err();
        assert!(failure.message().ends_with("the path of a socket has at most 107"), "{failure}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.toml");
    let failure = load(Some(&path), nothing(), &someone()).unwrap_err();
    assert!(
        failure.message().starts_with(&format!("cannot read {}: ", path.display())),
        "{failure}"
    );
    std::fs::write(&path, "listen = []").unwrap();
    let failure = load(Some(&path), nothing(), &someone()).unwrap_err();
    assert!(failure.message().starts_with(&format!("{}: listen", path.display())), "{failure}");
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let failure = load(Some(&path), nothing(), &someone()).unwrap_err();
    assert!(failure.message().contains("is larger than 1MiB"), "{failure}");
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

#[test]
fn each_example_is_a_configuration() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config = load(Some(&path), nothing(), &someone());
            config.unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
            names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    let expected = [
        "changer",
        "changer-mtx",
        "file-system-tester",
        "linear",
        "mirror",
        "one-bay-two-volumes",
        "partitions",
        "partitions-with-a-mirror",
        "quickstart",
        "reference",
        "remote-disk",
        "usb-stick",
    ];
    assert_eq!(names, expected);
}

/// The reference says what the defaults are; so with all of its keys nothing changes for root.
#[test]
fn the_reference_has_every_key_with_its_default() {
    let text = std::fs::read_to_string(examples().join("reference.toml")).unwrap();
    let root = Environment { user: User::Root, ..someone() };
    let stated = resolve(ConfigFile::parse(&text, "reference.toml").unwrap(), nothing(), &root);
    let flags =
        Overrides { volumes: vec![volume("usb=file:/srv/usb.img?create=64MiB")], ..nothing() };
    let built_in = resolve(ConfigFile::default(), flags, &root);
    assert_eq!(summary(&stated.unwrap()), summary(&built_in.unwrap()));

    let table: toml::Table = text.parse().unwrap();
    let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
    keys.extend(table["defaults"].as_table().unwrap().keys().map(String::as_str));
    keys.extend(table["tls"].as_table().unwrap().keys().map(String::as_str));
    keys.extend(table["volume"][0].as_table().unwrap().keys().map(String::as_str));
    // What the parser offers for a key that does not exist is what there is.
    for scope in ["", "[tls]\n", "[defaults]\n", "[[volume]]\n"] {
        let failure = ConfigFile::parse(&format!("{scope}zzzzzzzzzzzz = 1"), "h.toml").unwrap_err();
        let offered = failure.hint().unwrap().strip_prefix("the keys here are ").unwrap();
        for key in offered.split(", ") {
            assert!(keys.contains(&key), "{key} is not in config/reference.toml");
        }
    }
}
