//! Sessions that are asked what is known of bytes.

use hotbay_block::{Allocation, Place, Status};

use super::*;
use crate::contexts::Contexts;

/// Knows where its bytes are, in pieces of 4 KiB: a hole, bytes of the journal, bytes out of reach, and so on.
#[derive(Debug)]
struct Mapped;

impl Device for Mapped {
    fn info(&self) -> DeviceInfo {
        INFO
    }

    fn execute(&self, _: Request) -> Execution {
        Execution::Done(Ok(Reply::Done))
    }

    fn status(
        &self,
        extent: Extent,
        most: usize,
    ) -> BoxFuture<'static, hotbay_block::Result<Vec<Status>>> {
        let pieces = (extent.offset() / 4096..).map(|number| {
            let (allocation, place) = match number % 3 {
                0 => (Allocation::Hole, Place::Medium),
                1 => (Allocation::Data, Place::Journal),
                _ => (Allocation::Data, Place::Away),
            };
            let extent = Extent::between(number * 4096, (number + 1) * 4096);
            Status { extent, allocation, place }
        });
        let within = pieces.map_while(|status| {
            let extent = status.extent.intersection(extent)?;
            Some(Status { extent, ..status })
        });
        Box::pin(std::future::ready(Ok(within.take(most).collect())))
    }
}

/// What a request of these contexts is answered with, but for the chunk's header.
async fn ask(contexts: &[u32], flags: CommandFlags, offset: u64, length: u64) -> Vec<Vec<u8>> {
    let contexts = Contexts::of_numbers(contexts).unwrap();
    let terms = Terms { dialect: Dialect::Structured, contexts };
    let (mut client, _stop, _session) =
        start_with(terms, 4096, (Limits::default(), Share::default()), Arc::new(Mapped));
    let (command, cookie) = (Command::BlockStatus, Cookie(1));
    let mut bytes = BytesMut::new();
    let header = RequestHeader { command, flags, cookie, offset, length };
    header.encode(&mut bytes, Dialect::Structured);
    client.write_all(&bytes).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        let mut header = [0; 20];
        client.read_exact(&mut header).await.unwrap();
        let mut header = header.as_slice();
        assert_eq!(header.get_u32(), 0x668e_33ef);
        let (done, kind) = (header.get_u16() == 1, header.get_u16());
        header.advance(8);
        let mut payload = vec![0; usize::try_from(header.get_u32()).unwrap()];
        client.read_exact(&mut payload).await.unwrap();
        if kind == 5 {
            payloads.push(payload);
        } else {
            assert!(kind & 1 << 15 != 0, "chunk {kind}");
            assert_eq!(payload[..4], [0, 0, 0, 22]);
        }
        if done {
            return payloads;
        }
    }
}

fn said(context: u32, extents: &[(u32, u32)]) -> Vec<u8> {
    let numbers = extents.iter().flat_map(|(length, flags)| [*length, *flags]);
    std::iter::once(context).chain(numbers).flat_map(u32::to_be_bytes).collect()
}

#[tokio::test]
async fn each_context_has_a_chunk() {
    let all = ask(&[2, 0, 1], CommandFlags::NONE, 0, 12 << 10).await;
    let expected = [
        said(0, &[(4096, 3), (8192, 0)]),
        said(1, &[(4096, 0), (4096, 1), (4096, 0)]),
        said(2, &[(4096, 0), (4096, 1), (4096, 2)]),
    ];
    assert_eq!(all, expected);
    assert_eq!(ask(&[1], CommandFlags::NONE, 4100, 5000).await, [said(1, &[(4092, 1), (908, 0)])]);
}

#[tokio::test]
async fn one_extent_is_one_that_the_context_tells_apart() {
    let one = ask(&[0, 2], CommandFlags::REQ_ONE, 4096, 12 << 10).await;
    assert_eq!(one, [said(0, &[(8192, 0)]), said(2, &[(4096, 1)])]);
}

#[tokio::test]
async fn the_number_of_extents_is_bounded() {
    let many = ask(&[2], CommandFlags::NONE, 0, 64 << 20).await;
    assert_eq!(many[0].len(), 4 + 8 * 1024);
}

#[tokio::test]
async fn without_a_context_or_bytes_there_is_nothing_to_tell() {
    let nothing: [Vec<u8>; 0] = [];
    assert_eq!(ask(&[], CommandFlags::NONE, 0, 512).await, nothing);
    assert_eq!(ask(&[0], CommandFlags::NONE, 0, 0).await, nothing);
    assert_eq!(ask(&[0], CommandFlags::NONE, INFO.size_bytes, 1).await, nothing);
}
