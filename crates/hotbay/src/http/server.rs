//! A small HTTP server: GET and HEAD of a few pages, one request on each connection.
//!
//! Everything is bounded: connections, the bytes of a request's head, the time that a connection may take. A request's body
//! is not read. Nothing that a client sends changes anything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;

/// How many clients may be connected at once; more wait in the system's backlog.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take, from its first byte to the last of the answer.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// The most bytes of a request that are held.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// What goes with every page: it is as of now, it is what it says it is, and a browser lets it load nothing from elsewhere.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
];
/// How long to wait after an `accept` that the system refused, for want of descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A page of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What its body is.
    pub(crate) content_type: &'static str,
    /// Its body.
    pub(crate) body: Bytes,
}

/// What a server serves. Asked by several clients at once; must not wait.
pub(crate) trait Site: Send + Sync + 'static {
    /// The page at this path, as it is now.
    fn page(&self, path: &str) -> Option<Answer>;
}

/// A server that listens already.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    connection_time: Duration,
}

impl HttpServer {
    /// Listens. Clients can connect from now on, and wait for [`Self::serve`].
    ///
    /// # Errors
    /// Where the address is taken, or is none of this machine's.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let cannot = |error| {
            Failure::new(format!("cannot serve metrics on {address}: {error}"))
                .with_hint("name another address with --metrics, or none: off")
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address, connection_time: CONNECTION_TIME })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the future is dropped. Connections that are open then end by their own bound.
    pub(crate) async fn serve(self, site: Arc<dyn Site>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit =
                Arc::clone(&permits).acquire_owned().await.expect("the permits are never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let attended = attend(stream, Arc::clone(&site));
                    let attended = timeout(self.connection_time, attended);
                    tokio::spawn(async move {
                        if attended.await.is_err() {
                            tracing::debug!("a client for metrics took too long");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for metrics");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// One connection. What goes wrong with it concerns its client alone.
async fn attend(stream: TcpStream, site: Arc<dyn Site>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &*site);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}

fn respond(method: &Method, path: &str, site: &dyn Site) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "there is only GET here\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match site.page(path) {
        None => plain(StatusCode::NOT_FOUND, "there is no such page\n"),
        Some(Answer { content_type, body }) => {
            let mut response = Response::new(Full::new(body));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.extend(HEADERS);
            response
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    struct OnePage;

    impl Site for OnePage {
        fn page(&self, path: &str) -> Option<Answer> {
            let body = Bytes::from_static(b"seven\n");
            (path == "/metrics").then_some(Answer { content_type: "text/plain", body })
        }
    }

    async fn started() -> SocketAddr {
        started_with(CONNECTION_TIME).await
    }

    async fn started_with(connection_time: Duration) -> SocketAddr {
        let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let server = HttpServer { connection_time, ..server };
        let address = server.address();
        tokio::spawn(server.serve(Arc::new(OnePage)));
        address
    }

    /// All that comes of these bytes.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A client that sends more than is read is reset after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_page_is_got_and_nothing_else_can_be_done() {
        let address = started().await;
        let got = ask(address, "GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(
            got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\nseven\n"),
            "{got}"
        );
        assert!(got.contains("\r\ncache-control: no-store\r\n"), "{got}");
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let none = ask(address, "GET /../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
        let post = "POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
        let refused = ask(address, post).await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        assert!(refused.contains("\r\nallow: GET, HEAD\r\n"), "{refused}");
    }

    #[tokio::test]
    async fn whatever_comes_it_goes_on() {
        let address = started().await;
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000));
        for wrong in ["\r\n\r\n\r\n\r\n", "NBDMAGICIHAVEOPT\r\n\r\n", long.as_str()] {
            let answer = ask(address, wrong).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        assert!(ask(address, "GET /metrics HTTP/1.0\r\n\r\n").await.ends_with("seven\n"));
    }

    #[tokio::test]
    async fn silent_clients_are_let_go_and_keep_nobody_out_for_longer() {
        let time = Duration::from_millis(300);
        let address = started_with(time).await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let begun = Instant::now();
        assert!(ask(address, "GET /metrics HTTP/1.0\r\n\r\n").await.ends_with("seven\n"));
        assert!(begun.elapsed() >= time / 2, "the bound on connections does not hold");
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        }
    }
}
