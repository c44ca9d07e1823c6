//! STARTTLS: what may be said before it, what counts after it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use bytes::BytesMut;
use hotbay_nbd::{Dialect, HandshakeError, ServerHandshake, Step, Tls};
use support::*;

/// What a server with this policy says to `clear`, then to `encrypted`, each in pieces of `size` bytes, and how it stands.
fn talk(tls: Tls, clear: &[u8], encrypted: &[u8], size: usize) -> (Vec<u8>, String) {
    let mut handshake = ServerHandshake::new(tls);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut pieces = clear.chunks(size);
    loop {
        let end = match handshake.advance(&mut input, &mut output, &Two) {
            Ok(Step::Send) => continue,
            Ok(Step::Receive) => match pieces.next() {
                Some(piece) => {
                    input.extend_from_slice(piece);
                    continue;
                }
                None => "waits".to_owned(),
            },
            Ok(Step::StartTls) => {
                assert_eq!(pieces.next(), None, "TLS begins in the middle of what was sent");
                assert!(input.is_empty(), "bytes in the clear are kept");
                output.extend_from_slice(b"<TLS>");
                pieces = encrypted.chunks(size);
                continue;
            }
            Ok(Step::Transmit(chosen)) => {
                format!("{:?} {} {:?}", chosen.dialect, chosen.export.name, chosen.contexts)
            }
            Ok(Step::Aborted) => "aborted".to_owned(),
            Err(error) => error.to_string(),
        };
        return (output.to_vec(), end);
    }
}

#[track_caller]
fn expect(tls: Tls, (clear, encrypted): (&[&[u8]], &[&[u8]]), said: &[&[u8]], end: &str) {
    let clear = cat(&[&flags(3), &cat(clear)]);
    let said = cat(&[GREETING, &cat(said)]);
    for size in [1, 7, 16, 17, usize::MAX] {
        let found = talk(tls, &clear, &cat(encrypted), size);
        assert_eq!(found, (said.clone(), end.to_owned()), "in pieces of {size}");
    }
}

fn start() -> Vec<u8> {
    option(5, b"")
}

fn acknowledged() -> Vec<u8> {
    cat(&[&reply(5, ACK, b""), b"<TLS>"])
}

fn go() -> (Vec<u8>, Vec<u8>) {
    let said = cat(&[&reply(7, INFO, &info_export(512)), &reply(7, ACK, b"")]);
    (option(7, &about("disk", &[])), said)
}

#[test]
fn without_tls_it_is_refused_and_the_talk_goes_on() {
    let no = text(ERR_POLICY, 5, "this server was set up without TLS");
    let (ask, said) = go();
    expect(Tls::Off, (&[&start(), &ask], &[]), &[&no, &said], "Simple disk []");
}

#[test]
fn where_it_is_offered_either_way_will_do() {
    let (ask, said) = go();
    expect(Tls::Offered, (&[&ask], &[]), &[&said], "Simple disk []");
    expect(Tls::Offered, (&[&start()], &[&ask]), &[&acknowledged(), &said], "Simple disk []");
    expect(Tls::Required, (&[&start()], &[&ask]), &[&acknowledged(), &said], "Simple disk []");
}

#[test]
fn data_in_it_and_a_second_one_are_invalid() {
    let data = text(ERR_INVALID, 5, "STARTTLS has no data");
    let second = text(ERR_INVALID, 5, "TLS has begun already");
    let wrong = option(5, b"x");
    for tls in [Tls::Off, Tls::Offered, Tls::Required] {
        expect(tls, (&[&wrong], &[]), &[&data], "waits");
    }
    let (ask, said) = go();
    let encrypted: &[&[u8]] = &[&start(), &wrong, &ask];
    let answers: &[&[u8]] = &[&acknowledged(), &second, &data, &said];
    expect(Tls::Required, (&[&start()], encrypted), answers, "Simple disk []");
}

#[test]
fn where_it_is_required_nothing_else_is_answered() {
    let words = "this server talks in TLS alone; STARTTLS begins it";
    for code in [3, 6, 7, 8, 9, 10, 11, 4, 99] {
        let no = text(ERR_TLS_REQD, code, words);
        let asked = option(code, &about("disk", &[]));
        expect(Tls::Required, (&[&asked, &asked], &[]), &[&no, &no], "waits");
    }
    let long = option(7, &[0; 100_000]);
    let no = text(ERR_TLS_REQD, 7, words);
    expect(Tls::Required, (&[&long, &option(2, b"")], &[]), &[&no, &reply(2, ACK, b"")], "aborted");
    let end = HandshakeError::TlsRequired.to_string();
    expect(Tls::Required, (&[&option(1, b"disk")], &[]), &[], &end);
    let head = cat(&[&512u64.to_be_bytes(), &[0, 5]]);
    let encrypted: &[&[u8]] = &[&option(1, b"disk")];
    expect(Tls::Required, (&[&start()], encrypted), &[&acknowledged(), &head], "Simple disk []");
}

#[test]
fn what_was_agreed_upon_in_the_clear_is_forgotten() {
    let structured = cat(&[&option(8, b"")]);
    let selected =
        option(10, &cat(&[&[0, 0, 0, 4], b"disk", &[0, 0, 0, 1, 0, 0, 0, 15], b"base:allocation"]));
    let context = reply(10, 4, &cat(&[&[0; 4], b"base:allocation"]));
    let before: &[&[u8]] = &[&structured, &selected];
    let agreed = cat(&[&reply(8, ACK, b""), &context, &reply(10, ACK, b"")]);
    let (ask, _) = go();
    let told = |bits| cat(&[&reply(7, INFO, &info_export_with(512, bits)), &reply(7, ACK, b"")]);

    // Without STARTTLS all of it counts.
    let all = cat(&[&structured, &selected, &ask]);
    expect(Tls::Offered, (&[&all], &[]), &[&agreed, &told(0x85)], "Structured disk [0]");
    let clear = cat(&[&cat(before), &start()]);
    let said: &[&[u8]] = &[&agreed, &acknowledged(), &told(5)];
    expect(Tls::Offered, (&[&clear], &[&ask]), said, "Simple disk []");
    // Contexts cannot be selected by what was agreed upon before, nor come back with structured replies.
    let words = "contexts need structured replies, which are not agreed upon";
    let said: &[&[u8]] = &[&agreed, &acknowledged(), &text(ERR_INVALID, 10, words)];
    expect(Tls::Offered, (&[&clear], &[&selected]), said, "waits");
    let said: &[&[u8]] = &[&agreed, &acknowledged(), &reply(8, ACK, b""), &told(0x85)];
    expect(Tls::Offered, (&[&clear], &[&structured, &ask]), said, "Structured disk []");
}

#[test]
fn bytes_in_the_clear_behind_it_end_the_negotiation() {
    let (ask, _) = go();
    for behind in [&ask, &option(3, b""), &b"\x16".to_vec()] {
        let sent = cat(&[&flags(3), &start(), behind]);
        // In one piece they are seen before TLS begins; the answer is not even sent.
        for tls in [Tls::Offered, Tls::Required] {
            let mut handshake = ServerHandshake::new(tls);
            let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
            while let Ok(Step::Send) = handshake.advance(&mut input, &mut output, &Two) {}
            input.extend_from_slice(&sent);
            let end = handshake.advance(&mut input, &mut output, &Two);
            let count = behind.len();
            assert_eq!(end.unwrap_err(), HandshakeError::BytesBehindStartTls { count });
            let end = handshake.advance(&mut BytesMut::new(), &mut output, &Two);
            assert_eq!(end.unwrap_err(), HandshakeError::Over);
        }
    }
}

#[test]
fn the_extended_dialect_is_forgotten_too() {
    let mut handshake = ServerHandshake::new(Tls::Offered);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    while let Ok(Step::Send) = handshake.advance(&mut input, &mut output, &Two) {}
    let sent = cat(&[&flags(3), &option(11, b""), &start()]);
    input.extend_from_slice(&sent);
    assert_eq!(handshake.advance(&mut input, &mut output, &Two), Ok(Step::Send));
    assert_eq!(handshake.advance(&mut input, &mut output, &Two), Ok(Step::StartTls));
    input.extend_from_slice(&option(7, &about("disk", &[])));
    let Ok(Step::Transmit(chosen)) = handshake.advance(&mut input, &mut output, &Two) else {
        panic!("GO is not answered")
    };
    assert_eq!(chosen.dialect, Dialect::Simple);
}
