//! The server's side of the negotiation: transcripts as tables, each also fed byte by byte and split anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use hotbay_nbd::option::OptionCode;
use hotbay_nbd::{HandshakeError, WrongMagic};
use proptest::prelude::*;
use support::*;

const USB: u64 = 0x1234_5678_9abc;

fn ends(name: &str) -> End {
    End::Transmits(name.to_owned(), Vec::new())
}

#[test]
fn go_tells_what_was_asked_and_begins() {
    let export = reply(7, INFO, &info_export(USB));
    let name = reply(7, INFO, b"\x00\x01usb");
    let description = reply(7, INFO, b"\x00\x02the usb");
    let sizes = reply(7, INFO, &[0, 3, 0, 0, 0, 1, 0, 0, 16, 0, 4, 0, 0, 0]);
    let ack = reply(7, ACK, b"");
    check(&[&option(7, &about("usb", &[]))], &[&export, &ack], &ends("usb"));
    check(&[&option(7, &about("", &[1]))], &[&export, &name, &ack], &ends("usb"));
    let all = about("usb", &[3, 1, 2, 1, 0, 99]);
    check(&[&option(7, &all)], &[&export, &name, &description, &sizes, &ack], &ends("usb"));
}

#[test]
fn bytes_behind_go_belong_to_the_transmission_phase() {
    let expected = [reply(7, INFO, &info_export(512)), reply(7, ACK, b"")].concat();
    let end = End::Transmits("disk".to_owned(), b"request".to_vec());
    check(&[&option(7, &about("disk", &[])), b"request"], &[&expected], &end);
}

#[test]
fn info_tells_and_stays() {
    let told = [reply(6, INFO, &info_export(512)), reply(6, ACK, b"")].concat();
    let asked = option(6, &about("disk", &[]));
    check(&[&asked, &asked], &[&told, &told], &End::Waits);
}

#[test]
fn an_unknown_export_is_refused_with_words_and_the_talk_goes_on() {
    let no = text(ERR_UNKNOWN, 7, "there is no export \"floppy\" (LIST names those that are)");
    let yes = [reply(7, INFO, &info_export(512)), reply(7, ACK, b"")].concat();
    let (bad, good) = (option(7, &about("floppy", &[3])), option(7, &about("disk", &[])));
    check(&[&bad, &good], &[&no, &yes], &ends("disk"));
}

#[test]
fn lengths_that_do_not_add_up_are_refused_in_step() {
    let invalid = text(ERR_INVALID, 6, "the lengths in the option do not add up");
    let whole = about("disk", &[1, 2]);
    for cut in 0..whole.len() {
        check(
            &[&option(6, &whole[..cut]), &option(2, b"")],
            &[&invalid, &reply(2, ACK, b"")],
            &End::Aborted,
        );
    }
    check(&[&option(6, &cat(&[&whole, b"x"]))], &[&invalid], &End::Waits);
}

#[test]
fn list_names_each_export() {
    let usb = reply(3, SERVER, b"\0\0\0\x03usbthe usb");
    let disk = reply(3, SERVER, b"\0\0\0\x04diskthe disk");
    check(&[&option(3, b"")], &[&usb, &disk, &reply(3, ACK, b"")], &End::Waits);
}

#[test]
fn list_with_data_is_refused_in_step() {
    let invalid = text(ERR_INVALID, 3, "LIST has no data");
    let abort = option(2, b"");
    check(&[&option(3, b"usb"), &abort], &[&invalid, &reply(2, ACK, b"")], &End::Aborted);
}

#[test]
fn what_is_not_known_is_refused_in_step() {
    let words = "this server does not know the option";
    for code in [0, 4, 12, 99, u32::MAX] {
        let unsupported = text(ERR_UNSUP, code, words);
        let sent = option(code, &[0x5a; 70]);
        check(&[&sent, &option(2, b"")], &[&unsupported, &reply(2, ACK, b"")], &End::Aborted);
    }
}

#[test]
fn data_that_are_too_long_are_drained_and_never_held() {
    let long = vec![0x49; 3 << 20];
    for (code, kind) in [(7, ERR_TOO_BIG), (3, ERR_TOO_BIG), (6, ERR_TOO_BIG), (99, ERR_UNSUP)] {
        let words = match kind {
            ERR_TOO_BIG => "the option is longer than 64 KiB",
            _ => "this server does not know the option",
        };
        let sent = cat(&[&flags(3), &option(code, &long), &option(2, b"")]);
        let (output, end, held) = feed(sent.chunks(4096));
        assert_eq!(output, cat(&[GREETING, &text(kind, code, words), &reply(2, ACK, b"")]));
        assert_eq!(end, End::Aborted);
        assert!(held <= 16, "{held} bytes were kept waiting");
    }
}

#[test]
fn known_options_wait_for_no_more_than_their_bound() {
    let longest = option(6, &vec![0; 64 << 10]);
    let (_, end, held) = feed(cat(&[&flags(3), &longest]).chunks(1000));
    assert_eq!(end, End::Waits);
    assert!(held <= (64 << 10) + 16, "{held}");
}

#[test]
fn a_name_is_at_most_4096_bytes_of_utf8_without_nul() {
    let longest = "n".repeat(4096);
    let words = format!("there is no export {:?} (LIST names those that are)", &longest[..128]);
    check(&[&option(6, &about(&longest, &[]))], &[&text(ERR_UNKNOWN, 6, &words)], &End::Waits);
    let too_long = about(&"n".repeat(4097), &[]);
    let words = "the export name is longer than 4096 bytes";
    check(&[&option(6, &too_long)], &[&text(ERR_TOO_BIG, 6, words)], &End::Waits);
    let words = "the export name is not UTF-8, or has a NUL";
    check(&[&option(6, &about("us\0b", &[]))], &[&text(ERR_INVALID, 6, words)], &End::Waits);
    let not_text = cat(&[&[0, 0, 0, 1, 0xff], &[0, 0]]);
    check(&[&option(6, &not_text)], &[&text(ERR_INVALID, 6, words)], &End::Waits);
}

#[test]
fn export_name_begins_with_or_without_zeroes() {
    let head = cat(&[&USB.to_be_bytes(), &[0, 5]]);
    check_with(3, &[&option(1, b"usb")], &[&head], &ends("usb"));
    check_with(2, &[&option(1, b"")], &[&head], &ends("usb"));
    check_with(1, &[&option(1, b"usb")], &[&head, &[0; 124]], &ends("usb"));
    check_with(0, &[&option(1, b"usb")], &[&head, &[0; 124]], &ends("usb"));
}

#[test]
fn export_name_says_no_by_closing() {
    let unknown = HandshakeError::UnknownExport { name: "floppy".to_owned() };
    check(&[&option(1, b"floppy")], &[], &End::Fails(unknown));
    let invalid = HandshakeError::InvalidName { length: 1 };
    check(&[&option(1, b"\xff")], &[], &End::Fails(invalid));
    let header_alone = &option(1, &[b'n'; 4097])[..16];
    let long = HandshakeError::InvalidName { length: 4097 };
    check(&[header_alone], &[], &End::Fails(long));
}

#[test]
fn abort_is_acknowledged() {
    check(&[&option(2, b"")], &[&reply(2, ACK, b"")], &End::Aborted);
}

#[test]
fn a_client_that_is_out_of_step_is_dropped() {
    let error = |bits| End::Fails(HandshakeError::UnknownClientFlags { bits });
    check_with(4, &[], &[], &error(4));
    check_with(0x8000_0003, &[&option(3, b"")], &[], &error(0x8000_0000));
    let magic = WrongMagic { expected: OPTION, found: 0x4747_4747_4747_4747 };
    check(&[&[b'G'; 16]], &[], &End::Fails(HandshakeError::Magic(magic)));
    let old = HandshakeError::NotFixedNewstyle { option: OptionCode::LIST };
    check_with(0, &[&option(3, b"")], &[], &End::Fails(old));
}

#[test]
fn the_number_of_options_is_bounded() {
    let lists = option(3, b"").repeat(257);
    let (output, end, _) = feed([cat(&[&flags(3), &lists]).as_slice()]);
    assert_eq!(end, End::Fails(HandshakeError::TooManyOptions));
    let one = feed([cat(&[&flags(3), &option(3, b"")]).as_slice()]).0.len() - GREETING.len();
    assert_eq!(output.len(), GREETING.len() + 256 * one);
}

#[test]
fn one_answer_at_a_time_is_handed_out() {
    use bytes::BytesMut;
    use hotbay_nbd::{ServerHandshake, Step, Tls};
    let mut handshake = ServerHandshake::new(Tls::Off);
    let mut input = BytesMut::from(cat(&[&flags(3), &option(3, b"").repeat(100)]).as_slice());
    let mut output = BytesMut::new();
    let mut largest = 0;
    while let Ok(Step::Send) = handshake.advance(&mut input, &mut output, &Two) {
        largest = largest.max(output.len());
        output.clear();
    }
    assert!(largest < 200, "{largest} bytes of answers were held at once");
}

fn some_option() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        ("[a-z]{0,5}", proptest::collection::vec(0u16..5, 0..5)).prop_map(|(n, k)| about(&n, &k)),
        Just(about("usb", &[1, 2, 3])),
    ];
    (0u32..12, data).prop_map(|(code, data)| option(code, &data))
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_harm(noise in proptest::collection::vec(any::<u8>(), 0..300),
                                        piece in 1usize..40) {
        for start in [vec![], flags(3), cat(&[&flags(3), &option(3, b"")[..12]])] {
            let sent = cat(&[&start, &noise]);
            let (_, _, held) = feed(sent.chunks(piece));
            prop_assert!(held <= sent.len());
        }
    }

    #[test]
    fn the_cut_does_not_matter(options in proptest::collection::vec(some_option(), 0..6),
                               piece in 1usize..50) {
        let sent = cat(&[&flags(3), &options.concat()]);
        let (output, end, _) = feed([sent.as_slice()]);
        let (again, same, _) = feed(sent.chunks(piece));
        prop_assert_eq!(output, again);
        prop_assert_eq!(end, same);
    }
}
