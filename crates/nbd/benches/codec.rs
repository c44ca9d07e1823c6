//! Requests out of bytes, and replies into bytes, in each dialect.
//!
//! `cargo bench -p hotbay-nbd --bench codec`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use bytes::BytesMut;
use divan::{Bencher, black_box};
use hotbay_nbd::{
    Chunk, Command, CommandFlags, Cookie, Dialect, ReplyTo, RequestHeader, SimpleReply,
};

/// As many as a client with a queue depth of 32 has in one receive.
const BATCH: u64 = 32;
const DIALECTS: [Dialect; 3] = [Dialect::Simple, Dialect::Structured, Dialect::Extended];

fn main() {
    divan::main();
}

fn read(number: u64) -> RequestHeader {
    let (command, flags) = (Command::Read, CommandFlags::NONE);
    RequestHeader { command, flags, cookie: Cookie(number), offset: number * 4096, length: 4096 }
}

#[divan::bench(args = DIALECTS)]
fn decode_32_requests(bencher: Bencher<'_, '_>, dialect: Dialect) {
    let mut received = BytesMut::new();
    (0..BATCH).for_each(|number| read(number).encode(&mut received, dialect));
    bencher.bench_local(|| {
        let mut input = black_box(&received[..]);
        let mut end = 0;
        while let Some(request) = RequestHeader::decode(&mut input, dialect).unwrap() {
            end = end.max(request.offset + request.length);
        }
        end
    });
}

#[divan::bench]
fn encode_32_simple_replies(bencher: Bencher<'_, '_>) {
    let mut output = BytesMut::with_capacity(4096);
    bencher.bench_local(|| {
        output.clear();
        for number in 0..BATCH {
            SimpleReply { cookie: Cookie(number), result: Ok(()) }.encode(&mut output);
        }
        output.len()
    });
}

#[divan::bench(args = [Dialect::Structured, Dialect::Extended])]
fn encode_32_data_chunks(bencher: Bencher<'_, '_>, dialect: Dialect) {
    let mut output = BytesMut::with_capacity(4096);
    bencher.bench_local(|| {
        output.clear();
        for number in 0..BATCH {
            let to = ReplyTo { cookie: Cookie(number), offset: number * 4096 };
            Chunk::Data { offset: to.offset, length: 4096 }.encode(to, true, dialect, &mut output);
        }
        output.len()
    });
}
