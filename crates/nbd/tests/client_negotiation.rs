//! The client's side of the negotiation: against transcripts, and against this crate's own server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use bytes::BytesMut;
use hotbay_nbd::client::{ClientError, Goal, Handshake, Opened, Step};
use hotbay_nbd::option::{OptionCode, ReplyKind};
use hotbay_nbd::{
    BlockSizes, Dialect, ServerHandshake, Step as ServerStep, Tls, TransmissionFlags, WrongMagic,
};
use proptest::prelude::*;
use support::*;

type End = Result<Step, ClientError>;

fn open(export: &str, dialect: Dialect) -> Goal {
    Goal::Open { export: export.to_owned(), dialect }
}

fn goal_open() -> Goal {
    open("usb", Dialect::Simple)
}

/// Feeds what a server says; gives what the client says, how it ends, and what it leaves.
fn feed_client<'a>(
    goal: Goal,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, End, Vec<u8>) {
    let mut handshake = Handshake::new(goal).unwrap();
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut pieces = pieces.into_iter();
    loop {
        let step = handshake.advance(&mut input, &mut output);
        if step == Ok(Step::Receive)
            && let Some(piece) = pieces.next()
        {
            input.extend_from_slice(piece);
            continue;
        }
        pieces.for_each(|piece| input.extend_from_slice(piece));
        return (output.to_vec(), step, input.to_vec());
    }
}

#[track_caller]
fn check(goal: &Goal, from_server: &[&[u8]], says: &[&[u8]], end: &End, left: &[u8]) {
    let (bytes, says) = (cat(from_server), cat(says));
    let whole = feed_client(goal.clone(), [bytes.as_slice()]);
    assert_eq!(whole, (says, end.clone(), left.to_vec()));
    assert_eq!(feed_client(goal.clone(), bytes.chunks(1)), whole);
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(feed_client(goal.clone(), [head, tail]), whole, "split at {at}");
    }
}

fn go() -> Vec<u8> {
    cat(&[&flags(3), &option(7, &about("usb", &[1, 2, 3]))])
}

fn opened(told: bool) -> Opened {
    Opened {
        dialect: Dialect::Simple,
        allocation: None,
        size_bytes: 512,
        flags: TransmissionFlags::from_bits(5),
        name: told.then(|| "usb".to_owned()),
        description: told.then(|| "the usb".to_owned()),
        block_sizes: told.then_some(BlockSizes { minimum: 1, preferred: 4096, maximum: 64 << 20 }),
    }
}

#[test]
fn go_opens_with_all_that_was_told() {
    let told = cat(&[
        &reply(7, INFO, &info_export(512)),
        &reply(7, INFO, b"\x00\x01usb"),
        &reply(7, INFO, b"\x00\x02the usb"),
        &reply(7, INFO, &[0, 3, 0, 0, 0, 1, 0, 0, 16, 0, 4, 0, 0, 0]),
        &reply(7, INFO, b"\x12\x34 of another age"),
        &reply(7, ACK, b""),
    ]);
    let end = Ok(Step::Opened(opened(true)));
    check(&goal_open(), &[GREETING, &told, b"reply"], &[&go()], &end, b"reply");
}

#[test]
fn export_name_is_the_way_where_go_is_not_known() {
    let unsupported = reply(7, ERR_UNSUP, b"what?");
    let head = cat(&[&512u64.to_be_bytes(), &[0, 5]]);
    let end = Ok(Step::Opened(opened(false)));
    let says = cat(&[&go(), &option(1, b"usb")]);
    check(&goal_open(), &[GREETING, &unsupported, &head, b"more"], &[&says], &end, b"more");

    let old = b"NBDMAGICIHAVEOPT\x00\x01";
    let says = cat(&[&flags(1), &option(7, &about("usb", &[1, 2, 3])), &option(1, b"usb")]);
    check(&goal_open(), &[old, &unsupported, &head, &[0; 124], b"more"], &[&says], &end, b"more");
}

#[test]
fn a_dialect_is_asked_for_and_the_one_below_where_it_is_not_known() {
    let context = |name: &[u8]| reply(10, META_CONTEXT, &cat(&[&7u32.to_be_bytes(), name]));
    let set = option(10, b"\0\0\0\x03usb\0\0\0\x01\0\0\0\x0fbase:allocation");
    let go_on = option(7, &about("usb", &[1, 2, 3]));
    let told = cat(&[&reply(7, INFO, &info_export(512)), &reply(7, ACK, b"")]);
    let end =
        |dialect, allocation| Ok(Step::Opened(Opened { dialect, allocation, ..opened(false) }));
    let goal = open("usb", Dialect::Extended);

    let server =
        [GREETING, &reply(11, ACK, b""), &context(b"base:allocation"), &reply(10, ACK, b"")];
    let says = cat(&[&flags(3), &option(11, b""), &set, &go_on]);
    let ends = end(Dialect::Extended, Some(7));
    check(&goal, &[&cat(&server), &told, b"reply"], &[&says], &ends, b"reply");

    // No contexts, which is said in either of two ways.
    for no in [reply(10, ACK, b""), reply(10, ERR_INVALID, b"none")] {
        let server = [GREETING, &reply(11, ERR_UNSUP, b""), &reply(8, ACK, b""), &no, &told];
        let says = cat(&[&flags(3), &option(11, b""), &option(8, b""), &set, &go_on]);
        check(&goal, &server, &[&says], &end(Dialect::Structured, None), b"");
    }

    let server = [GREETING, &reply(11, ERR_UNSUP, b""), &reply(8, ERR_UNSUP, b""), &told];
    let says = cat(&[&flags(3), &option(11, b""), &option(8, b""), &go_on]);
    check(&goal, &server, &[&says], &end(Dialect::Simple, None), b"");

    // Of another context nothing is known, nor is one given twice.
    let one = context(b"base:allocation");
    for odd in [context(b"base:allocatio"), cat(&[&one, &one]), reply(10, META_CONTEXT, b"abc")] {
        let server = cat(&[GREETING, &reply(11, ACK, b""), &odd]);
        let (_, ends, _) = feed_client(goal.clone(), [server.as_slice()]);
        assert!(matches!(ends, Err(ClientError::UnexpectedReply { .. })), "{ends:?}");
    }

    // There is no way back from extended headers to EXPORT_NAME.
    let server =
        cat(&[GREETING, &reply(11, ACK, b""), &reply(10, ACK, b""), &reply(7, ERR_UNSUP, b"")]);
    let (_, ends, _) = feed_client(goal, [server.as_slice()]);
    assert!(matches!(ends, Err(ClientError::Refused { .. })), "{ends:?}");
}

#[test]
fn in_tls_nothing_is_said_before_it_has_begun() {
    let mut handshake = Handshake::new(goal_open()).unwrap().in_tls();
    let (mut input, mut output) = (BytesMut::from(GREETING), BytesMut::new());
    assert_eq!(handshake.advance(&mut input, &mut output), Ok(Step::Receive));
    assert_eq!(output.split()[..], cat(&[&flags(3), &option(5, b"")]));
    let with_more = cat(&[&reply(5, ACK, b""), b"x"]);
    for (answer, ends) in [
        (reply(5, ACK, b""), Ok(Step::StartTls)),
        (with_more, Err(ClientError::BytesBehindStartTls { count: 1 })),
        (
            reply(5, 0x8000_0002, b"none here"),
            Err(ClientError::Refused {
                option: OptionCode::STARTTLS,
                kind: ReplyKind::POLICY,
                text: "none here".to_owned(),
            }),
        ),
    ] {
        let mut handshake = Handshake::new(goal_open()).unwrap().in_tls();
        let mut input = BytesMut::from(&cat(&[GREETING, &answer])[..]);
        assert_eq!(handshake.advance(&mut input, &mut BytesMut::new()), ends);
        if ends.is_ok() {
            let mut output = BytesMut::new();
            assert_eq!(handshake.advance(&mut input, &mut output), Ok(Step::Receive));
            assert_eq!(output[..], option(7, &about("usb", &[1, 2, 3])), "without the flags again");
        }
    }
}

#[test]
fn what_a_server_says_does_no_harm_on_a_terminal() {
    let no = cat(&[GREETING, &reply(7, ERR_UNKNOWN, b"none\x1b[2J\n")]);
    let (_, end, _) = feed_client(goal_open(), [no.as_slice()]);
    assert_eq!(end.unwrap_err().to_string(), "the server refuses GO: none\u{fffd}[2J\u{fffd}");
}

#[test]
fn a_list_is_taken_and_the_talk_ended() {
    let entries = cat(&[
        &reply(3, SERVER, b"\0\0\0\x03usbthe usb"),
        &reply(3, SERVER, b"\0\0\0\0"),
        &reply(3, ACK, b""),
    ]);
    let listed = vec![
        hotbay_nbd::ExportDescription { name: "usb".to_owned(), description: "the usb".to_owned() },
        hotbay_nbd::ExportDescription::default(),
    ];
    let says = cat(&[&flags(3), &option(3, b""), &option(2, b"")]);
    check(&Goal::List, &[GREETING, &entries], &[&says], &Ok(Step::Listed(listed)), b"");
}

#[test]
fn a_refusal_carries_the_servers_words() {
    let refused = ClientError::Refused {
        option: OptionCode::GO,
        kind: ReplyKind::UNKNOWN,
        text: "no such thing".to_owned(),
    };
    assert_eq!(refused.to_string(), "the server refuses GO: no such thing");
    let no = reply(7, ERR_UNKNOWN, b"no such thing");
    check(&goal_open(), &[GREETING, &no], &[&go()], &Err(refused), b"");
}

#[test]
fn what_makes_no_sense_ends_it() {
    let odd = |kind, length| ClientError::UnexpectedReply {
        option: OptionCode::GO,
        kind: ReplyKind(kind),
        length,
    };
    let end_of = |bytes: Vec<u8>| feed_client(goal_open(), [cat(&[GREETING, &bytes]).as_slice()]).1;
    assert_eq!(end_of(reply(7, ACK, b"")), Err(odd(ACK, 0)), "ACK with no size");
    assert_eq!(end_of(reply(7, INFO, &info_export(1)[..11])), Err(odd(INFO, 11)));
    assert_eq!(end_of(reply(7, 77, b"abc")), Err(odd(77, 3)));
    let other =
        ClientError::UnexpectedReply { option: OptionCode::LIST, kind: ReplyKind::ACK, length: 0 };
    assert_eq!(end_of(reply(3, ACK, b"")), Err(other));
    let oldstyle =
        feed_client(Goal::List, [b"NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53abcdef".as_slice()]);
    let magic = WrongMagic { expected: OPTION, found: 0x0000_4202_8186_1253 };
    assert_eq!(oldstyle.1, Err(ClientError::Magic(magic)));
    let not_fixed = feed_client(Goal::List, [b"NBDMAGICIHAVEOPT\x00\x02".as_slice()]);
    assert_eq!(not_fixed.1, Err(ClientError::NotFixedNewstyle));
}

#[test]
fn a_server_that_talks_without_end_is_left() {
    let one = reply(7, INFO, &info_export(512)).repeat(65);
    let end = feed_client(goal_open(), [cat(&[GREETING, &one]).as_slice()]).1;
    assert_eq!(end, Err(ClientError::TooMuch { option: OptionCode::GO }));

    let long = reply(7, INFO, &vec![0; (64 << 10) + 1]);
    let header_alone = &long[..20];
    let end = feed_client(goal_open(), [cat(&[GREETING, header_alone]).as_slice()]).1;
    assert_eq!(end, Err(ClientError::TooMuch { option: OptionCode::GO }));

    let entries = reply(3, SERVER, b"\0\0\0\0").repeat((16 << 10) + 1);
    let end = feed_client(Goal::List, [cat(&[GREETING, &entries]).as_slice()]).1;
    assert_eq!(end, Err(ClientError::TooMuch { option: OptionCode::LIST }));
}

#[test]
fn a_name_too_long_is_not_asked_for() {
    let end = Handshake::new(Goal::Open { export: "n".repeat(4097), dialect: Dialect::Simple });
    assert_eq!(end.err(), Some(ClientError::NameTooLong { length: 4097 }));
}

/// Joins the two roles until the client has ended.
fn converse(goal: Goal) -> End {
    let (mut server, mut client) = (ServerHandshake::new(Tls::Off), Handshake::new(goal).unwrap());
    let (mut to_client, mut to_server) = (BytesMut::new(), BytesMut::new());
    for _ in 0..20 {
        match server.advance(&mut to_server, &mut to_client, &Two) {
            Ok(ServerStep::Send) => continue,
            step => drop(step),
        }
        match client.advance(&mut to_client, &mut to_server) {
            Ok(Step::Receive) => {}
            end => return end,
        }
    }
    panic!("the two have nothing to say any more");
}

#[test]
fn the_two_roles_understand_each_other() {
    for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
        let Ok(Step::Opened(opened)) = converse(open("", dialect)) else { panic!("not opened") };
        assert_eq!(opened.dialect, dialect);
        assert_eq!(opened.allocation, (dialect != Dialect::Simple).then_some(0));
    }
    let Ok(Step::Opened(opened)) = converse(open("", Dialect::Simple)) else {
        panic!("not opened")
    };
    assert_eq!(opened.name.as_deref(), Some("usb"));
    assert_eq!(opened.size_bytes, 0x1234_5678_9abc);
    assert_eq!(opened.block_sizes, Some(BlockSizes::default()));
    let Ok(Step::Listed(listed)) = converse(Goal::List) else { panic!("not listed") };
    assert_eq!(listed.len(), 2);
    let refused = converse(open("floppy", Dialect::Extended));
    assert!(matches!(refused, Err(ClientError::Refused { kind: ReplyKind::UNKNOWN, .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_harm(noise in proptest::collection::vec(any::<u8>(), 0..300),
                                        piece in 1usize..40) {
        for goal in [goal_open(), open("usb", Dialect::Extended), Goal::List] {
            for start in [cat(&[]), GREETING.to_vec(), cat(&[GREETING, &reply(7, INFO, b"")[..12]])] {
                let sent = cat(&[&start, &noise]);
                let whole = feed_client(goal.clone(), [sent.as_slice()]);
                prop_assert_eq!(feed_client(goal.clone(), sent.chunks(piece)), whole);
            }
        }
    }
}
