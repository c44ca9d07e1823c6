//! Sessions that spin before they sleep, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;
use crate::connection::Connection;

/// A connection whose looks are counted and may go wrong.
struct Watched {
    connection: Connection,
    looks: Arc<AtomicUsize>,
    sight: Sight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Clear,
    /// Never sees anything: all that comes, comes between the last look and the sleep, or later.
    Blind,
}

impl Splice for Watched {}

impl Look for Watched {
    fn look(&mut self) -> Looked {
        self.looks.fetch_add(1, Ordering::Relaxed);
        match self.sight {
            Sight::Clear => self.connection.look(),
            Sight::Blind => {
                self.connection.unwatch().unwrap();
                Looked::Nothing
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

/// As long as a test may take: a spin ends because something came.
const LONG: Duration = Duration::from_secs(3600);
/// Over before anything can come.
const SHORT: Duration = Duration::from_nanos(1);

fn floor(most: Duration) -> Arc<Floor> {
    Floor::new(most, 2).unwrap()
}

struct Spinning {
    looks: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    session: JoinHandle<End>,
}

impl Spinning {
    /// On a thread and a runtime of its own, which it may keep from all else.
    fn start(server: Server, floor: &Arc<Floor>, sight: Sight) -> Self {
        let looks = Arc::new(AtomicUsize::new(0));
        let looked = Arc::clone(&looks);
        let (stop, mut stopped) = watch::channel(false);
        let spin = Spin::new(Some(Arc::clone(floor)));
        let serving = async move {
            let mut stream = Watched { connection: server.connection(), looks: looked, sight };
            let stopped = async move { drop(stopped.wait_for(|it| *it).await) };
            let device: Arc<dyn Device> = Arc::new(MemoryDevice::new(1 << 20));
            let opened = Opened { exchanged: device.exchanged(), device };
            let limits = Limits::default();
            serve(
                &mut stream,
                (BytesMut::new(), Terms::default()),
                opened,
                (&limits, Share::default()),
                spin,
                Tally::new(Arc::default()),
                stopped,
            )
            .await
        };
        let session = tokio::task::spawn_blocking(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(serving)
        });
        Self { looks, stop, session }
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

/// The server's end of a connection, not in any runtime yet.
enum Server {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl Server {
    fn connection(self) -> Connection {
        match self {
            Self::Unix(stream) => Connection::unix(UnixStream::from_std(stream).unwrap()),
            Self::Tcp(stream) => Connection::tcp(TcpStream::from_std(stream).unwrap()),
        }
    }
}

fn pair() -> (UnixStream, Server) {
    let (client, server) = UnixStream::pair().unwrap();
    (client, Server::Unix(server.into_std().unwrap()))
}

async fn tcp_pair() -> (TcpStream, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    let server = listener.accept().await.unwrap().0;
    (client, Server::Tcp(server.into_std().unwrap()))
}

/// Writes and reads back, one request at a time, each sent in two parts cut anywhere.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S, rounds: std::ops::Range<u64>) {
    for round in rounds {
        let value = u8::try_from(round % 251).unwrap();
        let request = write(round, round % 7 * 4096, &[value; 4096]);
        let cut = usize::try_from(round * 37).unwrap() % request.len();
        client.write_all(&request[..cut]).await.unwrap();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        client.write_all(&request[cut..]).await.unwrap();
        assert_eq!(reply_from(client, 0).await, (round, Ok(vec![])));
        let read = bytes(&[header(Command::Read, round, round % 7 * 4096, 4096)]);
        client.write_all(&read).await.unwrap();
        assert_eq!(reply_from(client, 4096).await, (round, Ok(vec![value; 4096])));
    }
}

async fn disconnect<S: AsyncRead + AsyncWrite + Unpin>(mut client: S, session: Spinning) {
    client.write_all(&bytes(&[header(Command::Disconnect, 0, 0, 0)])).await.unwrap();
    assert!(matches!(session.session.await.unwrap(), End::Disconnected));
}

#[tokio::test]
async fn requests_are_answered_that_come_during_a_spin_or_after_it() {
    for (most, sight) in [(LONG, Sight::Clear), (SHORT, Sight::Clear), (SHORT, Sight::Blind)] {
        let (mut client, server) = pair();
        let session = Spinning::start(server, &floor(most), sight);
        converse(&mut client, 0..300).await;
        assert!(session.looks() > 0, "{most:?} {sight:?}: it never spun");
        disconnect(client, session).await;
        let (mut client, server) = tcp_pair().await;
        let session = Spinning::start(server, &floor(most), sight);
        converse(&mut client, 0..300).await;
        assert!(session.looks() > 0, "{most:?} {sight:?}: it never spun over TCP");
        disconnect(client, session).await;
    }
}

#[tokio::test]
async fn long_requests_come_whole_through_a_spin() {
    let (mut client, server) = pair();
    let session = Spinning::start(server, &floor(LONG), Sight::Clear);
    for round in 0..40u64 {
        let payload: Vec<u8> = (0..300_000u32).map(|at| at.to_le_bytes()[0] ^ 5).collect();
        client.write_all(&write(round, 0, &payload)).await.unwrap();
        assert_eq!(reply_from(&mut client, 0).await, (round, Ok(vec![])));
        client.write_all(&bytes(&[header(Command::Read, round, 0, 300_000)])).await.unwrap();
        assert_eq!(reply_from(&mut client, 300_000).await, (round, Ok(payload)));
    }
    disconnect(client, session).await;
}

#[tokio::test]
async fn sessions_beside_each_other_end_each_others_spins() {
    let floor = floor(LONG);
    let (mut first, one) = pair();
    let (mut second, two) = pair();
    let one = Spinning::start(one, &floor, Sight::Clear);
    let two = Spinning::start(two, &floor, Sight::Clear);
    for round in 0..10 {
        // The session that spun last does so for an hour, unless the other one wakes up.
        converse(&mut first, round * 20..round * 20 + 20).await;
        converse(&mut second, round * 20..round * 20 + 20).await;
    }
    assert!(one.looks() > 0);
    disconnect(first, one).await;
    disconnect(second, two).await;
}

#[tokio::test]
async fn a_client_that_leaves_during_a_spin_is_noticed() {
    for amid_request in [false, true] {
        let (mut client, server) = pair();
        let session = Spinning::start(server, &floor(LONG), Sight::Clear);
        converse(&mut client, 0..20).await;
        if amid_request {
            client.write_all(&[0x25]).await.unwrap();
        }
        drop(client);
        let end = session.session.await.unwrap();
        assert!(matches!(end, End::Closed { amid_request: it } if it == amid_request), "{end}");
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_ends_a_session_that_spins() {
    for most in [SHORT, Duration::from_micros(50)] {
        let (mut client, server) = pair();
        let session = Spinning::start(server, &floor(most), Sight::Clear);
        converse(&mut client, 0..50).await;
        session.stop.send(true).unwrap();
        assert!(matches!(session.session.await.unwrap(), End::Stopped));
    }
}

#[tokio::test]
async fn a_client_that_never_pauses_does_not_keep_a_session_from_its_stop() {
    let (mut client, server) = pair();
    let session = Spinning::start(server, &floor(LONG), Sight::Clear);
    converse(&mut client, 0..20).await;
    session.stop.send(true).unwrap();
    let asking = async {
        loop {
            let read = bytes(&[header(Command::Read, 1, 0, 4)]);
            let answered = async {
                client.write_all(&read).await?;
                client.read_exact(&mut [0; SimpleReply::BYTES + 4]).await
            };
            if answered.await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        end = session.session => assert!(matches!(end.unwrap(), End::Stopped)),
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_its_replies_later() {
    let (mut client, server) = pair();
    let session = Spinning::start(server, &floor(LONG), Sight::Clear);
    converse(&mut client, 0..20).await;
    // More than the system holds of replies that nobody takes, after spins.
    client.write_all(&reads(0..64, 900_000)).await.unwrap();
    for _ in 0..64 {
        assert_eq!(reply_from(&mut client, 900_000).await.1.unwrap().len(), 900_000);
    }
    disconnect(client, session).await;
}
