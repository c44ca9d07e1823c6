//! The load against a server in this process, and against one that misbehaves. None of it looks at a clock: the device
//! stops the load after so many requests.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use clap::Parser as _;
use hotbay_block::{Device, DeviceInfo, Error, ErrorKind, Execution, MemoryDevice, Request};
use hotbay_nbd::RequestHeader;
use hotbay_server::{ExportDescription, Exports, Limits, OpenedExport, Peer, Server};
use tokio::sync::oneshot;

use super::measured::Kind;
use super::*;
use crate::cli::{Cli, Command};

/// Stops the load once it was asked so often; fails reads of the first block where it is told to. Writes are counted by their
/// bytes: the server may give it a long one in parts.
#[derive(Debug)]
struct Watched {
    memory: MemoryDevice,
    first_block_fails: bool,
    asked: AtomicU64,
    enough: u64,
    stop: Arc<AtomicBool>,
    reads: AtomicU64,
    written_bytes: AtomicU64,
    flushes: AtomicU64,
}

impl Watched {
    fn new(size_bytes: u64, enough: u64) -> Self {
        Self {
            memory: MemoryDevice::new(size_bytes),
            first_block_fails: false,
            asked: AtomicU64::new(0),
            enough,
            stop: Arc::default(),
            reads: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
        }
    }
}

impl Device for Watched {
    fn info(&self) -> DeviceInfo {
        self.memory.info()
    }

    fn execute(&self, request: Request) -> Execution {
        if self.asked.fetch_add(1, Ordering::Relaxed) + 1 >= self.enough {
            self.stop.store(true, Ordering::Relaxed);
        }
        match &request {
            Request::Read { extent, .. } if self.first_block_fails && extent.offset() == 0 => {
                return Execution::Done(Err(Error::new(
                    ErrorKind::Medium,
                    "the first block is bad",
                )));
            }
            Request::Read { .. } => self.reads.fetch_add(1, Ordering::Relaxed),
            Request::Write { extent, .. } => {
                self.written_bytes.fetch_add(extent.length(), Ordering::Relaxed)
            }
            Request::Flush => self.flushes.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        self.memory.execute(request)
    }
}

struct One(Arc<Watched>);

impl Exports for One {
    fn list(&self, _: &Peer) -> Vec<ExportDescription> {
        Vec::new()
    }

    fn open(&self, name: &str, _: &Peer) -> Option<OpenedExport> {
        (name == "a").then(|| OpenedExport {
            name: name.to_owned(),
            description: String::new(),
            device: self.0.clone(),
        })
    }
}

fn arguments(line: &str) -> BenchArgs {
    match Cli::try_parse_from(["hotbay", "bench"].into_iter().chain(line.split_whitespace())) {
        Ok(Cli { command: Command::Bench(arguments), .. }) => arguments,
        other => panic!("{line}: {other:?}"),
    }
}

/// Serves the device while `act` runs; it gets the URI.
fn served<T>(device: &Arc<Watched>, act: impl FnOnce(&str) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let address = format!("unix:{}", path.display()).parse().unwrap();
    let exports = Arc::new(One(Arc::clone(device)));
    let server = runtime.block_on(Server::bind(&[address], exports, Limits::default())).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = runtime.spawn(server.run(async { drop(stopped.await) }));
    let result = act(&format!("nbd+unix:///a?socket={}", path.display()));
    drop(stop);
    runtime.block_on(serving).unwrap();
    result
}

/// Makes the load of a command line against a device, which stops it.
fn loaded(device: &Arc<Watched>, words: &str) -> Result<Outcome, Failure> {
    served(device, |uri| {
        let arguments = arguments(&format!("{uri} --time 1h {words}"));
        let first = Connection::open(&arguments.uri)?;
        let load = Load::new(&arguments, first.opened())?;
        let mut connections = vec![first];
        for _ in 1..load.sessions {
            connections.push(Connection::open(&arguments.uri)?);
        }
        make(&load, connections, &device.stop)
    })
}

fn refused(device: Watched, words: &str) -> Failure {
    loaded(&Arc::new(device), words).expect_err(words)
}

const MIB: u64 = 1 << 20;

#[test]
fn every_request_is_answered_and_counted_once() {
    for words in [
        "",
        "--depth 1",
        "--sequential --block 1MiB --depth 4",
        "--sessions 4 --depth 8",
        "--block 1 --depth 1024",
        "--block 512 --sessions 3 --depth 7 --offset 512 --length 1MiB",
        "--write --destroy-data",
        "--write --destroy-data --sequential --block 4MiB --depth 8",
        "--write --destroy-data --block 1 --depth 1024 --fua",
        "--mixed 50 --destroy-data --block 1MiB --depth 16",
        "--mixed 1 --destroy-data --flush-every 1 --sessions 2",
    ] {
        let device = Arc::new(Watched::new(8 * MIB, 1500));
        let outcome = loaded(&device, words).unwrap();
        assert!(device.asked.load(Ordering::Relaxed) >= 1500, "{words}");
        let tally = |kind| outcome.measured.tally(kind);
        assert_eq!(tally(Kind::Read).requests(), device.reads.load(Ordering::Relaxed), "{words}");
        let (writes, flushes) = (tally(Kind::Write), tally(Kind::Flush));
        let block = arguments(&format!("nbd://h {words}")).block.0;
        let written_bytes = device.written_bytes.load(Ordering::Relaxed);
        assert_eq!(writes.requests() * block, written_bytes, "{words}");
        assert_eq!(flushes.requests(), device.flushes.load(Ordering::Relaxed), "{words}");
        assert_eq!(outcome.verdict(), Ok(()), "{words}");
    }
}

#[test]
fn writes_go_where_they_may_and_nowhere_else() {
    let device = Arc::new(Watched::new(8 * MIB, u64::MAX));
    let words = "--write --destroy-data --offset 1MiB --length 2MiB --sessions 2 --requests 512";
    loaded(&device, words).unwrap();
    let content = device.memory.content();
    let (before, rest) = content.split_at(MIB as usize);
    let (written, after) = rest.split_at(2 * MIB as usize);
    assert!(before.iter().chain(after).all(|byte| *byte == 0), "it wrote beside its region");
    let block = &written[..4096];
    assert!(block.iter().any(|byte| *byte != 0));
    assert!(written.chunks(4096).all(|other| other == block), "a block is missing or not whole");
}

#[test]
fn a_flush_follows_so_many_writes() {
    let device = Arc::new(Watched::new(MIB, 1000));
    let outcome = loaded(&device, "--write --destroy-data --flush-every 9").unwrap();
    let tally = |kind| outcome.measured.tally(kind).requests();
    // The end may come between the last write and its flush.
    let writes = tally(Kind::Write);
    assert!(((writes - 1) / 9..=writes / 9).contains(&tally(Kind::Flush)), "after {writes}");
    assert_eq!(tally(Kind::Flush), device.flushes.load(Ordering::Relaxed));
}

#[test]
fn a_load_ends_after_so_many_requests() {
    let device = Arc::new(Watched::new(MIB, u64::MAX));
    let words = "--write --destroy-data --requests 1001 --sessions 4 --depth 8 --flush-every 100";
    let outcome = loaded(&device, words).unwrap();
    assert_eq!(outcome.measured.tally(Kind::Write).requests(), 1001);
    let outcome = loaded(&device, "--requests 0").unwrap();
    assert_eq!(outcome.measured.answers(), 0);
}

#[test]
fn answers_that_are_errors_are_counted_and_told() {
    let mut device = Watched::new(64 << 10, 320);
    device.first_block_fails = true;
    let outcome = loaded(&Arc::new(device), "--depth 8").unwrap();
    let read = outcome.measured.tally(Kind::Read);
    assert!(read.errors >= 20 && read.requests() >= 15 * (read.errors - 1), "{outcome:?}");
    let failure = outcome.verdict().unwrap_err();
    assert!(failure.message().contains("a read at 0: input/output error"), "{failure}");
}

#[test]
fn a_load_that_cannot_be_is_refused_before_it_begins() {
    for (words, says) in [
        ("--write", "would destroy the data"),
        ("--mixed 1", "would destroy the data"),
        ("--fua", "this load has none"),
        ("--flush-every 3", "this load has none"),
        ("--block 0", "is not one of this export"),
        ("--block 1GiB", "is not one of this export"),
        ("--block 2MiB", "not one block of 2MiB fits"),
        ("--length 0", "not one block of 4KiB fits"),
        ("--offset 2MiB", "ends before that: it has 1MiB"),
        ("--offset 4KiB --length 1MiB", "ends before that"),
    ] {
        let failure = refused(Watched::new(MIB, 1), words);
        assert!(failure.to_string().contains(says), "{words}: {failure}");
    }
    let mut device = Watched::new(MIB, 1);
    device.memory = MemoryDevice::new(MIB).read_only();
    assert!(refused(device, "--write --destroy-data").message().contains("read-only"));
}

#[test]
fn an_export_or_a_server_that_is_not_there_is_named() {
    let device = Arc::new(Watched::new(MIB, 1));
    served(&device, |uri| {
        let other = uri.replace("///a", "///other").parse().unwrap();
        let failure = Connection::open(&other).unwrap_err();
        assert!(
            failure.message().contains("cannot open the export at nbd+unix:///other"),
            "{failure}"
        );
    });
    let failure =
        Connection::open(&"nbd+unix:///a?socket=/nowhere/s".parse().unwrap()).unwrap_err();
    assert!(failure.hint().is_some_and(|hint| hint.contains("hotbay status")), "{failure}");
}

/// Says these bytes once the first request has come, and hangs up.
fn says(path: &Path, answer: Vec<u8>) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = b"NBDMAGICIHAVEOPT\0\x03".to_vec();
        for (kind, data) in [(3, &b"\0\0\0\0\0\0\0\x10\0\0\0\x01"[..]), (1, b"")] {
            hello.extend(0x0003_e889_0455_65a9_u64.to_be_bytes());
            hello.extend(7_u32.to_be_bytes());
            hello.extend([0, 0, 0, kind]);
            hello.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            hello.extend(data);
        }
        stream.write_all(&hello).unwrap();
        // What is left unread would be a reset of the connection instead of its end.
        let (mut heard, mut byte) = (Vec::new(), [0]);
        while !heard.ends_with(&0x2560_9513_u32.to_be_bytes()) {
            stream.read_exact(&mut byte).unwrap();
            heard.extend(byte);
        }
        stream.read_exact(&mut [0; RequestHeader::BYTES - 4]).unwrap();
        stream.write_all(&answer).unwrap();
    })
}

#[test]
fn a_server_that_loses_step_ends_the_load() {
    let reply = |magic: u32, error: u32, cookie: u64| {
        [&magic.to_be_bytes()[..], &error.to_be_bytes(), &cookie.to_be_bytes()].concat()
    };
    for (answer, expected) in [
        (Vec::new(), "closed"),
        (reply(0x6744_6698, 0, 0), "closed"),
        (reply(0x6744_6698, 0, 1), "what was not asked"),
        (reply(0x6744_6698, 5, u64::MAX), "what was not asked"),
        (reply(0x6744_6699, 0, 0), "lost step"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let server = says(&path, answer);
        let line = format!("nbd+unix:///a?socket={} --depth 1 --time 1h", path.display());
        let arguments = arguments(&line);
        let connection = Connection::open(&arguments.uri).unwrap();
        let load = Load::new(&arguments, connection.opened()).unwrap();
        let stop = AtomicBool::new(false);
        let failure = make(&load, vec![connection], &stop).unwrap().verdict().unwrap_err();
        assert!(failure.message().contains(expected), "{failure}");
        assert!(stop.load(Ordering::Relaxed), "the other sessions would go on");
        server.join().unwrap();
    }
}

#[test]
fn a_person_reads_a_table_and_a_script_reads_json() {
    let device = Arc::new(Watched::new(MIB, 500));
    let outcome = loaded(&device, "--mixed 50 --destroy-data --flush-every 10").unwrap();
    let arguments = arguments("nbd://h/a --mixed 50 --destroy-data --flush-every 10");
    let opened = hotbay_nbd::client::Opened {
        dialect: hotbay_nbd::Dialect::Simple,
        allocation: None,
        size_bytes: MIB,
        flags: hotbay_nbd::TransmissionFlags::from_bits(0xd),
        name: None,
        description: None,
        block_sizes: None,
    };
    let load = Load::new(&arguments, &opened).unwrap();
    let text = report::text(&arguments, &load, &outcome, crate::commands::output::Colours::Off);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "nbd://h/a");
    let work = "random reads and writes (50 % writes) of 4 KiB, 1 session, 32 in flight in each, \
                a flush after 10 writes";
    assert!(lines[1].starts_with(work), "{}", lines[1]);
    assert!(lines[3].starts_with("REQUEST  COUNT  RATE"), "{}", lines[3]);
    for (line, kind) in lines[4..7].iter().zip(["read", "write", "flush"]) {
        assert!(line.starts_with(kind) && line.ends_with(" 0"), "{line}");
    }
    let json = serde_json::to_value(report::document(&arguments, &load, &outcome)).unwrap();
    let counted: u64 = json["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, outcome.measured.answers());
    for key in ["requests_per_second", "bytes_per_second", "p50_us", "p99_us", "p999_us", "max_us"]
    {
        assert!(json["kinds"][0][key].is_number(), "{key}: {json}");
    }
}
