//! The server: listens, accepts, starts sessions, stops in order.

use std::future::Future;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hotbay_block::with_sources;
use hotbay_nbd::{self as nbd, Chosen, ServerHandshake};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use crate::connection::Connection;
use crate::contexts::Contexts;
use crate::exports::Negotiable;
use crate::listener::{self, Inherited, Listener};
use crate::negotiation::{Agreed, NegotiationError, Outcome, negotiate};
use crate::peer::Peer;
use crate::session::{self, Budget, End, Floor, Look, Splice};
use crate::tls::{Tls, TlsInForce, TlsMode};
use crate::{BindError, Exports, Limits, ListenAddress, Sessions};

/// How long to leave a system alone that cannot accept, for want of descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take to close its side after the last reply.
const LINGER: Duration = Duration::from_secs(1);

/// A server that listens already. Dropping it closes its sockets and removes their files.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    context: Context,
}

/// What each connection needs.
#[derive(Clone)]
struct Context {
    exports: Arc<dyn Exports>,
    limits: Limits,
    sessions: Sessions,
    tls: TlsInForce,
    budget: Budget,
    /// Where sessions may spin before they sleep.
    floor: Option<Arc<Floor>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What a client that is connected so may say, or must.
fn tls_for(connection: &Connection, tls: Option<&Tls>) -> nbd::Tls {
    match tls.map(Tls::mode) {
        None => nbd::Tls::Off,
        Some(TlsMode::Required) if !connection.is_local() => nbd::Tls::Required,
        Some(TlsMode::Offered | TlsMode::Required) => nbd::Tls::Offered,
    }
}

impl Server {
    /// Listens on each of the addresses. Clients can connect from now on, and wait for [`Server::run`].
    ///
    /// # Errors
    /// Where one address cannot be listened on; then none is.
    pub async fn bind(
        addresses: &[ListenAddress],
        exports: Arc<dyn Exports>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            listeners.push(Listener::bind(address).await?);
        }
        Ok(Self::over(listeners, exports, limits))
    }

    /// Takes sockets that are listened on already. Their files are left to whoever made them.
    ///
    /// # Errors
    /// Where one cannot be used; then none is.
    pub fn adopt(
        sockets: Vec<Inherited>,
        exports: Arc<dyn Exports>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let listeners = sockets.into_iter().map(Listener::adopt).collect::<Result<_, _>>()?;
        Ok(Self::over(listeners, exports, limits))
    }

    fn over(listeners: Vec<Listener>, exports: Arc<dyn Exports>, limits: Limits) -> Self {
        let floor = Floor::new(limits.busy_poll, threads_that_run());
        let (sessions, budget) = (Sessions::default(), Budget::default());
        let context =
            Context { exports, limits, sessions, tls: TlsInForce::default(), budget, floor };
        Self { listeners, context }
    }

    /// It, with TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsInForce) -> Self {
        self.context.tls = tls;
        self
    }

    /// Where it listens, in the order given, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.listeners.iter().map(|listener| listener.address.clone()).collect()
    }

    /// Who is connected to what, now and later.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.context.sessions.clone()
    }

    /// Serves until `shutdown` completes, and then stops: the sockets are closed and their files removed, each
    /// session takes no more requests, answers what is in flight, and is closed. Returns when all have
    /// ended, or after [`Limits::stop_deadline`].
    ///
    /// A request that a client has sent and the session has not taken gets no answer, so that a client which
    /// reconnects sends it again, where an error would have been taken for the request's end.
    ///
    /// Dropping the future ends all sessions as they stand.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listeners, context } = self;
        let deadline = context.limits.stop_deadline;
        let (stop, stopping) = watch::channel(());
        let mut tasks = JoinSet::new();
        tokio::select! {
            () = shutdown => {}
            () = accept_all(&listeners, &context, &stopping, &mut tasks) => {}
        }
        drop(listeners);
        drop(stop);
        if timeout(deadline, finish_all(&mut tasks)).await.is_err() {
            tracing::warn!(
                sessions = tasks.len(),
                "sessions are cut off: they did not end in time"
            );
        }
    }
}

/// How many of the runtime's threads can run at the same time.
fn threads_that_run() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    processors.min(Handle::current().metrics().num_workers())
}

/// Accepts connections and starts a task for each. Never ends by itself.
async fn accept_all(
    listeners: &[Listener],
    context: &Context,
    stopping: &watch::Receiver<()>,
    tasks: &mut JoinSet<()>,
) {
    let permits = Arc::new(Semaphore::new(context.limits.connections.max(1)));
    loop {
        let next = pin!(next_connection(listeners, &permits));
        let (connection, permit) = tokio::select! {
            next = next => next,
            Some(ended) = tasks.join_next() => {
                note_end(ended);
                continue;
            }
        };
        tasks.spawn(attend(connection, context.clone(), stopping.clone(), permit));
    }
}

/// The permit comes first, so that what cannot be served stays in the system's backlog.
async fn next_connection(
    listeners: &[Listener],
    permits: &Arc<Semaphore>,
) -> (Connection, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the permits are never closed");
    loop {
        match listener::accept(listeners).await {
            Ok(connection) => return (connection, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn finish_all(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        note_end(ended);
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session ended by a bug");
    }
}

/// A client with which a session was agreed upon.
enum Ready {
    Clear(Connection, Agreed),
    Encrypted(Box<TlsStream<Connection>>, Agreed),
}

/// One connection, from its first byte to its last.
async fn attend(
    connection: Connection,
    context: Context,
    stopping: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
) {
    match agree(connection, &context, stopping.clone()).await {
        Some(Ready::Clear(stream, agreed)) => hold(stream, agreed, &context, stopping).await,
        Some(Ready::Encrypted(stream, agreed)) => hold(*stream, agreed, &context, stopping).await,
        None => {}
    }
}

/// Negotiates, within the deadline and until the server is stopped.
async fn agree(
    connection: Connection,
    context: &Context,
    stopping: watch::Receiver<()>,
) -> Option<Ready> {
    let negotiation = negotiate_in_either(connection, context);
    let result = tokio::select! {
        result = timeout(context.limits.handshake_deadline, negotiation) => result,
        () = stopped(stopping) => return None,
    };
    match result {
        Ok(Ok(ready)) => return ready,
        Ok(Err(NegotiationError::Closed)) => tracing::debug!("a client left before a session"),
        Ok(Err(error)) => tracing::warn!(error = with_sources(&error), "a negotiation failed"),
        Err(_) => tracing::warn!("a client did not negotiate in time"),
    }
    None
}

/// Negotiates in the clear and, where that leads to it, in TLS.
async fn negotiate_in_either(
    mut connection: Connection,
    context: &Context,
) -> Result<Option<Ready>, NegotiationError> {
    let exports = &*context.exports;
    // It may be exchanged meanwhile.
    let tls = context.tls.get();
    let mut handshake = ServerHandshake::new(tls_for(&connection, tls.as_deref()));
    let peer = Peer::in_the_clear(&connection);
    match negotiate(&mut connection, &mut handshake, &Negotiable(exports, &peer)).await? {
        Outcome::Agreed(agreed) => return Ok(Some(Ready::Clear(connection, agreed))),
        Outcome::StartTls => {}
        Outcome::Left => return Ok(None),
    }
    // Without TLS there is no such outcome.
    let Some(tls) = tls else { return Ok(None) };
    let accepted = tls.acceptor().accept(connection).await;
    let mut stream = Box::new(accepted.map_err(NegotiationError::Tls)?);
    let peer = Peer::in_tls(&stream);
    match negotiate(&mut *stream, &mut handshake, &Negotiable(exports, &peer)).await? {
        Outcome::Agreed(agreed) => Ok(Some(Ready::Encrypted(stream, agreed))),
        Outcome::StartTls | Outcome::Left => Ok(None),
    }
}

/// Runs the session that was agreed upon, and lets its client take the last replies.
async fn hold<S: AsyncRead + AsyncWrite + Look + Splice + Unpin>(
    mut stream: S,
    agreed: Agreed,
    context: &Context,
    stopping: watch::Receiver<()>,
) {
    let end = converse(&mut stream, agreed, context, stopping).await;
    if !matches!(end, End::Lost(_) | End::Closed { .. }) {
        linger(&mut stream).await;
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Look + Splice + Unpin>(
    stream: &mut S,
    Agreed { chosen, received }: Agreed,
    context: &Context,
    stopping: watch::Receiver<()>,
) -> End {
    let Chosen { export, opened, dialect, contexts } = chosen;
    let export = export.name;
    let entered = context.sessions.enter(&export);
    tracing::info!(export, "a session begins");
    let spin = session::Spin::new(context.floor.clone());
    let stopped = stopped(stopping);
    let tally = session::Tally::new(entered.counters());
    let limits = (&context.limits, context.budget.share());
    // The numbers come from our own list of names.
    let contexts = Contexts::of_numbers(&contexts).unwrap_or_default();
    let terms = session::Terms { dialect, contexts };
    let end = session::serve(stream, (received, terms), opened, limits, spin, tally, stopped).await;
    match &end {
        End::Disconnected | End::Closed { amid_request: false } | End::Exchanged | End::Stopped => {
            tracing::info!(export, reason = %end, "a session ends");
        }
        End::Closed { amid_request: true } | End::Lost(_) | End::OutOfStep(_) => {
            tracing::warn!(export, reason = with_sources(&end), "a session ends");
        }
    }
    end
}

/// Ends with the server's `run`: its side of the channel carries nothing and is dropped.
async fn stopped(mut stopping: watch::Receiver<()>) {
    while stopping.changed().await.is_ok() {}
}

/// Lets the client take the last replies: a connection that is closed with bytes unread is reset, and a reset
/// overtakes what was sent before it.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let drain = async {
        stream.shutdown().await?;
        let mut ignored = [0; 4096];
        while stream.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(LINGER, drain).await;
}
