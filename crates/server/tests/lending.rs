//! Long reads that a device lends: from its pipe to the client's socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use futures_util::future::join_all;
use hotbay_block::{Device, DeviceInfo, ErrorKind, Execution, Extent, Payload, Reply, Request};
use hotbay_server::client::Client;
use hotbay_server::{Limits, ListenAddress};
use support::{Named, Running};

const MIB: u64 = 1 << 20;

/// Each eight bytes say where they are. Where a pipe is offered, the bytes are lent.
#[derive(Debug, Default)]
struct Lending {
    lent: Arc<AtomicUsize>,
}

fn content(offset: u64, length: u64) -> Vec<u8> {
    (offset / 8..(offset + length) / 8).flat_map(u64::to_le_bytes).collect()
}

impl Lending {
    fn read(&self, extent: Extent, pipe: Option<hotbay_block::Pipe>) -> Payload {
        let bytes = content(extent.offset(), extent.length());
        match pipe {
            Some(pipe) => {
                self.lent.fetch_add(1, SeqCst);
                pipe.writer().write_all(&bytes).unwrap();
                pipe.filled(bytes.len()).into()
            }
            None => Bytes::from(bytes).into(),
        }
    }
}

impl Device for Lending {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            size_bytes: 64 * MIB,
            preferred_block_bytes: 4096,
            read_only: true,
            rotational: false,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        Execution::Done(match request {
            Request::Read { extent, pipe, .. } => Ok(Reply::Data(self.read(extent, pipe))),
            _ => Err(ErrorKind::Unsupported.into()),
        })
    }
}

async fn start() -> (Running, tempfile::TempDir, Arc<AtomicUsize>) {
    let directory = tempfile::TempDir::new().unwrap();
    let device = Lending::default();
    let lent = Arc::clone(&device.lent);
    let unix = ListenAddress::Unix(directory.path().join("s"));
    let both = [unix, "tcp:127.0.0.1:0".parse().unwrap()];
    let named = Named::default().with("disk", device);
    (Running::start(&both, named, Limits::default()).await, directory, lent)
}

/// No socket takes as much at once, so that each of the long ones goes out in many pieces, with others behind it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lent_comes_whole_and_in_step_with_the_rest() {
    let (server, _directory, lent) = start().await;
    for address in &server.addresses {
        let client = Client::connect(address, "disk").await.unwrap();
        for round in 0..2 {
            let long = (0..6).map(|place| (place * 7 * MIB + round * 4096, MIB));
            let others = (0..6).map(|place| (place * MIB + 8, 4096)).chain([(MIB + 16, MIB / 2)]);
            let all: Vec<(u64, u64)> = long.chain(others).collect();
            let reads = all.iter().map(|(offset, length)| {
                let length = u32::try_from(*length).unwrap();
                client.read(*offset, length)
            });
            for (answer, (offset, length)) in join_all(reads).await.into_iter().zip(&all) {
                assert!(answer.unwrap() == content(*offset, *length), "{length} at {offset}");
            }
        }
        assert!(lent.swap(0, SeqCst) >= 4, "long reads are lent over {address:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_amid_lent_bytes_holds_nobody_up() {
    let (server, _directory, lent) = start().await;
    for address in &server.addresses {
        let client = Client::connect(address, "disk").await.unwrap();
        let mut reads = Box::pin(join_all((0..6).map(|place| client.read(place * MIB, 1 << 20))));
        while lent.load(SeqCst) == 0 {
            let _ = futures_util::poll!(&mut reads);
            tokio::task::yield_now().await;
        }
        lent.store(0, SeqCst);
        drop(reads);
        drop(client);
        let next = Client::connect(address, "disk").await.unwrap();
        assert!(next.read(8, 1 << 20).await.unwrap() == content(8, MIB));
    }
    server.stop().await;
}
