//! The daemon's end of the control socket.
//!
//! One task per connection: it reads a line, carries the request out, writes the answer, and reads the next
//! one. Everything is bounded: connections, the length of a line, how long a client may leave an answer
//! unread. Whatever a client sends, it gets an error line at worst.
//!
//! A client that leaves does not stop its request: an `eject` or a `swap` that was begun is carried to its end.
//! `wait` and following events have no effect of their own, so these end with their client.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotbay_block::BoxFuture;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lines::{REQUEST_BYTES_MAX, to_line};
use super::request::{
    Armed, ControlReply, ControlRequest, Event, Follow, HeldJournal, MediumIs, Occupied,
    OpenSessions, Progress, ResolveBy, State, Status, SwapContent, WhenDifferent,
};
use super::socket::{self, SocketFile};
use crate::failure::Failure;

/// How many clients may be connected at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to read a line of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after an `accept` that the system refused, for want of descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The daemon, as the control socket sees it. Called by many connections at once.
///
/// Each future is driven to its end even when the client has gone, but for that of [`wait`](Self::wait), and
/// but for the end of the daemon, at which all of them are dropped. Errors are told to the client as they are.
pub(crate) trait ControlHandler: Send + Sync + 'static {
    /// What state everything is in, or this volume alone.
    fn status(&self, volume: Option<String>) -> BoxFuture<'_, Result<Status, Failure>>;

    /// Puts a medium into a bay; ready when the journal was replayed to it, with the state after it.
    /// `medium` is as the client wrote it; `None` is the volume's own.
    fn insert(
        &self,
        volume: String,
        medium: Option<String>,
        occupied: Occupied,
        medium_is: MediumIs,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>>;

    /// Drains, syncs and lets go; ready when the medium may be taken away.
    fn eject(&self, volume: String) -> BoxFuture<'_, Result<State, Failure>>;

    /// Lets go of the medium as it stands; ready at once.
    fn pull(&self, volume: String) -> BoxFuture<'_, Result<State, Failure>>;

    /// Exchanges the medium; ready when the volume is on the new one.
    fn swap(
        &self,
        volume: String,
        medium: String,
        content: SwapContent,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>>;

    /// Decides what counts where the medium was changed; ready when the volume has got it.
    fn resolve(
        &self,
        volume: String,
        by: ResolveBy,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>>;

    /// Ends the faults that are armed, where `armed` says so, and arms others; ready at once.
    fn fault(
        &self,
        volume: String,
        armed: Armed,
        arm: Vec<String>,
    ) -> BoxFuture<'_, Result<State, Failure>>;

    /// Compares the other copies of a mirror with the one on this volume; ready when all of it was compared, with
    /// [`ControlReply::Scrubbed`].
    fn scrub(
        &self,
        volume: String,
        differences: WhenDifferent,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>>;

    /// Adds a volume; ready when its medium is in, or it has no bay, with the state after it.
    fn add_volume(&self, volume: String, medium: String) -> BoxFuture<'_, Result<State, Failure>>;

    /// Removes a volume; ready when its medium may be taken away, with [`ControlReply::Removed`].
    fn remove_volume(
        &self,
        volume: String,
        open: OpenSessions,
        held: HeldJournal,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>>;

    /// Makes a volume and its medium larger; ready when both are, with [`ControlReply::Grown`].
    fn grow_volume(
        &self,
        volume: String,
        size_bytes: u64,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>>;

    /// Reads the configuration again; ready when what can count does, with [`ControlReply::Reloaded`].
    fn reload(&self) -> BoxFuture<'_, Result<ControlReply, Failure>>;

    /// Waits until the volume is in `state`, at most `timeout`. The state then, which is another one when
    /// time ran out. Dropping the future has no effect.
    fn wait(
        &self,
        volume: String,
        state: State,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<State, Failure>>;

    /// The events after this one that are remembered, oldest first.
    fn events(&self, after_sequence: u64) -> Vec<Event>;

    /// The same, and what happens next.
    fn follow(&self, after_sequence: u64) -> Box<dyn EventSource>;
}

/// One follower of the events. It keeps a place in the history, not a queue: whoever is slow misses the oldest
/// events, sees so by the gap in their numbers, and holds up nobody.
pub(crate) trait EventSource: Send {
    /// Waits for events not given before, at least one. Dropping the future loses none.
    fn next(&mut self) -> BoxFuture<'_, Vec<Event>>;
}

/// Where a handler says how far it is. Only the latest word counts: saying it never waits.
#[derive(Debug)]
pub(crate) struct ProgressSink(watch::Sender<Option<Progress>>);

impl ProgressSink {
    /// Says how far it is.
    pub(crate) fn report(&self, progress: Progress) {
        self.0.send_replace(Some(progress));
    }
}

/// The control socket, open.
#[derive(Debug)]
pub(crate) struct ControlServer {
    // Dropped first: the path is free before the daemon stops answering at it.
    _file: SocketFile,
    listener: UnixListener,
}

impl ControlServer {
    /// Opens the socket; within a tokio runtime. From now on clients may connect, and wait for
    /// [`serve`](Self::serve).
    ///
    /// # Errors
    /// Where another daemon answers there, or the system refuses.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        let (file, listener) = socket::listen(path)?;
        let listener = UnixListener::from_std(listener).map_err(|error| {
            Failure::new(format!("cannot wait for clients at {}: {error}", path.display()))
        })?;
        Ok(Self { _file: file, listener })
    }

    /// Serves clients until the future is dropped, which closes every connection and removes the socket.
    pub(crate) async fn serve(self, handler: Arc<dyn ControlHandler>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => admit(stream, &handler, &mut connections),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a control connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a control connection ended badly");
                    }
                }
            }
        }
    }
}

/// Starts a connection, or refuses it with a line.
fn admit(stream: UnixStream, handler: &Arc<dyn ControlHandler>, connections: &mut JoinSet<()>) {
    let refusal = match check_peer(&stream) {
        Err(refusal) => Some(refusal),
        Ok(()) if connections.len() >= CONNECTIONS_MAX => Some(
            Failure::new(format!("there are {CONNECTIONS_MAX} control connections already"))
                .with_hint("end some 'hotbay events --follow' or 'hotbay wait'"),
        ),
        Ok(()) => None,
    };
    match refusal {
        None => {
            let (reader, writer) = stream.into_split();
            let reader = BufReader::new(reader);
            connections.spawn(Connection { reader, writer, handler: Arc::clone(handler) }.run());
        }
        Some(refusal) => {
            tracing::warn!(%refusal, "refused a control connection");
            // Nothing was sent yet, so one line always fits; if the client has gone, nobody misses it.
            _ = stream.try_write(&to_line(&ControlReply::from(refusal)));
        }
    }
}

/// The drive belongs to the user that the daemon runs as, and to root.
fn check_peer(stream: &UnixStream) -> Result<(), Failure> {
    let peer = stream
        .peer_cred()
        .map_err(|error| Failure::new(format!("cannot tell who is connecting: {error}")))?;
    let own = rustix::process::geteuid().as_raw();
    if is_allowed(peer.uid(), own) {
        return Ok(());
    }
    let uid = peer.uid();
    Err(Failure::new(format!("user {uid} may not control this drive"))
        .with_hint(format!("it belongs to user {own}; ask as that user or as root")))
}

const fn is_allowed(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}

/// What came from a client.
enum Line {
    /// A line, without its end.
    Text(Vec<u8>),
    /// One that is too long; where the next one begins is unknown.
    TooLong,
    /// Nothing more.
    End,
}

struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    handler: Arc<dyn ControlHandler>,
}

impl Connection {
    /// Answers one line after the other until the client leaves.
    async fn run(mut self) {
        while let Ok(line) = self.next_line().await {
            let answered = match line {
                Line::End => return,
                Line::Text(text) if text.trim_ascii().is_empty() => Ok(()),
                Line::Text(text) => match serde_json::from_slice(&text) {
                    Ok(request) => self.answer(request).await,
                    Err(error) => self.send(&not_a_request(&error).into()).await,
                },
                Line::TooLong => {
                    let refusal =
                        Failure::new(format!("a request is longer than {REQUEST_BYTES_MAX} bytes"));
                    _ = self.send(&refusal.into()).await;
                    return;
                }
            };
            if answered.is_err() {
                return;
            }
        }
    }

    async fn next_line(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let limit = REQUEST_BYTES_MAX as u64;
        (&mut self.reader).take(limit).read_until(b'\n', &mut line).await?;
        match line.pop_if(|last| *last == b'\n') {
            Some(_) => Ok(Line::Text(line)),
            None if line.is_empty() => Ok(Line::End),
            None if line.len() == REQUEST_BYTES_MAX => Ok(Line::TooLong),
            None => Ok(Line::Text(line)),
        }
    }

    /// Carries the request out and sends all of its answer. An error says that the client has gone.
    async fn answer(&mut self, request: ControlRequest) -> io::Result<()> {
        let handler = Arc::clone(&self.handler);
        tracing::debug!(?request, "control request");
        let reply = match request {
            ControlRequest::Status { volume } => {
                whole(handler.status(volume).await.map(ControlReply::Status))
            }
            ControlRequest::Insert { volume, medium, occupied, medium_is } => {
                let (sink, progress) = progress();
                let work = handler.insert(volume.clone(), medium, occupied, medium_is, sink);
                let work = async { done(volume, work.await) };
                return self.finish_with_progress(work, progress).await;
            }
            ControlRequest::Swap { volume, medium, content } => {
                let (sink, progress) = progress();
                let work = handler.swap(volume.clone(), medium, content, sink);
                let work = async { done(volume, work.await) };
                return self.finish_with_progress(work, progress).await;
            }
            ControlRequest::Resolve { volume, by } => {
                let (sink, progress) = progress();
                let work = handler.resolve(volume.clone(), by, sink);
                let work = async { done(volume, work.await) };
                return self.finish_with_progress(work, progress).await;
            }
            ControlRequest::Scrub { volume, differences } => {
                let (sink, progress) = progress();
                let work = handler.scrub(volume, differences, sink);
                return self.finish_with_progress(async { whole(work.await) }, progress).await;
            }
            ControlRequest::Eject { volume } => done(volume.clone(), handler.eject(volume).await),
            ControlRequest::Pull { volume } => done(volume.clone(), handler.pull(volume).await),
            ControlRequest::Fault { volume, arm, armed } => {
                let ended = handler.fault(volume.clone(), armed, arm).await;
                done(volume, ended)
            }
            ControlRequest::VolumeAdd { volume, medium } => {
                let ended = handler.add_volume(volume.clone(), medium).await;
                done(volume, ended)
            }
            ControlRequest::VolumeRemove { volume, sessions, journal } => {
                whole(handler.remove_volume(volume, sessions, journal).await)
            }
            ControlRequest::VolumeGrow { volume, size_bytes } => {
                whole(handler.grow_volume(volume, size_bytes).await)
            }
            ControlRequest::Reload {} => whole(handler.reload().await),
            ControlRequest::Wait { volume, state, timeout_ms } => {
                let timeout = Duration::from_millis(timeout_ms);
                tokio::select! {
                    ended = handler.wait(volume.clone(), state, timeout) => match ended {
                        Ok(other) if other != state => ControlReply::TimedOut { volume, state: other },
                        ended => done(volume, ended),
                    },
                    () = self.client_left() => return Err(io::ErrorKind::BrokenPipe.into()),
                }
            }
            ControlRequest::Events { after_sequence, follow: Follow::Stop } => {
                self.send_events(handler.events(after_sequence)).await?;
                ControlReply::EndOfEvents
            }
            ControlRequest::Events { after_sequence, follow: Follow::Live } => {
                return self.follow(handler.follow(after_sequence)).await;
            }
        };
        self.send(&reply).await
    }

    /// Sends progress while the work goes on. The work is carried to its end though the client has gone or
    /// does not read.
    async fn finish_with_progress(
        &mut self,
        work: impl Future<Output = ControlReply>,
        mut progress: watch::Receiver<Option<Progress>>,
    ) -> io::Result<()> {
        let telling = async {
            // Ends when the work drops its end.
            while progress.changed().await.is_ok() {
                let latest = progress.borrow_and_update().clone();
                if let Some(latest) = latest {
                    self.send(&ControlReply::Progress(latest)).await?;
                }
            }
            Ok::<_, io::Error>(())
        };
        let (reply, told) = tokio::join!(work, telling);
        told?;
        self.send(&reply).await
    }

    /// Sends events as they happen; ends only with its client.
    async fn follow(&mut self, mut source: Box<dyn EventSource>) -> io::Result<()> {
        loop {
            let events = tokio::select! {
                events = source.next() => events,
                () = self.client_left() => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            self.send_events(events).await?;
        }
    }

    async fn send_events(&mut self, events: Vec<Event>) -> io::Result<()> {
        for event in events {
            self.send(&ControlReply::Event(event)).await?;
        }
        Ok(())
    }

    /// Ready when the client has closed its end; never while requests are still waiting to be read.
    /// Dropping the future loses no byte.
    async fn client_left(&mut self) {
        match self.reader.fill_buf().await {
            Ok([]) | Err(_) => {}
            Ok(_) => std::future::pending().await,
        }
    }

    /// An error says that the client has gone, or does not read.
    async fn send(&mut self, reply: &ControlReply) -> io::Result<()> {
        let line = to_line(reply);
        tokio::time::timeout(READ_TIMEOUT, self.writer.write_all(&line)).await?
    }
}

fn progress() -> (ProgressSink, watch::Receiver<Option<Progress>>) {
    let (sink, progress) = watch::channel(None);
    (ProgressSink(sink), progress)
}

fn whole(reply: Result<ControlReply, Failure>) -> ControlReply {
    reply.unwrap_or_else(Into::into)
}

fn done(volume: String, ended: Result<State, Failure>) -> ControlReply {
    ended.map_or_else(Into::into, |state| ControlReply::Done { volume, state })
}

fn not_a_request(error: &serde_json::Error) -> Failure {
    Failure::new(format!("this line is not a request: {error}"))
        .with_hint("requests are JSON, one on each line, as in docs/control.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drive_belongs_to_its_user_and_to_root() {
        assert!(is_allowed(1000, 1000) && is_allowed(0, 1000) && is_allowed(0, 0));
        assert!(!is_allowed(1001, 1000) && !is_allowed(1000, 0));
    }
}
