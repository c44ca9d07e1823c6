//! Who may open a place, and how often it is looked at.

use std::time::Duration;

use hotbay_nbd::uri::NbdUri;
use tokio::time::sleep;

use super::server::{Manner, TestServer};
use super::*;

#[tokio::test]
async fn one_volume_at_a_time() {
    let server = TestServer::start(1 << 20, Manner::default());
    let (places, uri) = (Places::default(), server.uri("disk"));
    let medium = places.open(&uri, "usb").await.unwrap();
    let error = places.open(&uri, "other").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium);
    assert!(error.to_string().ends_with("is in use by volume usb"), "{error}");
    let same = NbdUri { connections: Some(2), ..uri.clone() };
    places.open(&same, "other").await.expect_err("it is the same, otherwise spoken to");
    drop(medium);
    places.open(&uri, "other").await.unwrap();
}

/// As a volume asks: four times a second.
async fn look_for(places: &Places, server: &TestServer, seconds: u64) -> bool {
    let mut found = false;
    for _ in 0..seconds * 4 {
        found = places.contains(&server.uri("disk"));
        sleep(Duration::from_millis(250)).await;
    }
    found
}

#[tokio::test(start_paused = true)]
async fn looking_is_no_storm_of_connections() {
    let server = TestServer::start(1 << 20, Manner::default());
    let places = Places::default();
    assert!(look_for(&places, &server, 120).await);
    let looks = server.connections();
    assert!((10..=22).contains(&looks), "{looks} looks in 120 s");
    server.refuse_exports();
    assert!(!look_for(&places, &server, 120).await);
    let looks = server.connections() - looks;
    assert!((10..=25).contains(&looks), "{looks} looks in 120 s");
}

#[tokio::test(start_paused = true)]
async fn a_lost_server_is_away_until_it_is_found_and_an_ejected_one_never_was() {
    let server = TestServer::start(1 << 20, Manner::default());
    let (places, uri) = (Places::default(), server.uri("disk"));
    assert!(places.contains(&uri), "until the first look has ended");
    let medium = places.open(&uri, "usb").await.unwrap();
    drop(medium);
    for _ in 0..100 {
        assert!(places.contains(&uri));
        sleep(Duration::from_millis(250)).await;
    }
    let medium = places.open(&uri, "usb").await.unwrap();
    server.hang_up();
    medium.execute(Request::Flush).answer().await.unwrap_err();
    assert!(!places.contains(&uri));
    drop(medium);
    assert!(look_for(&places, &server, 2).await);
}
