//! LIST_META_CONTEXT and SET_META_CONTEXT, in transcripts that are cut anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use hotbay_nbd::Dialect;
use support::*;

const LIST: u32 = 9;
const SET: u32 = 10;
const FLAGS: u16 = 5 | 1 << 7;

fn string(text: &str) -> Vec<u8> {
    cat(&[&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()])
}

fn ask(code: u32, export: &str, queries: &[&str]) -> Vec<u8> {
    let count = u32::try_from(queries.len()).unwrap().to_be_bytes();
    let queries: Vec<u8> = queries.iter().flat_map(|query| string(query)).collect();
    option(code, &cat(&[&string(export), &count, &queries]))
}

fn told(code: u32, contexts: &[(u32, &str)]) -> Vec<u8> {
    let each = contexts
        .iter()
        .flat_map(|(number, name)| reply(code, 4, &cat(&[&number.to_be_bytes(), name.as_bytes()])));
    each.chain(reply(code, ACK, b"")).collect()
}

/// A negotiation with structured replies, that goes on to `disk` at its end.
#[track_caller]
fn check_then_go(sent: &[Vec<u8>], expected: &[Vec<u8>], end: &End) {
    let gone = cat(&[&reply(7, INFO, &info_export_with(512, FLAGS)), &reply(7, ACK, b"")]);
    let sent = cat(&[&option(8, b""), &sent.concat(), &option(7, &about("disk", &[]))]);
    let expected = cat(&[&reply(8, ACK, b""), &expected.concat(), &gone]);
    check(&[&sent], &[&expected], end);
}

fn nothing() -> End {
    End::TransmitsIn(Dialect::Structured, "disk".to_owned())
}

fn selects(contexts: &[u32]) -> End {
    End::Selects(contexts.to_vec(), "disk".to_owned())
}

const ALL: [(u32, &str); 3] = [(0, "base:allocation"), (1, "x-two:one"), (2, "x-two:other")];

#[test]
fn a_list_takes_beginnings_and_selects_nothing() {
    let unnumbered = ALL.map(|(_, name)| (0, name));
    for (queries, found) in [
        (vec![], &unnumbered[..]),
        (vec!["base:"], &unnumbered[..1]),
        (vec!["x-two:"], &unnumbered[1..]),
        (vec!["x-two:other", "nobody:"], &unnumbered[2..]),
        (vec!["x-two:o", "x-:"], &unnumbered[..0]),
    ] {
        check_then_go(&[ask(LIST, "disk", &queries)], &[told(LIST, found)], &nothing());
    }
}

#[test]
fn a_set_takes_names_alone_and_replaces() {
    let set = |queries: &[&str]| ask(SET, "disk", queries);
    check_then_go(
        &[set(&["x-two:other", "base:allocation"])],
        &[told(SET, &[ALL[0], ALL[2]])],
        &selects(&[0, 2]),
    );
    check_then_go(&[set(&["base:", "x-two:", "nobody:x"])], &[told(SET, &[])], &nothing());
    check_then_go(
        &[set(&["base:allocation"]), set(&["x-two:one"])],
        &[told(SET, &ALL[..1]), told(SET, &ALL[1..2])],
        &selects(&[1]),
    );
    check_then_go(
        &[set(&["base:allocation"]), set(&[])],
        &[told(SET, &ALL[..1]), told(SET, &[])],
        &nothing(),
    );
}

#[test]
fn a_set_that_fails_leaves_nothing() {
    let good = ask(SET, "disk", &["base:allocation"]);
    let bad = ask(SET, "floppy", &["base:allocation"]);
    let no = text(ERR_UNKNOWN, SET, "there is no export \"floppy\" (LIST names those that are)");
    check_then_go(&[good, bad], &[told(SET, &ALL[..1]), no], &nothing());
}

#[test]
fn contexts_belong_to_their_export() {
    let usb = ask(SET, "usb", &["base:allocation"]);
    check_then_go(&[usb], &[told(SET, &ALL[..1])], &nothing());
}

#[test]
fn they_need_structured_replies() {
    for code in [LIST, SET] {
        let words = "contexts need structured replies, which are not agreed upon";
        check(&[&ask(code, "disk", &["base:"])], &[&text(ERR_INVALID, code, words)], &End::Waits);
    }
}

#[test]
fn what_is_malformed_is_refused_in_step() {
    let lengths = "the lengths in the option do not add up";
    let colon = "a query has a namespace and a colon, and at most 4096 bytes";
    let long = format!("base:{}", "x".repeat(4092));
    for code in [LIST, SET] {
        for (sent, words) in [
            (option(code, b""), lengths),
            (option(code, &string("disk")), lengths),
            (option(code, &cat(&[&string("disk"), &[0, 0, 0, 2], &string("base:")])), lengths),
            (option(code, &cat(&[&string("disk"), &[0, 0, 0, 0, 9]])), lengths),
            (option(code, &cat(&[&string("disk"), &[0xff; 8]])), lengths),
            (ask(code, "disk", &["base"]), colon),
            (ask(code, "disk", &[&long]), colon),
            (ask(code, "disk", &["base:\0"]), "a query is not UTF-8, or has a NUL"),
        ] {
            check_then_go(&[sent], &[text(ERR_INVALID, code, words)], &nothing());
        }
    }
}
