use std::future::poll_fn;
use std::io::{Read as _, Write as _};

use hotbay_block::Pipe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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

#[tokio::test]
async fn a_client_that_sends_faster_is_not_watched_until_it_is_waited_for() {
    for (mut client, mut server) in connected().await {
        server.hurried(&mut client).await;
        client.0.write_all(b"more").unwrap();
        let mut more = [0; 4];
        server.read_exact(&mut more).await.unwrap();
        assert_eq!((&more, server.is_watched()), (b"more", false));

        let mut reading = Box::pin(server.read_u8());
        assert!(once(&mut reading).await.is_pending());
        client.0.write_all(&[7]).unwrap();
        assert_eq!(reading.await.unwrap(), 7);
        assert!(server.is_watched());

        server.hurried(&mut client).await;
        drop(client);
        assert_eq!(server.read(&mut more).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn reads_that_have_to_wait_leave_the_socket_watched() {
    for (mut client, mut server) in connected().await {
        for value in 0..STEADY_READS as u8 * 3 {
            let mut reading = Box::pin(server.read_u8());
            assert!(once(&mut reading).await.is_pending());
            client.0.write_all(&[value]).unwrap();
            assert_eq!(reading.await.unwrap(), value);
            assert!(server.is_watched());
        }
    }
}

#[tokio::test]
async fn what_is_sent_unwatched_waits_for_room_in_the_watch() {
    for (mut client, mut server) in connected().await {
        server.hurried(&mut client).await;
        server.write_all(b"soon").await.unwrap();
        assert!(!server.is_watched());
        let much = vec![3; 16 << 20];
        let taking = std::thread::spawn({
            let length = much.len();
            move || {
                let mut received = vec![0; 4 + length];
                client.0.read_exact(&mut received).unwrap();
                received
            }
        });
        server.write_all(&much).await.unwrap();
        let received = taking.join().unwrap();
        assert!(received.starts_with(b"soon") && received.ends_with(&much));
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
                let mut splicing = Box::pin(poll_fn(|context| server.poll_splice(context, &lent)));
                let count = match once(&mut splicing).await {
                    Poll::Ready(count) => count.unwrap(),
                    Poll::Pending => {
                        let mut taken = vec![0; std::mem::take(&mut sent)];
                        client.0.read_exact(&mut taken).unwrap();
                        assert!(taken.iter().all(|byte| *byte == 5));
                        splicing.await.unwrap()
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
