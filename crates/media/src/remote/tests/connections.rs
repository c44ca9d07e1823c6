//! Several connections, of which each is lost with the others.

use std::time::Duration;

use hotbay_nbd::uri::NbdUri;
use tokio::time::Instant;

use super::server::{Manner, TestServer};
use super::*;

fn shared() -> Manner {
    Manner {
        flags: Manner::default().flags.with(TransmissionFlags::CAN_MULTI_CONN),
        ..Manner::default()
    }
}

fn uri(server: &TestServer, connections: u8) -> NbdUri {
    NbdUri { connections: Some(connections), ..server.uri("disk") }
}

#[tokio::test]
async fn there_are_as_many_as_are_wanted_where_the_server_can_have_them() {
    for (manner, wanted, had) in [(shared(), 4, 4), (shared(), 1, 1), (Manner::default(), 4, 1)] {
        let server = TestServer::start(6 << 20, manner);
        let medium = Places::default().open(&uri(&server, wanted), "usb").await.unwrap();
        assert_eq!(server.connections(), had);
        if wanted == had as u8 && had > 1 {
            conformance::check(&Checked::new(medium)).await;
        }
    }
}

fn unsaid(server: &TestServer) -> NbdUri {
    NbdUri { connections: None, ..server.uri("disk") }
}

async fn work(medium: &Arc<dyn Medium>) {
    for at in 0..4 {
        let write = write(at * 512, 512, Durability::Deferred);
        medium.execute(write).answer().await.unwrap();
    }
    medium.execute(Request::Flush).answer().await.unwrap();
}

#[tokio::test]
async fn where_it_is_not_said_there_are_two() {
    for (manner, had) in [(shared(), 2), (Manner::default(), 1)] {
        let server = TestServer::start(1 << 20, manner);
        let medium = Places::default().open(&unsaid(&server), "usb").await.unwrap();
        assert_eq!(server.connections(), had);
        work(&medium).await;
        // Each of them is one of the medium's.
        server.hang_up_one(had - 1);
        until_gone(&medium).await;
    }
}

/// It has no more than one, and lets the second one wait.
#[tokio::test(start_paused = true)]
async fn one_will_do_unless_more_are_asked_for() {
    let manner = Manner { at_most: 1, ..shared() };
    let server = TestServer::start(1 << 20, manner.clone());
    let begun = Instant::now();
    let medium = Places::default().open(&unsaid(&server), "usb").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(server.connections(), 2, "it was tried");
    work(&medium).await;
    let server = TestServer::start(1 << 20, manner);
    let error = Places::default().open(&uri(&server, 2), "usb").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
}

/// A medium with two connections of which the next request goes over the second one.
async fn over_two(places: &Places, server: &TestServer) -> Arc<dyn Medium> {
    // The first flush of all went over the first one.
    let medium = places.open(&uri(server, 2), "usb").await.unwrap();
    assert_eq!(server.connections(), 2);
    medium
}

async fn until_gone(medium: &Arc<dyn Medium>) {
    while medium.presence().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_is_the_end_of_all_and_what_the_others_were_asked_is_waited_for() {
    let server = TestServer::start(1 << 20, shared());
    let places = Places::default();
    let medium = over_two(&places, &server).await;
    server.hold();
    let second = tokio::spawn(medium.execute(write(0, 512, Durability::Deferred)).answer());
    server.received(1).await;
    let first = tokio::spawn(medium.execute(write(512, 512, Durability::Deferred)).answer());
    server.received(2).await;
    server.hang_up_one(0);
    assert_eq!(first.await.unwrap().unwrap_err().kind(), ErrorKind::Gone);
    until_gone(&medium).await;
    for request in [Request::read(Extent::between(0, 512)), Request::Flush] {
        let answer = medium.execute(request).answer().await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Gone);
    }
    assert_eq!(server.all_received(), 2, "nothing more was asked");

    drop(medium);
    let error = places.open(&uri(&server, 2), "usb").await.unwrap_err();
    assert!(error.to_string().contains("have not ended"), "{error}");
    server.release();
    second.await.unwrap().unwrap();
    let begun = Instant::now();
    places.open(&uri(&server, 2), "usb").await.unwrap();
    assert_eq!(begun.elapsed(), super::super::places::PAUSE_CLOSED);
}

/// What had been answered on the connection that ended may be lost with it.
#[tokio::test(start_paused = true)]
async fn a_flush_does_not_count_where_a_connection_has_ended_meanwhile() {
    for ends in [false, true] {
        let server = TestServer::start(1 << 20, shared());
        let medium = over_two(&Places::default(), &server).await;
        server.hold();
        let flush = tokio::spawn(medium.execute(Request::Flush).answer());
        server.received(1).await;
        if ends {
            server.hang_up_one(0);
            until_gone(&medium).await;
        }
        server.release();
        let answer = flush.await.unwrap();
        assert_eq!(answer.map_err(|error| error.kind()).err(), ends.then_some(ErrorKind::Gone));
    }
}
