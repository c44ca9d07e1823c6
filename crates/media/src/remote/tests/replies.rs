//! Whatever the server says.

use std::task::Context;

use bytes::BytesMut;
use hotbay_block::Extent;
use hotbay_nbd::client::Opened;
use hotbay_nbd::{Chunk, Command, Cookie, Dialect, ReplyTo, SimpleReply, TransmissionFlags};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::super::connection::{Ask, Connection, Failure};
use super::super::dial::Dialled;
use super::super::life::{Ending, IN_FLIGHT_MAX};

fn connection(received: &[u8]) -> (Connection, DuplexStream) {
    connection_to(false, received)
}

fn connection_to(is_near: bool, received: &[u8]) -> (Connection, DuplexStream) {
    connection_in(Dialect::Simple, is_near, received)
}

fn connection_in(dialect: Dialect, is_near: bool, received: &[u8]) -> (Connection, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let opened = Opened {
        dialect,
        allocation: None,
        size_bytes: 1 << 20,
        flags: TransmissionFlags::HAS_FLAGS.with(TransmissionFlags::SEND_FLUSH),
        name: None,
        description: None,
        block_sizes: None,
    };
    let received = BytesMut::from(received);
    (Connection::begin(Dialled { stream: Box::new(near), is_near, opened, received }), far)
}

fn read(length: u64) -> Ask {
    Ask::about(Command::Read, Extent::between(0, length))
}

/// The cookie of the next request, which has no payload.
async fn next_cookie(far: &mut DuplexStream) -> Cookie {
    let mut header = [0; 28];
    far.read_exact(&mut header).await.unwrap();
    Cookie(u64::from_be_bytes(header[8..16].try_into().unwrap()))
}

#[tokio::test]
async fn answers_come_in_any_order_and_in_any_pieces() {
    let (connection, mut far) = connection(&[]);
    let first = tokio::spawn({
        let c = connection.clone();
        async move { c.ask(read(3)).await }
    });
    let one = next_cookie(&mut far).await;
    let second = tokio::spawn({
        let c = connection.clone();
        async move { c.ask(read(5)).await }
    });
    let two = next_cookie(&mut far).await;
    let mut bytes = BytesMut::new();
    SimpleReply { cookie: two, result: Ok(()) }.encode(&mut bytes);
    bytes.extend_from_slice(b"later");
    SimpleReply { cookie: one, result: Ok(()) }.encode(&mut bytes);
    bytes.extend_from_slice(b"one");
    for byte in bytes {
        far.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(&first.await.unwrap().unwrap().bytes[..], b"one");
    assert_eq!(&second.await.unwrap().unwrap().bytes[..], b"later");
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_ends_the_connection() {
    for twice in [false, true] {
        let (connection, mut far) = connection(&[]);
        let asked = tokio::spawn({
            let c = connection.clone();
            async move { c.ask(read(3)).await }
        });
        let cookie = next_cookie(&mut far).await;
        let mut bytes = BytesMut::new();
        if twice {
            SimpleReply { cookie, result: Ok(()) }.encode(&mut bytes);
            bytes.extend_from_slice(b"one");
            SimpleReply { cookie, result: Ok(()) }.encode(&mut bytes);
        } else {
            SimpleReply { cookie: Cookie(cookie.0 + 1), result: Ok(()) }.encode(&mut bytes);
        }
        far.write_all(&bytes).await.unwrap();
        assert_eq!(asked.await.unwrap().is_ok(), twice);
        let Err(Failure::Ended(end)) = connection.ask(read(3)).await else { panic!("it goes on") };
        assert_eq!(end.how, Ending::Broken);
        assert!(end.why.contains("what was not asked"), "{}", end.why);
    }
}

#[tokio::test]
async fn only_of_a_server_on_this_machine_is_it_known_that_it_closed_the_connection() {
    for (is_near, how) in [(true, Ending::Closed), (false, Ending::Broken)] {
        let (connection, far) = connection_to(is_near, &[]);
        drop(far);
        let Err(Failure::Ended(end)) = connection.ask(read(3)).await else { panic!("it goes on") };
        assert_eq!(end.how, how);
    }
}

/// Notes, when it is woken, whether the end of the connection is known.
struct Woken(Connection, std::sync::Mutex<Option<bool>>);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.1.lock().unwrap().get_or_insert(self.0.life().end().is_some());
    }
}

#[tokio::test]
async fn who_waits_for_a_turn_learns_of_the_end_when_it_is_known() {
    let (connection, mut far) = connection(&[]);
    let mut under_way = Vec::new();
    for _ in 0..IN_FLIGHT_MAX {
        let mut ask = Box::pin(connection.ask(read(3)));
        assert!(futures_util::poll!(&mut ask).is_pending());
        next_cookie(&mut far).await;
        under_way.push(ask);
    }
    let woken = Woken(connection.clone(), None.into());
    let woken = std::sync::Arc::new(woken);
    let mut waits = Box::pin(connection.ask(read(3)));
    let waker = std::sync::Arc::clone(&woken).into();
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    far.write_all(&[0xee; 64]).await.unwrap();
    while woken.1.lock().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*woken.1.lock().unwrap(), Some(true));
    let Err(Failure::Ended(end)) = waits.await else { panic!("it goes on") };
    assert_eq!(end.how, Ending::Broken);
}

/// A wrong answer to a change may be that to another one: the server may still carry it out.
#[tokio::test]
async fn a_change_with_a_wrong_answer_is_in_doubt() {
    for (command, in_doubt) in [(Command::Trim, true), (Command::Flush, false)] {
        let (connection, mut far) = connection_in(Dialect::Extended, false, &[]);
        let asked = tokio::spawn({
            let c = connection.clone();
            async move { c.ask(Ask::about(command, Extent::between(0, 4096))).await }
        });
        let mut header = [0; 32];
        far.read_exact(&mut header).await.unwrap();
        let cookie = Cookie(u64::from_be_bytes(header[8..16].try_into().unwrap()));
        let mut bytes = BytesMut::new();
        let to = ReplyTo { cookie, offset: 8192 };
        Chunk::None.encode(to, true, Dialect::Extended, &mut bytes);
        far.write_all(&bytes).await.unwrap();
        let Err(Failure::Ended(end)) = asked.await.unwrap() else { panic!("it is an answer") };
        assert_eq!((end.how, end.in_doubt), (Ending::Broken, in_doubt));
    }
}

proptest! {
    /// Nothing that a server says makes it panic, wait for ever once the server has gone, or give bytes that are not
    /// as many as were asked for.
    #[test]
    fn any_bytes_are_an_answer_or_the_end(
        noise in prop::collection::vec(any::<u8>(), 0..80),
        right_magic in any::<bool>(),
        right_cookie in any::<bool>(),
        early in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let (connection, mut far) = connection(if early { &noise } else { &[] });
            let asked = tokio::spawn({ let c = connection.clone(); async move { c.ask(read(9)).await } });
            if !early {
                let cookie = next_cookie(&mut far).await;
                let mut bytes = noise.clone();
                if right_magic && bytes.len() >= 4 {
                    bytes[..4].copy_from_slice(&0x6744_6698_u32.to_be_bytes());
                }
                if right_cookie && bytes.len() >= 16 {
                    bytes[8..16].copy_from_slice(&cookie.0.to_be_bytes());
                }
                far.write_all(&bytes).await.unwrap();
            }
            drop(far);
            match asked.await.unwrap() {
                Ok(given) => assert_eq!(given.bytes.len(), 9),
                Err(Failure::Refused(_)) => {}
                Err(Failure::Ended(end)) => assert_ne!(end.how, Ending::LetGo),
            }
        });
    }
}
