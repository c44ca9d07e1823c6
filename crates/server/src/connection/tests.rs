use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use hotbay_block::Pipe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

/// A client's end, which waits for nobody's runtime, and the connection that a server has with it.
async fn connected() -> [(Client, Connection); 2] {
    let (client, server) = UnixStream::pair().unwrap();
    let unix = (client.into_std().unwrap().into(), Connection::unix(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().await.unwrap();
    [unix, (client.into(), Connection::tcp(server))]
}

/// A blocking socket.
struct Client(std::fs::File);

impl<S: Into<std::os::fd::OwnedFd>> From<S> for Client {
    fn from(socket: S) -> Self {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, false).unwrap();
        Self(socket.into())
    }
}

impl Connection {
    fn is_watched(&self) -> bool {
        matches!(self.socket, Socket::Watched(_))
    }

    /// Has received from a client that is faster.
    async fn hurried(&mut self, client: &mut Client) {
        client.0.write_all(&[1; STEADY_READS as usize]).unwrap();
        let mut reads = 0;
        for _ in 0..STEADY_READS {
            reads += u32::from(self.is_watched());
            assert_eq!(self.read_u8().await.unwrap(), 1);
        }
        assert!(reads > 1 && !self.is_watched(), "{reads} reads were watched");
    }
}

/// What comes of one look.
async fn once<T>(work: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *work).poll(context))).await
}

/// What comes of it in time: whoever was forgotten would wait for ever.
async fn soon<T>(work: impl Future<Output = io::Result<T>>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("nobody is forgotten").unwrap()
}

#[tokio::test]
async fn a_client_that_sends_faster_is_not_watched_until_it_is_waited_for() {
    for (mut client, mut server) in connected().await {
        server.hurried(&mut client).await;
        client.0.write_all(b"more").unwrap();
        let mut more = [0; 4];
        soon(server.read_exact(&mut more)).await;
        assert_eq!((&more, server.is_watched()), (b"more", false));

        let mut reading = Box::pin(server.read_u8());
        assert!(once(&mut reading).await.is_pending());
        client.0.write_all(&[7]).unwrap();
        assert_eq!(soon(reading).await, 7);
        assert!(server.is_watched());

        server.hurried(&mut client).await;
        drop(client);
        assert_eq!(soon(server.read(&mut more)).await, 0);
    }
}

#[tokio::test]
async fn reads_that_have_to_wait_leave_the_socket_watched() {
    for (mut client, mut server) in connected().await {
        for value in 0..STEADY_READS as u8 * 3 {
            let mut reading = Box::pin(server.read_u8());
            assert!(once(&mut reading).await.is_pending());
            client.0.write_all(&[value]).unwrap();
            assert_eq!(soon(reading).await, value);
            assert!(server.is_watched());
        }
    }
}

#[tokio::test]
async fn what_came_before_the_watch_began_again_is_told() {
    for (mut client, mut server) in connected().await {
        server.unwatch().unwrap();
        client.0.write_all(&[9]).unwrap();
        let (mut byte, watched) = ([0], server.watched().unwrap());
        let mut buffer = ReadBuf::new(&mut byte);
        soon(poll_fn(|context| watched.poll_read(context, &mut buffer))).await;
        assert_eq!(buffer.filled(), [9]);

        server.unwatch().unwrap();
        let Socket::Unwatched(socket) = &server.socket else { panic!("{server:?}") };
        let (some, mut sent) = ([1; 4096], 0);
        while let Some(count) = socket.send(&[io::IoSlice::new(&some)]) {
            sent += count.unwrap();
        }
        client.0.read_exact(&mut vec![0; sent]).unwrap();
        let (watched, slices) = (server.watched().unwrap(), [io::IoSlice::new(&some)]);
        let more = soon(poll_fn(|context| watched.poll_write_vectored(context, &slices))).await;
        assert!(more > 0);
    }
}

/// Is set when it is woken.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn whoever_waits_for_room_is_not_forgotten_over_steady_reads() {
    for (mut client, mut server) in connected().await {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let (much, mut sent) = (vec![3; 1 << 20], 0);
        while let Poll::Ready(count) =
            Pin::new(&mut server).poll_write(&mut Context::from_waker(&waker), &much)
        {
            sent += count.unwrap();
        }
        for value in 0..STEADY_READS as u8 * 3 {
            client.0.write_all(&[value]).unwrap();
            assert_eq!(soon(server.read_u8()).await, value);
        }
        client.0.read_exact(&mut vec![0; sent]).unwrap();
        let rings = async {
            while !bell.0.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        soon(rings).await;
    }
}

#[tokio::test]
async fn what_is_sent_unwatched_waits_for_room_in_the_watch() {
    for (mut client, mut server) in connected().await {
        server.hurried(&mut client).await;
        soon(server.write_all(b"soon")).await;
        assert!(!server.is_watched());
        let much = vec![3; 16 << 20];
        let mut sending = Box::pin(server.write_all(&much));
        assert!(once(&mut sending).await.is_pending());
        let mut received = vec![0; 4 + much.len()];
        let taking = std::thread::spawn(move || {
            client.0.read_exact(&mut received).unwrap();
            received
        });
        soon(sending).await;
        let received = taking.join().unwrap();
        assert!(received.starts_with(b"soon") && received.ends_with(&much));
        assert!(server.is_watched());
    }
}

#[tokio::test]
async fn what_is_lent_goes_out_unwatched_too_and_waits_for_room() {
    for (mut client, mut server) in connected().await {
        server.hurried(&mut client).await;
        let (mut lendings, mut sent) = (0, 0);
        while !server.is_watched() {
            let (reader, writer) = io::pipe().unwrap();
            let pipe = Pipe::new(reader, writer, 4096);
            pipe.writer().write_all(&[5; 4096]).unwrap();
            let mut lent = pipe.filled(4096);
            while !lent.is_empty() {
                // What a task may do in one go is not to end it.
                let splicing = poll_fn(|context| server.poll_splice(context, &lent));
                let mut splicing = Box::pin(coop::unconstrained(splicing));
                let count = match once(&mut splicing).await {
                    Poll::Ready(count) => count.unwrap(),
                    Poll::Pending => {
                        let mut taken = vec![0; std::mem::take(&mut sent)];
                        client.0.read_exact(&mut taken).unwrap();
                        assert!(taken.iter().all(|byte| *byte == 5));
                        soon(splicing).await
                    }
                };
                lent.taken(count);
                sent += count;
            }
            lendings += 1;
        }
        assert!(lendings > 1, "the first one left the watch alone");
    }
}

#[tokio::test]
async fn what_goes_on_unwatched_counts_against_what_a_task_may_do_in_one_go() {
    // Little enough that a socket has room for each of them.
    const MORE_THAN_THAT: usize = 200;
    for (mut client, mut server) in connected().await {
        server.hurried(&mut client).await;
        let mut sends = 0;
        let sending = poll_fn(|context| {
            while sends < MORE_THAN_THAT {
                ready!(Pin::new(&mut server).poll_write(context, &[1]))?;
                sends += 1;
            }
            Poll::Ready(io::Result::Ok(()))
        });
        let mut sending = Box::pin(sending);
        assert!(once(&mut sending).await.is_pending());
        soon(sending).await;
        assert!(!server.is_watched(), "there was room all the time");
        client.0.read_exact(&mut [0; MORE_THAN_THAT]).unwrap();
    }
}
