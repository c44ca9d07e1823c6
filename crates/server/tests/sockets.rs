//! The server over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use hotbay_nbd::{ErrorNumber, TransmissionFlags};
use hotbay_server::client::{Client, ClientError, Durability, list};
use hotbay_server::{BindError, ERRORS, Limits, ListenAddress, Operation, Server};
use support::{Gated, Named, Running};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::watch;

fn socket(directory: &TempDir, name: &str) -> ListenAddress {
    ListenAddress::Unix(directory.path().join(name))
}

fn tcp() -> ListenAddress {
    "tcp:127.0.0.1:0".parse().unwrap()
}

async fn exercise(client: &Client) {
    client.write(4096, vec![7; 100_000], Durability::Stable).await.unwrap();
    let (a, b) = tokio::join!(client.read(4096, 100_000), client.read(0, 4096));
    assert_eq!(a.unwrap(), vec![7; 100_000]);
    assert_eq!(b.unwrap(), vec![0; 4096]);
    client.zero(4096, 50_000, Durability::Deferred).await.unwrap();
    client.trim(0, 4096, Durability::Deferred).await.unwrap();
    client.cache(0, 4096).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(client.read(4096, 50_000).await.unwrap(), vec![0; 50_000]);
    let past = client.write(1 << 20, vec![1], Durability::Deferred).await;
    assert!(matches!(past, Err(ClientError::Refused(ErrorNumber::NoSpace))));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_unix_and_tcp_at_once() {
    let directory = TempDir::new().unwrap();
    let both = [socket(&directory, "s"), tcp()];
    let server = Running::start(&both, Named::two(), Limits::default()).await;
    for address in &server.addresses {
        let client = Client::connect(address, "disk").await.unwrap();
        exercise(&client).await;
        let names: Vec<String> =
            list(address).await.unwrap().into_iter().map(|export| export.name).collect();
        assert_eq!(names, ["disk", "fixed"]);
    }
    server.stop().await;
}

/// Requests, bytes and errors by operation, as [`exercise`] makes them.
#[tokio::test]
async fn what_was_asked_for_is_counted_also_after_the_session() {
    let server = Running::start(&[tcp()], Named::two(), Limits::default()).await;
    let sessions = server.sessions.clone();
    let client = Client::connect(&server.addresses[0], "disk").await.unwrap();
    exercise(&client).await;
    let traffic = sessions.traffic_of("disk");
    let counts = |operation| {
        let of = traffic.of(operation);
        (of.requests(), of.bytes, of.errors.iter().sum::<u64>())
    };
    assert_eq!(counts(Operation::Read), (3, 154_096, 0));
    assert_eq!(counts(Operation::Write), (2, 100_000, 1));
    assert_eq!(counts(Operation::Zero), (1, 50_000, 0));
    assert_eq!(counts(Operation::Trim), (1, 4096, 0));
    assert_eq!(counts(Operation::Cache), (1, 4096, 0));
    assert_eq!(counts(Operation::Flush), (1, 0, 0));
    assert_eq!(counts(Operation::Other), (0, 0, 0));
    let refused = traffic.of(Operation::Write).errors.iter().position(|count| *count == 1);
    assert_eq!(refused.map(|place| ERRORS[place].1), Some("ENOSPC"));
    assert!(traffic.of(Operation::Read).latency_sum > Duration::ZERO);
    drop(client);
    while sessions.of_export("disk") > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sessions.traffic_of("disk"), traffic);
    server.stop().await;
}

#[tokio::test]
async fn what_an_export_can_do_is_told() {
    let server = Running::start(&[tcp()], Named::two(), Limits::default()).await;
    let told = |name: &'static str| {
        let address = server.addresses[0].clone();
        async move { Client::connect(&address, name).await.unwrap().opened().clone() }
    };
    let disk = told("").await;
    assert_eq!((disk.name.as_deref(), disk.size_bytes), (Some("disk"), 1 << 20));
    assert_eq!(disk.flags.bits(), 0b1101_0110_1101);
    let fixed = told("fixed").await;
    assert_eq!(fixed.flags.bits(), 0b101_0000_0111);
    assert!(fixed.flags.contains(TransmissionFlags::READ_ONLY));
    let sizes = fixed.block_sizes.unwrap();
    assert_eq!((sizes.minimum, sizes.preferred, sizes.maximum), (1, 4096, 64 << 20));

    let fixed = Client::connect(&server.addresses[0], "fixed").await.unwrap();
    let write = fixed.write(0, vec![1; 512], Durability::Deferred).await;
    assert!(matches!(write, Err(ClientError::Refused(ErrorNumber::NotPermitted))));
    let missing = Client::connect(&server.addresses[0], "floppy").await;
    let said = missing.unwrap_err().to_string();
    assert!(said.contains("there is no export \"floppy\""), "{said}");
}

#[tokio::test]
async fn sessions_are_counted_by_their_exports_own_name() {
    let server = Running::start(&[tcp()], Named::two(), Limits::default()).await;
    let address = &server.addresses[0];
    let first = Client::connect(address, "").await.unwrap();
    let second = Client::connect(address, "disk").await.unwrap();
    // A session is counted once its first request is answered.
    first.flush().await.unwrap();
    second.flush().await.unwrap();
    assert_eq!(server.sessions.of_export("disk"), 2);
    assert_eq!(server.sessions.by_export().len(), 1);
    let sessions = server.sessions.clone();
    drop((first, second));
    server.stop().await;
    assert!(sessions.by_export().is_empty());
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight_and_removes_the_socket() {
    let directory = TempDir::new().unwrap();
    let (open, gate) = watch::channel(false);
    let (waiting, mut waits) = watch::channel(0);
    let exports = Named::default().with("gated", Gated { open: gate, waiting });
    let server = Running::start(&[socket(&directory, "s")], exports, Limits::default()).await;
    let address = server.addresses[0].clone();
    let client = Arc::new(Client::connect(&address, "").await.unwrap());
    let reading = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.read(0, 4096).await }
    });
    waits.wait_for(|count| *count == 1).await.unwrap();
    let stopped = tokio::spawn(server.stop());
    while Client::connect(&address, "").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!directory.path().join("s").exists());
    assert!(!stopped.is_finished());
    open.send(true).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), vec![1; 4096]);
    stopped.await.unwrap();
    assert!(matches!(client.flush().await, Err(ClientError::Ended)));
}

#[tokio::test(start_paused = true)]
async fn stopping_is_bounded() {
    let (_open, gate) = watch::channel(false);
    let (waiting, mut waits) = watch::channel(0);
    let exports = Named::default().with("gated", Gated { open: gate, waiting });
    let server = Running::start(&[tcp()], exports, Limits::default()).await;
    let client = Client::connect(&server.addresses[0], "").await.unwrap();
    let stop = async {
        waits.wait_for(|count| *count == 1).await.unwrap();
        server.stop().await;
    };
    let (read, ()) = tokio::join!(client.read(0, 4096), stop);
    assert!(matches!(read, Err(ClientError::Ended)));
}

#[tokio::test]
async fn a_slow_session_does_not_hold_up_another() {
    let (_open, gate) = watch::channel(false);
    let (waiting, mut waits) = watch::channel(0);
    let exports = Named::two().with("gated", Gated { open: gate, waiting });
    let server = Running::start(&[tcp()], exports, Limits::default()).await;
    let slow = Client::connect(&server.addresses[0], "gated").await.unwrap();
    let read = slow.read(0, 4096);
    let other = async {
        waits.wait_for(|count| *count == 1).await.unwrap();
        exercise(&Client::connect(&server.addresses[0], "disk").await.unwrap()).await;
    };
    tokio::select! {
        _ = read => panic!("the gate is closed"),
        () = other => {}
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let directory = TempDir::new().unwrap();
    let limits = Limits { connections: 1, ..Limits::default() };
    let both = [socket(&directory, "s"), tcp()];
    let server = Running::start(&both, Named::two(), limits).await;
    for turn in 0..4 {
        let first = Client::connect(&server.addresses[turn % 2], "disk").await.unwrap();
        let second = Client::connect(&server.addresses[(turn + 1) % 2], "disk");
        let mut second = std::pin::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("two connections at once"),
            () = async { for _ in 0..20 { first.flush().await.unwrap(); } } => {}
        }
        drop(first);
        second.await.unwrap().flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_negotiate_is_dropped_at_the_deadline() {
    let directory = TempDir::new().unwrap();
    let server = Running::start(&[socket(&directory, "s")], Named::two(), Limits::default()).await;
    let mut silent = UnixStream::connect(directory.path().join("s")).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut said = Vec::new();
    silent.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"NBDMAGICIHAVEOPT\x00\x03");
    assert!(began.elapsed() >= Duration::from_secs(30));
    server.stop().await;
}

#[tokio::test]
async fn a_socket_of_a_dead_server_is_replaced_and_that_of_a_live_one_is_not() {
    let directory = TempDir::new().unwrap();
    let address = socket(&directory, "s");
    let path = directory.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server =
        Running::start(std::slice::from_ref(&address), Named::two(), Limits::default()).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    exercise(&Client::connect(&address, "disk").await.unwrap()).await;

    let addresses = [tcp(), address.clone()];
    let second = Server::bind(&addresses, Arc::new(Named::two()), Limits::default()).await;
    let error = second.unwrap_err();
    assert!(matches!(&error, BindError::InUse { address } if *address == addresses[1]));
    assert!(error.to_string().starts_with("another server is listening on unix:"), "{error}");
    exercise(&Client::connect(&address, "disk").await.unwrap()).await;
    server.stop().await;

    let taken = Running::start(&[tcp()], Named::two(), Limits::default()).await;
    let again = Server::bind(&taken.addresses, Arc::new(Named::two()), Limits::default()).await;
    assert!(matches!(again, Err(BindError::InUse { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_keep_to_their_bytes() {
    let directory = TempDir::new().unwrap();
    let server =
        Running::start(&[socket(&directory, "s"), tcp()], Named::two(), Limits::default()).await;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..8u8 {
        let address = server.addresses[usize::from(worker % 2)].clone();
        workers.spawn(async move {
            let client = Client::connect(&address, "disk").await.unwrap();
            let begin = u64::from(worker) << 17;
            for round in 0..50u64 {
                let value = worker.wrapping_mul(50).wrapping_add(u8::try_from(round).unwrap());
                let writes = (0..32u64).map(|block| {
                    client.write(begin + (block << 12), vec![value; 4096], Durability::Deferred)
                });
                futures_util::future::try_join_all(writes).await.unwrap();
                let whole = client.read(begin, 1 << 17).await.unwrap();
                assert!(whole.iter().all(|byte| *byte == value));
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    server.stop().await;
}
