//! Sockets that systemd listens on and passes to the daemon when somebody connects.

use hotbay_server::Inherited;
use listenfd::ListenFd;

use crate::failure::Failure;

/// The sockets that were passed, in their order; usually none. To be called once, while this process has one thread: it
/// takes what says so out of the environment, so that no hook takes them for its own.
///
/// # Errors
/// Where one is neither a Unix socket nor one of TCP.
pub(crate) fn sockets() -> Result<Vec<Inherited>, Failure> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::with_capacity(passed.len());
    for place in 0..passed.len() {
        if let Ok(Some(socket)) = passed.take_unix_listener(place) {
            sockets.push(Inherited::Unix(socket));
        } else {
            let socket = passed.take_tcp_listener(place).map_err(|error| {
                Failure::new(format!("socket {place} of those that were passed cannot be used: {error}"))
                    .with_hint("a .socket unit for hotbay has ListenStream= with a path, or with an address of TCP")
            })?;
            sockets.extend(socket.map(Inherited::Tcp));
        }
    }
    Ok(sockets)
}
