//! The binary itself, asked as a script asks it, against a daemon that says what it is told to say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

const ABSENT: &str = "{\"reply\":\"done\",\"volume\":\"usb\",\"state\":\"absent\"}\n";
const PRESENT: &str = "{\"reply\":\"done\",\"volume\":\"usb\",\"state\":\"present\"}\n";

/// `hotbay` in a directory of its own, with nothing of the tester's environment.
fn hotbay(directory: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotbay"));
    command.current_dir(directory).env_clear().env("HOME", directory.path());
    command.env("HOTBAY_CONTROL", socket(directory)).stdin(Stdio::null());
    command
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("c.sock")
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Answers one request with these lines; gives the request.
fn daemon(directory: &TempDir, answer: &'static str) -> JoinHandle<String> {
    let listener = UnixListener::bind(socket(directory)).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).unwrap();
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        request
    })
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: i32,
    output: String,
    error: String,
}

/// The outcome of a command, with `HERE` for the directory.
fn outcome(output: &Output, directory: &TempDir) -> Outcome {
    let here = directory.path().to_str().unwrap();
    let text = |bytes| std::str::from_utf8(bytes).unwrap().replace(here, "HERE");
    let status = output.status.code().unwrap();
    Outcome { status, output: text(&output.stdout), error: text(&output.stderr) }
}

/// What is expected of a command.
fn ends(status: i32, output: &str, error: &str) -> Outcome {
    Outcome { status, output: output.into(), error: error.into() }
}

/// Runs a command line against such a daemon: the request, and what came of it.
fn run(line: &str, answer: &'static str) -> (String, Outcome) {
    let directory = directory();
    let daemon = daemon(&directory, answer);
    let output = hotbay(&directory).args(line.split_whitespace()).output().unwrap();
    let request = daemon.join().unwrap();
    let here = directory.path().to_str().unwrap();
    (request.trim_end().replace(here, "HERE"), outcome(&output, &directory))
}

#[test]
fn commands_ask_and_tell() {
    for (line, request, answer, told) in [
        (
            "eject usb",
            r#"{"request":"eject","volume":"usb"}"#,
            ABSENT,
            "volume usb is absent; its medium may be taken away\n",
        ),
        (
            "pull usb",
            r#"{"request":"pull","volume":"usb"}"#,
            ABSENT,
            "volume usb is absent; its medium was not synced\n",
        ),
        (
            "insert usb",
            r#"{"request":"insert","volume":"usb","medium":null,"occupied":"refuse","medium_is":"own"}"#,
            PRESENT,
            "volume usb is present\n",
        ),
        (
            "insert usb new.img --replace",
            r#"{"request":"insert","volume":"usb","medium":"file:HERE/new.img","occupied":"replace","medium_is":"own"}"#,
            PRESENT,
            "volume usb is present\n",
        ),
        (
            "swap usb mem:1MiB --as-is",
            r#"{"request":"swap","volume":"usb","medium":"mem:1MiB","content":"as_is"}"#,
            PRESENT,
            "volume usb is present on mem:1MiB\n",
        ),
        (
            "swap usb ./b.img",
            r#"{"request":"swap","volume":"usb","medium":"file:HERE/b.img","content":"copy"}"#,
            PRESENT,
            "volume usb is present on file:HERE/b.img\n",
        ),
        (
            "wait usb absent --timeout 1m",
            r#"{"request":"wait","volume":"usb","state":"absent","timeout_ms":60000}"#,
            ABSENT,
            "volume usb is absent\n",
        ),
    ] {
        let (asked, outcome) = run(line, answer);
        assert_eq!(asked, request, "{line}");
        assert_eq!(outcome, ends(0, told, ""), "{line}");
    }
}

#[test]
fn a_refusal_is_exit_status_1_with_a_hint() {
    let (_, outcome) =
        run("eject usb", "{\"reply\":\"failed\",\"message\":\"no\",\"hint\":\"try\"}\n");
    assert_eq!(outcome, ends(1, "", "error: no\nhint: try\n"));
}

#[test]
fn a_wait_without_success_is_exit_status_3() {
    let (_, outcome) = run(
        "wait usb present --timeout 500ms",
        "{\"reply\":\"timed_out\",\"volume\":\"usb\",\"state\":\"absent\"}\n",
    );
    let told = "error: volume usb is absent, not present, after 500ms\n\
                hint: 'hotbay status usb' shows how it is doing\n";
    assert_eq!(outcome, ends(3, "", told));
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let output = hotbay(&directory()).args(["eject"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn progress_in_a_pipe_is_plain_lines_beside_the_output() {
    let (_, outcome) = run(
        "insert usb",
        "{\"reply\":\"progress\",\"volume\":\"usb\",\"state\":\"replaying\",\"done_bytes\":1,\"total_bytes\":2}\n\
         {\"reply\":\"done\",\"volume\":\"usb\",\"state\":\"present\"}\n",
    );
    let told = "replaying usb: 50% (1 B of 2 B)\n";
    assert_eq!(outcome, ends(0, "volume usb is present\n", told));
}

#[test]
fn no_daemon_is_told_with_what_to_do() {
    let directory = directory();
    let output = hotbay(&directory).arg("status").output().unwrap();
    let told = "error: no hotbay daemon answers at HERE/c.sock\n\
                hint: start one with 'hotbay serve', or name its socket with --control\n";
    assert_eq!(outcome(&output, &directory), ends(1, "", told));
}

#[test]
fn a_daemon_that_dies_is_no_success() {
    for answer in ["", "{\"reply\":\"done\",\"volume\":\"usb\",\"sta"] {
        let (_, Outcome { status, output, error }) = run("eject usb", answer);
        assert_eq!((status, output.as_str()), (1, ""), "{answer}");
        assert!(error.starts_with("error: lost the daemon at HERE/c.sock: "), "{error}");
    }
}

#[test]
fn status_for_scripts_is_the_answer_without_its_tag() {
    let (asked, outcome) = run(
        "status usb --json",
        "{\"reply\":\"status\",\"drive\":\"d\",\"bays\":1,\"layout\":\"volumes\",\"listen\":[],\"metrics\":null,\"exports\":[],\"volumes\":[]}\n",
    );
    assert_eq!(asked, r#"{"request":"status","volume":"usb"}"#);
    let told = "{\"drive\":\"d\",\"bays\":1,\"layout\":\"volumes\",\"listen\":[],\"metrics\":null,\"exports\":[],\"volumes\":[]}\n";
    assert_eq!(outcome, ends(0, told, ""));
}

const EVENTS: &str = "\
{\"reply\":\"event\",\"sequence\":1,\"time_unix_ms\":0,\"volume\":\"usb\",\"kind\":\"lost\",\"text\":\"gone\"}
{\"reply\":\"event\",\"sequence\":4,\"time_unix_ms\":1,\"volume\":null,\"kind\":\"warning\",\"text\":\"low\"}
{\"reply\":\"end_of_events\"}
";

#[test]
fn events_are_lines_for_people_and_for_scripts() {
    let (asked, outcome) = run("events", EVENTS);
    assert_eq!(asked, r#"{"request":"events","after_sequence":0,"follow":"stop"}"#);
    let told = "\
1970-01-01T00:00:00.000Z  usb  lost          gone
… 2 events were missed
1970-01-01T00:00:00.001Z  -  warning       low
";
    assert_eq!(outcome, ends(0, told, ""));
    let (_, outcome) = run("events --json", EVENTS);
    let lines: Vec<serde_json::Value> =
        outcome.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((outcome.status, lines.len()), (0, 2));
    assert_eq!((lines[0]["kind"].as_str(), lines[1]["sequence"].as_u64()), (Some("lost"), Some(4)));
}

#[test]
fn a_reader_who_has_gone_is_no_error() {
    let directory = directory();
    let daemon = daemon(&directory, EVENTS);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        hotbay(&directory).arg("events").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    daemon.join().unwrap();
    assert_eq!(outcome(&output, &directory), ends(0, "", ""));
}

/// `hotbay demo`, and its first line read: then it is under way, in a directory that is this one's only content.
fn demo_under_way(directory: &TempDir) -> (Child, BufReader<ChildStdout>) {
    let mut demo = hotbay(directory);
    demo.arg("demo").env("TMPDIR", directory.path());
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    (demo, output)
}

#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() {
    let directory = directory();
    let (demo, _output) = demo_under_way(&directory);
    let pid = Pid::from_child(&demo);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let told = "error: the demonstration was interrupted\nhint: nothing of it is left behind\n";
    assert_eq!(outcome(&demo.wait_with_output().unwrap(), &directory), ends(1, "", told));
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_demonstration_without_an_audience_ends() {
    let directory = directory();
    let (demo, output) = demo_under_way(&directory);
    drop(output);
    assert_eq!(outcome(&demo.wait_with_output().unwrap(), &directory), ends(0, "", ""));
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_daemon_goes_on_when_nobody_reads_its_log() {
    let directory = directory();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut daemon = hotbay(&directory);
    daemon.args(["serve", "--state", "state", "--listen", "unix:n.sock", "--volume", "a=mem:1MiB"]);
    daemon.stdout(Stdio::piped()).stderr(writer);
    let mut daemon = daemon.spawn().unwrap();
    let mut output = BufReader::new(daemon.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let eject = hotbay(&directory).args(["eject", "a"]).output().unwrap();
    let told = "volume a is absent; its medium may be taken away\n";
    assert_eq!(outcome(&eject, &directory), ends(0, told, ""));
    let usv = hotbay(&directory).args(["status", "aa"]).output().unwrap();
    let told = "error: there is no volume aa\nhint: did you mean a? the volumes are: a\n";
    assert_eq!(outcome(&usv, &directory), ends(1, "", told));
    rustix::process::kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn check_config_tells_what_a_daemon_would_make_of_a_file() {
    let directory = directory();
    let check = |text: &str| {
        std::fs::write(directory.path().join("h.toml"), text).unwrap();
        let output = hotbay(&directory).args(["check-config", "h.toml"]).output().unwrap();
        outcome(&output, &directory)
    };
    let Outcome { status, output, error } = check("bays = 3");
    assert_eq!((status, error.as_str()), (0, ""));
    assert!(output.lines().any(|line| line.split_whitespace().eq(["bays", "3"])), "{output}");

    let told = "error: h.toml:2:1: there is no key `bay` here\nhint: did you mean `bays`?\n";
    assert_eq!(check("name = \"x\"\nbay = 3"), ends(1, "", told));
}
