//! Headers of requests and of replies: any bytes are one, or are refused, and one is the bytes that it was read from.

use bytes::{Buf as _, BytesMut};
use hotbay_nbd::{Dialect, RequestHeader, SimpleReply};

pub(crate) fn check(data: &[u8]) {
    for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
        requests(data, dialect);
    }
    let mut rest = data;
    while let Ok(Some(reply)) = SimpleReply::decode(&mut rest) {
        let mut again = BytesMut::new();
        reply.encode(&mut again);
        assert_eq!(SimpleReply::decode(&mut again), Ok(Some(reply)));
    }
}

fn requests(data: &[u8], dialect: Dialect) {
    let mut rest = data;
    while let Ok(Some(header)) = RequestHeader::decode(&mut rest, dialect) {
        let _ = (header.payload_bytes(dialect), header.refusal(dialect));
        let mut again = BytesMut::new();
        header.encode(&mut again, dialect);
        let begin = data.len() - rest.remaining() - again.len();
        assert_eq!(&again[..], &data[begin..][..again.len()]);
    }
}
