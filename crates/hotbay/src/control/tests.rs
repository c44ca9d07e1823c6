use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use hotbay_block::BoxFuture;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::*;
use crate::failure::Failure;

/// A daemon without a drive: it does what the name of the volume says, and writes down what it was asked.
struct Puppet {
    /// Each request, when it was begun and when it was done.
    seen: mpsc::Sender<String>,
    /// `slow` volumes change when there is a permit.
    go: Semaphore,
    /// The number of the last event.
    last_event: watch::Sender<u64>,
}

impl Puppet {
    fn note(&self, word: impl Into<String>) {
        // The test that does not look has dropped its end.
        _ = self.seen.send(word.into());
    }

    async fn change(&self, what: &str, volume: String, state: State) -> Result<State, Failure> {
        self.note(format!("{what} {volume}"));
        match volume.as_str() {
            "unknown" => {
                return Err(Failure::new("no volume is named unknown").with_hint("try usb"));
            }
            "slow" => self.go.acquire().await.expect("it is never closed").forget(),
            _ => {}
        }
        Ok(state)
    }

    /// The last part of a change, in which the server gets every chance to see that its client has gone.
    async fn finish(&self, volume: &str) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.note(format!("done {volume}"));
    }
}

fn event(sequence: u64) -> Event {
    let (kind, text) = ("lost".into(), "gone".into());
    Event { sequence, time_unix_ms: 1000 + sequence, volume: Some("usb".into()), kind, text }
}

fn status_of(volume: Option<String>) -> Status {
    let (drive, layout) = ("shelf".into(), volume.unwrap_or_else(|| "volumes".into()));
    Status {
        drive,
        bays: 1,
        layout,
        listen: Vec::new(),
        metrics: None,
        exports: Vec::new(),
        volumes: Vec::new(),
    }
}

impl ControlHandler for Puppet {
    fn status(&self, volume: Option<String>) -> BoxFuture<'_, Result<Status, Failure>> {
        Box::pin(async move { Ok(status_of(volume)) })
    }

    fn insert(
        &self,
        volume: String,
        medium: Option<String>,
        occupied: Occupied,
        medium_is: MediumIs,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            let work = WorkDone { done_bytes: 1, total_bytes: 2 };
            progress.report(Progress { volume: volume.clone(), state: Work::Replaying, work });
            let what = format!("insert {medium:?} {occupied:?} {medium_is:?}");
            let state = self.change(&what, volume.clone(), State::Present).await?;
            progress.report(Progress { volume: volume.clone(), state: Work::Replaying, work });
            self.finish(&volume).await;
            Ok(state)
        })
    }

    fn eject(&self, volume: String) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            let state = self.change("eject", volume.clone(), State::Absent).await?;
            self.finish(&volume).await;
            Ok(state)
        })
    }

    fn pull(&self, volume: String) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(self.change("pull", volume, State::Absent))
    }

    fn swap(
        &self,
        volume: String,
        medium: String,
        content: SwapContent,
        _progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.change(&format!("swap {medium} {content:?}"), volume, State::Present).await
        })
    }

    fn resolve(
        &self,
        volume: String,
        by: ResolveBy,
        _progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(
            async move { self.change(&format!("resolve {by:?}"), volume, State::Present).await },
        )
    }

    fn fault(
        &self,
        volume: String,
        armed: Armed,
        arm: Vec<String>,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.change(&format!("fault {armed:?} {arm:?}"), volume, State::Present).await
        })
    }

    fn scrub(
        &self,
        volume: String,
        _differences: WhenDifferent,
        _progress: ProgressSink,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        let (compared_bytes, differing_bytes) = (9, 4);
        let scrubbed = ControlReply::Scrubbed { volume, compared_bytes, differing_bytes };
        Box::pin(async move { Ok(scrubbed) })
    }

    fn add_volume(&self, volume: String, medium: String) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move { self.change(&format!("add {medium}"), volume, State::Present).await })
    }

    fn remove_volume(
        &self,
        volume: String,
        _open: OpenSessions,
        _held: HeldJournal,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        Box::pin(async move { Ok(ControlReply::Removed { volume, kept: None }) })
    }

    fn grow_volume(
        &self,
        volume: String,
        size_bytes: u64,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        let earlier_size_sessions = 0;
        let grown = ControlReply::Grown { volume, size_bytes, earlier_size_sessions };
        Box::pin(async move { Ok(grown) })
    }

    fn reload(&self) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        Box::pin(async { Ok(ControlReply::Reloaded { differences: Vec::new() }) })
    }

    fn wait(
        &self,
        volume: String,
        state: State,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            let noted = NoteOnDrop(self, format!("gave up {volume}"));
            self.change(&format!("wait {state} {timeout:?}"), volume, State::Absent).await?;
            std::mem::forget(noted);
            Ok(State::Absent)
        })
    }

    fn events(&self, after_sequence: u64) -> Vec<Event> {
        (after_sequence + 1..=*self.last_event.borrow()).map(event).collect()
    }

    fn follow(&self, after_sequence: u64) -> Box<dyn EventSource> {
        Box::new(Follower { seen: after_sequence, last: self.last_event.subscribe() })
    }
}

struct NoteOnDrop<'a>(&'a Puppet, String);

impl Drop for NoteOnDrop<'_> {
    fn drop(&mut self) {
        self.0.note(self.1.clone());
    }
}

struct Follower {
    seen: u64,
    last: watch::Receiver<u64>,
}

impl EventSource for Follower {
    fn next(&mut self) -> BoxFuture<'_, Vec<Event>> {
        Box::pin(async move {
            let seen = self.seen;
            let wait = self.last.wait_for(|last| *last > seen).await;
            let last = wait.map_or(seen, |last| *last);
            self.seen = last;
            (seen + 1..=last).map(event).collect()
        })
    }
}

/// A puppet behind a real socket.
struct Fixture {
    puppet: Arc<Puppet>,
    seen: mpsc::Receiver<String>,
    path: PathBuf,
    runtime: Option<tokio::runtime::Runtime>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (sender, seen) = mpsc::channel();
        let puppet = Arc::new(Puppet {
            seen: sender,
            go: Semaphore::new(0),
            last_event: watch::Sender::new(0),
        });
        let server = runtime.block_on(async { ControlServer::bind(&path) }).unwrap();
        runtime.spawn(server.serve(Arc::clone(&puppet) as Arc<dyn ControlHandler>));
        Self { puppet, seen, path, runtime: Some(runtime), _directory: directory }
    }

    fn client(&self) -> ControlClient {
        ControlClient::connect(&self.path).unwrap()
    }

    /// A connection for lines that no client would send.
    fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        BufReader::new(stream)
    }

    /// The next word of the puppet, which it will say.
    fn next_word(&self) -> String {
        self.seen.recv_timeout(Duration::from_secs(60)).expect("the puppet says it")
    }
}

fn ask(client: &mut ControlClient, request: &ControlRequest) -> Result<ControlReply, Failure> {
    client.ask(request, |_| panic!("there is nothing to tell meanwhile"))
}

fn next_line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line
}

fn eject(volume: &str) -> ControlRequest {
    ControlRequest::Eject { volume: volume.into() }
}

fn done(volume: &str, state: State) -> ControlReply {
    ControlReply::Done { volume: volume.into(), state }
}

#[test]
fn a_connection_takes_one_request_after_the_other() {
    let fixture = Fixture::new();
    let mut client = fixture.client();
    let status = ask(&mut client, &ControlRequest::Status { volume: Some("usb".into()) });
    assert_eq!(status.unwrap(), ControlReply::Status(status_of(Some("usb".into()))));
    assert_eq!(ask(&mut client, &eject("usb")).unwrap(), done("usb", State::Absent));
    let pull = ControlRequest::Pull { volume: "usb".into() };
    assert_eq!(ask(&mut client, &pull).unwrap(), done("usb", State::Absent));
    let swap = ControlRequest::Swap {
        volume: "usb".into(),
        medium: "mem:1MiB".into(),
        content: SwapContent::AsIs,
    };
    assert_eq!(ask(&mut client, &swap).unwrap(), done("usb", State::Present));
    let resolve = ControlRequest::Resolve { volume: "usb".into(), by: ResolveBy::Discard };
    assert_eq!(ask(&mut client, &resolve).unwrap(), done("usb", State::Present));
    let words: Vec<_> = std::iter::from_fn(|| fixture.seen.try_recv().ok()).collect();
    let expected =
        ["eject usb", "done usb", "pull usb", "swap mem:1MiB AsIs usb", "resolve Discard usb"];
    assert_eq!(words, expected);
}

#[test]
fn a_refusal_arrives_with_its_hint_and_the_connection_goes_on() {
    let fixture = Fixture::new();
    let mut client = fixture.client();
    let refusal = ask(&mut client, &eject("unknown")).unwrap_err();
    assert_eq!(refusal, Failure::new("no volume is named unknown").with_hint("try usb"));
    assert_eq!(ask(&mut client, &eject("usb")).unwrap(), done("usb", State::Absent));
}

#[test]
fn progress_comes_while_the_work_goes_on() {
    let fixture = Fixture::new();
    let insert = ControlRequest::Insert {
        volume: "slow".into(),
        medium: None,
        occupied: Occupied::Replace,
        medium_is: MediumIs::Own,
    };
    let mut told = Vec::new();
    let reply = fixture.client().ask(&insert, |reply| {
        told.push(reply);
        // Only now, so the progress was not held back until the end.
        fixture.puppet.go.add_permits(1);
        Ok(())
    });
    assert_eq!(reply.unwrap(), done("slow", State::Present));
    let work = WorkDone { done_bytes: 1, total_bytes: 2 };
    let progress = Progress { volume: "slow".into(), state: Work::Replaying, work };
    assert_eq!(told.first(), Some(&ControlReply::Progress(progress)));
    assert_eq!(fixture.next_word(), "insert None Replace Own slow");
}

#[test]
fn a_scrub_is_answered_with_what_was_found() {
    let fixture = Fixture::new();
    let differences = WhenDifferent::Report;
    let scrub = ControlRequest::Scrub { volume: "a".into(), differences };
    let reply = fixture.client().ask(&scrub, |_| Ok(())).unwrap();
    let volume = "a".into();
    assert_eq!(reply, ControlReply::Scrubbed { volume, compared_bytes: 9, differing_bytes: 4 });
}

#[test]
fn a_change_goes_on_without_its_client() {
    let fixture = Fixture::new();
    let insert = ControlRequest::Insert {
        volume: "slow".into(),
        medium: Some("/fresh".into()),
        occupied: Occupied::Refuse,
        medium_is: MediumIs::New,
    };
    for (request, begun) in
        [(eject("slow"), "eject slow"), (insert, "insert Some(\"/fresh\") Refuse New slow")]
    {
        let mut client = fixture.client();
        client.send(&request).unwrap();
        assert_eq!(fixture.next_word(), begun);
        drop(client);
        // Once another one has been answered, the news of the first one's end has arrived as well.
        ask(&mut fixture.client(), &ControlRequest::Status { volume: None }).unwrap();
        fixture.puppet.go.add_permits(1);
        assert_eq!(fixture.next_word(), "done slow");
    }
}

#[test]
fn a_wait_ends_with_its_client() {
    let fixture = Fixture::new();
    let mut client = fixture.client();
    let (volume, state) = ("slow".into(), State::Present);
    client.send(&ControlRequest::Wait { volume, state, timeout_ms: 3_600_000 }).unwrap();
    assert_eq!(fixture.next_word(), "wait present 3600s slow");
    drop(client);
    assert_eq!(fixture.next_word(), "gave up slow");
}

#[test]
fn a_wait_that_ends_in_another_state_has_run_out_of_time() {
    let fixture = Fixture::new();
    let mut client = fixture.client();
    let wait = |state| ControlRequest::Wait { volume: "usb".into(), state, timeout_ms: 1 };
    let timed_out = ControlReply::TimedOut { volume: "usb".into(), state: State::Absent };
    assert_eq!(ask(&mut client, &wait(State::Present)).unwrap(), timed_out);
    assert_eq!(ask(&mut client, &wait(State::Absent)).unwrap(), done("usb", State::Absent));
}

#[test]
fn events_are_remembered_and_followed() {
    let fixture = Fixture::new();
    fixture.puppet.last_event.send_replace(2);
    let mut told = Vec::new();
    let events = ControlRequest::Events { after_sequence: 1, follow: Follow::Stop };
    let mut client = fixture.client();
    let end = client.ask(&events, |reply| {
        told.push(reply);
        Ok(())
    });
    assert_eq!(end.unwrap(), ControlReply::EndOfEvents);
    assert_eq!(told, [ControlReply::Event(event(2))]);

    client.send(&ControlRequest::Events { after_sequence: 0, follow: Follow::Live }).unwrap();
    assert_eq!(client.next().unwrap(), ControlReply::Event(event(1)));
    assert_eq!(client.next().unwrap(), ControlReply::Event(event(2)));
    fixture.puppet.last_event.send_replace(3);
    assert_eq!(client.next().unwrap(), ControlReply::Event(event(3)));
    assert_eq!(fixture.puppet.last_event.receiver_count(), 1);
    drop(client);
    let runtime = fixture.runtime.as_ref().unwrap();
    let closed = async {
        let closed = fixture.puppet.last_event.closed();
        tokio::time::timeout(Duration::from_secs(60), closed).await
    };
    runtime.block_on(closed).expect("a follower ends with its client");
}

#[test]
fn garbage_is_answered_and_the_connection_goes_on() {
    let fixture = Fixture::new();
    let mut stream = fixture.raw();
    for garbage in [
        &b"hello"[..],
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"{\"request\":\"format\"}",
        b"{\"request\":\"eject\"}",
        b"{\"request\":\"eject\",\"volume\":7}",
        b"{\"request\":\"eject\",\"volume\":\"usb\",\"force\":true}",
        b"{\"request\":\"status\",\"volum\":\"usb\"}",
        b"{\"request\":\"wait\",\"volume\":\"usb\",\"state\":\"gone\",\"timeout_ms\":1}",
    ] {
        stream.get_mut().write_all(&[garbage, b"\n"].concat()).unwrap();
        let shown = String::from_utf8_lossy(garbage);
        let reply: ControlReply = serde_json::from_str(&next_line(&mut stream)).unwrap();
        let ControlReply::Failed { message, hint } = reply else { panic!("{shown}: {reply:?}") };
        assert!(message.starts_with("this line is not a request: "), "{shown}: {message}");
        assert!(hint.is_some() && !message.contains('\n'), "{shown}: {message}");
    }
    // Empty lines, two requests at once, and a last line without an end.
    let eject = "{\"request\":\"eject\",\"volume\":\"usb\"}";
    stream.get_mut().write_all(format!("\n \r\n{eject}\r\n{eject}").as_bytes()).unwrap();
    stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    for _ in 0..2 {
        assert_eq!(
            next_line(&mut stream),
            "{\"reply\":\"done\",\"volume\":\"usb\",\"state\":\"absent\"}\n"
        );
    }
    assert_eq!(next_line(&mut stream), "");
}

#[test]
fn a_line_without_end_is_cut_off() {
    let fixture = Fixture::new();
    let mut stream = fixture.raw();
    stream.get_mut().write_all(&vec![b'x'; lines::REQUEST_BYTES_MAX]).unwrap();
    let reply = next_line(&mut stream);
    assert!(reply.contains("a request is longer than 65536 bytes"), "{reply}");
    assert_eq!(next_line(&mut stream), "", "the connection ends");

    let mut longest = b"{\"request\":\"status\"}".to_vec();
    longest.resize(lines::REQUEST_BYTES_MAX - 1, b' ');
    longest.push(b'\n');
    let mut stream = fixture.raw();
    stream.get_mut().write_all(&longest).unwrap();
    assert!(next_line(&mut stream).starts_with("{\"reply\":\"status\""));
}

#[test]
fn connections_are_bounded() {
    let fixture = Fixture::new();
    let mut clients: Vec<_> = (0..64).map(|_| fixture.client()).collect();
    for client in &mut clients {
        ask(client, &eject("usb")).unwrap();
    }
    let refusal = ask(&mut fixture.client(), &eject("usb")).unwrap_err();
    assert_eq!(refusal.message(), "there are 64 control connections already");
    ask(&mut clients[0], &eject("usb")).expect("those that are there go on");
}

#[test]
fn the_socket_goes_with_the_server() {
    let mut fixture = Fixture::new();
    let mut client = fixture.client();
    ask(&mut client, &eject("usb")).unwrap();
    drop(fixture.runtime.take());
    assert!(!fixture.path.exists());
    let lost = ask(&mut client, &eject("usb")).unwrap_err();
    assert!(lost.message().starts_with("lost the daemon at"), "{lost}");
    let none = ControlClient::connect(&fixture.path).unwrap_err();
    assert!(none.message().starts_with("no hotbay daemon answers at"), "{none}");
    assert!(none.hint().unwrap().contains("'hotbay serve'"), "{none}");
}

#[test]
fn a_daemon_of_another_kind_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let other = std::thread::spawn(move || {
        for answer in ["{\"reply\":\"novelty\"}\n", "SSH-2.0\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            next_line(&mut BufReader::new(stream));
        }
    });
    for _ in 0..2 {
        let mut client = ControlClient::connect(&path).unwrap();
        let failure = ask(&mut client, &eject("usb")).unwrap_err();
        assert!(failure.message().starts_with("cannot read what the daemon at"), "{failure}");
        assert!(failure.hint().unwrap().contains("another version"), "{failure}");
    }
    other.join().unwrap();
}

/// The words that a closed enum has, from what it says about a word that it has not.
fn words<T: serde::de::DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    let Err(error) = serde_json::from_str::<T>(&format!("{{\"{tag}\":\"?\"}}")) else {
        panic!("`?` is no word of the vocabulary")
    };
    error.to_string().split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_has_an_example_of_each_and_each_is_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/control.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (mut requests, mut replies) = (BTreeSet::new(), BTreeSet::new());
    for line in page.lines().filter(|line| line.starts_with('{')) {
        let example: Value = serde_json::from_str(line).unwrap();
        if let Some(word) = example.get("request") {
            let request: ControlRequest = serde_json::from_str(line).expect(line);
            // Keys that were left out come back with their defaults; those that were written stay.
            let again = serde_json::to_value(&request).unwrap();
            for (key, value) in example.as_object().unwrap() {
                assert_eq!(again.get(key), Some(value), "{line}");
            }
            requests.insert(word.as_str().unwrap().to_owned());
        } else {
            let reply: ControlReply = serde_json::from_str(line).expect(line);
            assert_eq!(serde_json::to_value(&reply).unwrap(), example, "{line}");
            replies.insert(example["reply"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(requests, words::<ControlRequest>("request"));
    assert_eq!(replies, words::<ControlReply>("reply"));
}
