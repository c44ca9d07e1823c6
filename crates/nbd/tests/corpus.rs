//! What the fuzz targets have found, or began with, once more.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/checks/nbd_server.rs"]
mod nbd_server;

#[path = "../../../fuzz/checks/nbd_client.rs"]
mod nbd_client;

#[path = "../../../fuzz/checks/nbd_replies.rs"]
mod nbd_replies;

#[path = "../../../fuzz/checks/nbd_requests.rs"]
mod nbd_requests;

#[path = "../../../fuzz/checks/nbd_uri.rs"]
mod nbd_uri;

#[test]
fn nbd_server_is_as_before() {
    replay::replay("nbd_server", nbd_server::check);
}

#[test]
fn nbd_client_is_as_before() {
    replay::replay("nbd_client", nbd_client::check);
}

#[test]
fn nbd_replies_is_as_before() {
    replay::replay("nbd_replies", nbd_replies::check);
}

#[test]
fn nbd_requests_is_as_before() {
    replay::replay("nbd_requests", nbd_requests::check);
}

#[test]
fn nbd_uri_is_as_before() {
    replay::replay("nbd_uri", nbd_uri::check);
}
