use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotbay_block::{
    Checked, Durability, ErrorKind, Extent, Hole, Medium, Request, Result, Speed, conformance,
};
use hotbay_nbd::{BlockSizes, Dialect, ErrorNumber, TransmissionFlags};
use tokio::time::Instant;

use self::server::{Manner, TestServer};
use super::places::Places;

mod connections;
mod looks;
mod replies;
mod server;

async fn open(server: &TestServer) -> Result<Arc<dyn Medium>> {
    Places::default().open(&server.uri("disk"), "usb").await
}

fn write(offset: u64, length: u64, durability: Durability) -> Request {
    let extent = Extent::between(offset, offset + length);
    Request::Write { extent, data: Bytes::from(vec![7; extent.len_in_memory()]), durability }
}

fn without(flags: TransmissionFlags) -> Manner {
    Manner { flags: Manner::default().flags.without(flags), ..Manner::default() }
}

#[tokio::test]
async fn it_is_a_device_whatever_the_server_can_do() {
    let able = Manner::default();
    let unable = Manner {
        flags: TransmissionFlags::HAS_FLAGS.with(TransmissionFlags::SEND_FLUSH),
        block_sizes: BlockSizes { minimum: 1, preferred: 4096, maximum: 70_000 },
        ..Manner::default()
    };
    let coarse = Manner {
        flags: unable.flags,
        block_sizes: BlockSizes { minimum: 4096, preferred: 4096, maximum: 8192 },
        ..Manner::default()
    };
    let sectors = BlockSizes { minimum: 512, preferred: 4096, maximum: 1 << 20 };
    let sectors = Manner { block_sizes: sectors, ..Manner::default() };
    for (manner, dialect) in [
        (able.clone(), Dialect::Extended),
        (able, Dialect::Structured),
        (unable, Dialect::Simple),
        (coarse, Dialect::Structured),
        (sectors, Dialect::Extended),
    ] {
        let server = TestServer::start(6 << 20, Manner { dialect, ..manner });
        conformance::check(&Checked::new(open(&server).await.unwrap())).await;
    }
}

#[tokio::test]
async fn an_export_that_cannot_be_a_medium_is_refused_with_the_reason() {
    let blocks = BlockSizes { minimum: 1000, preferred: 4096, maximum: 1 << 20 };
    let large = BlockSizes { minimum: 8192, preferred: 8192, maximum: 4096 };
    let tiny = BlockSizes { minimum: 1, preferred: 512, maximum: 512 };
    for (manner, says) in [
        (without(TransmissionFlags::SEND_FLUSH), "no flush"),
        (Manner { block_sizes: blocks, ..Manner::default() }, "whole blocks of 1000 bytes"),
        (Manner { block_sizes: large, ..Manner::default() }, "at most 4096 bytes"),
        (Manner { block_sizes: tiny, ..Manner::default() }, "at most 512 bytes"),
        (
            Manner {
                flags: Manner::default().flags.with(TransmissionFlags::READ_ONLY),
                ..Manner::default()
            },
            "read-only",
        ),
    ] {
        let server = TestServer::start(1 << 20, manner);
        let error = open(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Medium);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn who_asks_for_what_is_not_there_learns_what_is() {
    let server = TestServer::start(1 << 20, Manner::default());
    let error = Places::default().open(&server.uri("other"), "usb").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(
        error.to_string().ends_with("the server has no export `other`; it has `disk`"),
        "{error}"
    );
    let uri = server.uri("disk");
    drop(server);
    let error = Places::default().open(&uri, "usb").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains("no server answers at"), "{error}");
}

#[tokio::test]
async fn another_hotbay_tells_which_volume_it_is() {
    let id = "0190b0a0-0000-7000-8000-00000000abcd";
    let description = format!("volume usb, 1 MiB, id {id}.3");
    let server = TestServer::start(1 << 20, Manner { description, ..Manner::default() });
    let identity = open(&server).await.unwrap().identify().await.unwrap();
    assert_eq!(identity.hardware, Some(format!("hotbay:{id}")));
    assert_eq!((identity.size_bytes, identity.content.len()), (1 << 20, 0));
    assert_eq!(identity.location, server.uri("disk").to_string());
}

#[tokio::test]
async fn what_the_server_refuses_is_an_error_of_the_request_alone() {
    let server = TestServer::start(1 << 20, Manner::default());
    let medium = open(&server).await.unwrap();
    for (number, kind) in [
        (ErrorNumber::Io, ErrorKind::Medium),
        (ErrorNumber::NoSpace, ErrorKind::NoSpace),
        (ErrorNumber::NotPermitted, ErrorKind::ReadOnly),
        (ErrorNumber::ShuttingDown, ErrorKind::Gone),
    ] {
        server.refuse_next(number);
        let answer = medium.execute(write(0, 512, Durability::Deferred)).answer().await;
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), kind);
        let words = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(words, format!("{number} at 0: as the test\u{fffd}wants it"));
        medium.execute(write(0, 512, Durability::Deferred)).answer().await.unwrap();
    }
}

#[tokio::test]
async fn zeroes_that_must_be_quick_are_the_servers_to_make_or_to_refuse() {
    let quick = |length, durability| {
        let (extent, hole, speed) = (Extent::between(0, length), Hole::Allowed, Speed::Fast);
        Request::Zero { extent, hole, speed, durability }
    };
    let kind = async |medium: &Arc<dyn Medium>, request| {
        medium.execute(request).answer().await.err().map(|error| error.kind())
    };
    let (slow, mebibyte) = (Some(ErrorKind::Slow), 1 << 20);
    let server =
        TestServer::start(257 << 20, Manner { dialect: Dialect::Structured, ..Manner::default() });
    let medium = open(&server).await.unwrap();
    for durability in [Durability::Deferred, Durability::Stable] {
        server.refuse_next(ErrorNumber::NotSupported);
        assert_eq!(kind(&medium, quick(mebibyte, durability)).await, slow);
        assert_eq!(kind(&medium, quick(mebibyte, durability)).await, None);
        assert_eq!(kind(&medium, Request::Flush).await, None, "a refusal is no failed flush");
    }
    // The first piece tells of all of them.
    server.refuse_next(ErrorNumber::NotSupported);
    assert_eq!(kind(&medium, quick(257 << 20, Durability::Deferred)).await, slow);
    assert_eq!(kind(&medium, quick(257 << 20, Durability::Deferred)).await, None);
    // What was not asked for in a hurry is not refused for want of it.
    server.refuse_next(ErrorNumber::NotSupported);
    let zero = Request::zero(Extent::between(0, mebibyte), Hole::Allowed, Durability::Deferred);
    assert_eq!(kind(&medium, zero).await, Some(ErrorKind::Unsupported));

    let server = TestServer::start(mebibyte, without(TransmissionFlags::SEND_FAST_ZERO));
    let medium = open(&server).await.unwrap();
    assert_eq!(kind(&medium, quick(mebibyte, Durability::Deferred)).await, slow, "it never told");
}

#[tokio::test]
async fn what_has_no_payload_is_asked_for_at_once_where_lengths_have_64_bits() {
    for (dialect, count) in [(Dialect::Extended, 1), (Dialect::Structured, 3)] {
        let server = TestServer::start(257 << 20, Manner { dialect, ..Manner::default() });
        let medium = open(&server).await.unwrap();
        server.hold();
        let extent = Extent::between(0, 257 << 20);
        let trim = medium.execute(Request::Trim { extent, durability: Durability::Deferred });
        let trim = tokio::spawn(trim.answer());
        server.received(1).await;
        server.release();
        trim.await.unwrap().unwrap();
        server.received(count).await;
        medium.execute(Request::Flush).answer().await.unwrap();
        server.received(count + 1).await;
        assert_eq!(server.all_received(), count + 1);
    }
}

#[tokio::test]
async fn a_flush_that_failed_is_never_tried_again() {
    for manner in [Manner::default(), without(TransmissionFlags::SEND_FUA)] {
        for request in [Request::Flush, write(0, 512, Durability::Stable)] {
            let server = TestServer::start(1 << 20, manner.clone());
            let medium = open(&server).await.unwrap();
            medium.execute(write(0, 512, Durability::Stable)).answer().await.unwrap();
            let carries_fua = manner.flags.contains(TransmissionFlags::SEND_FUA);
            let is_flush = matches!(request, Request::Flush);
            if is_flush || carries_fua {
                server.refuse_next(ErrorNumber::Io);
            } else {
                server.refuse_after_next(ErrorNumber::Io);
            }
            medium.execute(request).answer().await.unwrap_err();
            for later in [Request::Flush, write(0, 512, Durability::Stable)] {
                let error = medium.execute(later).answer().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PreviousFailure);
            }
            medium.execute(write(0, 512, Durability::Deferred)).answer().await.unwrap();
        }
    }
}

#[tokio::test]
async fn when_the_connection_ends_all_under_way_is_gone() {
    let server = TestServer::start(1 << 20, Manner::default());
    let medium = open(&server).await.unwrap();
    server.hold();
    let under_way: Vec<_> = (0..300)
        .map(|number| {
            tokio::spawn(medium.execute(write(number * 512, 512, Durability::Deferred)).answer())
        })
        .collect();
    server.received(1).await;
    server.hang_up();
    for request in under_way {
        assert_eq!(request.await.unwrap().unwrap_err().kind(), ErrorKind::Gone);
    }
    assert_eq!(medium.presence().await.unwrap_err().kind(), ErrorKind::Gone);
    let later = medium.execute(Request::Flush).answer().await.unwrap_err();
    assert_eq!(later.kind(), ErrorKind::Gone);
}

/// Closing its connection would prove nothing, and end the waiting for what may still land.
#[tokio::test(start_paused = true)]
async fn what_a_silent_server_was_asked_stays_under_way() {
    let server = TestServer::start(1 << 20, Manner::default());
    let medium = open(&server).await.unwrap();
    server.hold();
    let mut request = tokio::spawn(medium.execute(write(0, 512, Durability::Deferred)).answer());
    server.received(1).await;
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(futures_util::poll!(&mut request).is_pending());
    medium.presence().await.unwrap();
    server.release();
    request.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_server_is_told_when_nobody_uses_it_any_more() {
    let server = TestServer::start(1 << 20, Manner::default());
    let medium = open(&server).await.unwrap();
    let under_way = medium.execute(write(0, 512, Durability::Deferred));
    drop(medium);
    under_way.answer().await.unwrap();
    server.left().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_stuck_is_not_opened_again() {
    let server = TestServer::start(1 << 20, Manner::default());
    server.hold();
    let error = open(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains("has not flushed in 10 s"), "{error}");
}

/// The server has a write when the connection ends, and carries it out when a newer one was long acknowledged, if
/// that is let.
#[tokio::test(start_paused = true)]
async fn a_stale_write_never_lands_on_newer_data() {
    let server = TestServer::start(1 << 20, Manner::default());
    let (places, uri) = (Places::default(), server.uri("disk"));
    let medium = places.open(&uri, "usb").await.unwrap();
    server.hold();
    let stale = tokio::spawn(medium.execute(write(0, 512, Durability::Deferred)).answer());
    server.received(1).await;
    server.hang_up_and_be_late(Duration::from_millis(900));
    stale.await.unwrap().unwrap_err();
    drop(medium);
    let medium = places.open(&uri, "usb").await.unwrap();
    let extent = Extent::between(0, 512);
    let newer = Bytes::from(vec![8; 512]);
    let request = Request::Write { extent, data: newer.clone(), durability: Durability::Stable };
    medium.execute(request).answer().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let found = medium.execute(Request::read(extent)).answer().await.unwrap();
    assert_eq!(found.into_payload().into_bytes(), newer);
}

#[tokio::test(start_paused = true)]
async fn it_is_opened_again_only_when_nothing_old_can_land_any_more() {
    let server = TestServer::start(1 << 20, Manner::default());
    let places = Places::default();
    let uri = server.uri("disk");
    let opening = async || {
        let begun = Instant::now();
        let medium = places.open(&uri, "usb").await.unwrap();
        (medium, begun.elapsed())
    };
    let (medium, first) = opening().await;
    assert_eq!(first, super::places::PAUSE_FIRST);
    drop(medium);
    let (medium, ejected) = opening().await;
    assert!(ejected.is_zero(), "{ejected:?}");

    // A read that is lost changes nothing, so there is nothing to wait for.
    server.hold();
    let read = tokio::spawn(medium.execute(Request::read(Extent::between(0, 512))).answer());
    server.received(1).await;
    server.hang_up();
    read.await.unwrap().unwrap_err();
    drop(medium);
    let (medium, idle) = opening().await;
    assert!(idle.is_zero(), "{idle:?}");

    server.hold();
    let lost = tokio::spawn(medium.execute(write(0, 512, Durability::Deferred)).answer());
    server.received(1).await;
    server.hang_up();
    lost.await.unwrap().unwrap_err();
    drop(medium);
    let (medium, closed) = opening().await;
    assert_eq!(closed, super::places::PAUSE_CLOSED);

    server.hold();
    let lost = tokio::spawn(medium.execute(write(0, 512, Durability::Deferred)).answer());
    server.received(1).await;
    server.talk_nonsense();
    lost.await.unwrap().unwrap_err();
    drop(medium);
    let (_medium, broken) = opening().await;
    assert_eq!(broken, super::places::PAUSE_BROKEN);
}
