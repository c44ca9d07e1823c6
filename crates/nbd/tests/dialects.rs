//! STRUCTURED_REPLY and EXTENDED_HEADERS: what they lead to, in any order, cut anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use hotbay_nbd::{Dialect, HandshakeError};
use support::*;

/// Of [`Two`]'s exports where there are chunks: with SEND_DF. Extended headers bring BLOCK_STATUS_PAYLOAD as well.
const FLAGS: u16 = 5 | 1 << 7;

fn ack(code: u32) -> Vec<u8> {
    reply(code, ACK, b"")
}

fn begins(dialect: Dialect) -> End {
    End::TransmitsIn(dialect, "disk".to_owned())
}

fn go() -> Vec<u8> {
    option(7, &about("disk", &[]))
}

fn gone(code: u32, dialect: Dialect) -> Vec<u8> {
    let payload = if dialect == Dialect::Extended { 1 << 12 } else { 0 };
    cat(&[&reply(code, INFO, &info_export_with(512, FLAGS | payload)), &ack(code)])
}

#[test]
fn structured_replies_bring_df() {
    let dialect = Dialect::Structured;
    check(&[&option(8, b""), &go()], &[&ack(8), &gone(7, dialect)], &begins(dialect));
    let info = option(6, &about("disk", &[]));
    check(&[&option(8, b""), &info], &[&ack(8), &gone(6, dialect)], &End::Waits);
}

#[test]
fn the_old_way_takes_structured_replies_along() {
    let head = cat(&[&512u64.to_be_bytes(), &FLAGS.to_be_bytes()]);
    let sent: [&[u8]; 2] = [&option(8, b""), &option(1, b"disk")];
    check(&sent, &[&ack(8), &head], &begins(Dialect::Structured));
}

#[test]
fn extended_headers_stand_above_structured_replies() {
    let extended = begins(Dialect::Extended);
    check(&[&option(11, b""), &go()], &[&ack(11), &gone(7, Dialect::Extended)], &extended);
    let both: [&[u8]; 3] = [&option(8, b""), &option(11, b""), &go()];
    check(&both, &[&ack(8), &ack(11), &gone(7, Dialect::Extended)], &extended);
    let text = text(ERR_EXTENDED_REQUIRED, 8, "extended headers were agreed upon already");
    let back: [&[u8]; 3] = [&option(11, b""), &option(8, b""), &go()];
    check(&back, &[&ack(11), &text, &gone(7, Dialect::Extended)], &extended);
}

#[test]
fn to_ask_twice_changes_nothing() {
    for (code, dialect) in [(8, Dialect::Structured), (11, Dialect::Extended)] {
        let sent: [&[u8]; 3] = [&option(code, b""), &option(code, b""), &go()];
        check(&sent, &[&ack(code), &ack(code), &gone(7, dialect)], &begins(dialect));
    }
}

#[test]
fn they_have_no_data() {
    let words = ["STRUCTURED_REPLY has no data", "EXTENDED_HEADERS has no data"];
    for (code, words) in [8, 11].into_iter().zip(words) {
        let plain = cat(&[&reply(7, INFO, &info_export(512)), &ack(7)]);
        let end = End::Transmits("disk".to_owned(), Vec::new());
        let sent: [&[u8]; 2] = [&option(code, b"x"), &go()];
        check(&sent, &[&text(ERR_INVALID, code, words), &plain], &end);
    }
}

#[test]
fn extended_headers_are_for_go_alone() {
    let end = End::Fails(HandshakeError::ExportNameInExtended);
    check(&[&option(11, b""), &option(1, b"disk")], &[&ack(11)], &end);
}
