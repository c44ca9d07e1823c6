//! TLS to a server: whose certificate is trusted, and which one is shown.
//!
//! The negotiation that leads to it is `hotbay_nbd`'s (STARTTLS); the cryptography is rustls's, by ring. Files are read for each
//! connection, so that a renewed certificate counts from the next one on.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use hotbay_block::{Error, ErrorKind, Result};
use hotbay_nbd::uri::{NbdUri, ServerPlace, UriTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::dial::Stream;

/// What the files are called, by libnbd, nbdkit and qemu too.
const CA: &str = "ca-cert.pem";
const CERTIFICATE: &str = "client-cert.pem";
const KEY: &str = "client-key.pem";

/// The longest file that is read, in bytes: more than a system's list of CAs has.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The name that a server on a Unix socket is to have.
const LOCAL_NAME: &str = "localhost";

/// What TLS to a server is begun with.
#[derive(Debug)]
pub struct TlsTerms {
    /// Whose certificate is trusted, and which one is shown.
    pub config: ClientConfig,
    /// The name that the server's certificate is to have.
    pub name: ServerName<'static>,
}

/// Reads the files that the URI names, and says with what TLS is begun.
///
/// # Errors
/// [`ErrorKind::Medium`] where it cannot be spoken as the URI wants it.
pub fn tls_to(uri: &NbdUri, tls: &UriTls) -> Result<TlsTerms> {
    Ok(TlsTerms { name: server_name(uri, tls)?, config: config(uri, tls)? })
}

/// Begins TLS as its client.
///
/// # Errors
/// As [`tls_to`]; [`ErrorKind::Gone`] where the server leaves.
pub(super) async fn begin(
    stream: Box<dyn Stream>,
    uri: &NbdUri,
    tls: &UriTls,
) -> Result<Box<dyn Stream>> {
    let (wish, place) = (tls.clone(), uri.clone());
    // The files may be on a disk that is slow.
    let terms = tokio::task::spawn_blocking(move || tls_to(&place, &wish)).await;
    let TlsTerms { config, name } =
        terms.map_err(|_| Error::new(ErrorKind::Gone, "the daemon is being stopped"))??;
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let what = format!("{uri}: TLS with the server does not come about");
            Err(Error::new(ErrorKind::Medium, what).caused_by(error))
        }
        Err(error) => {
            let what = format!("{uri}: the server hung up at the beginning of TLS");
            Err(Error::new(ErrorKind::Gone, what).caused_by(error))
        }
    }
}

fn server_name(uri: &NbdUri, tls: &UriTls) -> Result<ServerName<'static>> {
    let host = match &uri.server {
        ServerPlace::Tcp { host, .. } => host.as_str(),
        ServerPlace::Unix(_) => LOCAL_NAME,
    };
    let name = tls.hostname.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|error| {
        let what = format!("{uri}: no certificate can have the name `{name}`");
        Error::new(ErrorKind::Medium, what).caused_by(error)
    })
}

fn config(uri: &NbdUri, tls: &UriTls) -> Result<ClientConfig> {
    let unusable = |what: &str, error: rustls::Error| {
        Error::new(ErrorKind::Medium, format!("{uri}: {what}")).caused_by(error)
    };
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (&tls.certificates, tls.verify_peer) {
        (_, false) => Arc::new(Anybody(Arc::clone(&provider))),
        (Some(directory), true) => verifier(uri, directory, Arc::clone(&provider))?,
        (None, true) => {
            let what = format!(
                "{uri}: it is not said whose certificate the server is to have; tls-certificates=DIR names the directory with {CA}"
            );
            return Err(Error::new(ErrorKind::Medium, what));
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("TLS cannot be spoken", error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match &tls.certificates {
        Some(directory) if directory.join(CERTIFICATE).exists() => {
            let chain = certificates(uri, &directory.join(CERTIFICATE))?;
            let path = directory.join(KEY);
            let key = PrivateKeyDer::from_pem_slice(&read(uri, &path)?)
                .map_err(|error| unread(uri, &path, error))?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|error| unusable("its client-cert.pem cannot be used", error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// Trusts the CAs of the directory.
fn verifier(
    uri: &NbdUri,
    directory: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let path = directory.join(CA);
    let mut roots = RootCertStore::empty();
    for certificate in certificates(uri, &path)? {
        roots.add(certificate).map_err(|error| unread(uri, &path, error))?;
    }
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(built.map_err(|error| unread(uri, &path, error))?)
}

/// All of a file; at least one.
fn certificates(uri: &NbdUri, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(uri, path)?).collect();
    match found.map_err(|error| unread(uri, path, error))? {
        none if none.is_empty() => Err(unread(uri, path, "there is no certificate in it")),
        found => Ok(found),
    }
}

fn read(uri: &NbdUri, path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text));
    match read.map_err(|error| unread(uri, path, error))? {
        bytes if bytes as u64 > FILE_BYTES_MAX => Err(unread(uri, path, "it is longer than 1 MiB")),
        _ => Ok(text),
    }
}

fn unread(
    uri: &NbdUri,
    path: &Path,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let what = format!("{uri}: {} cannot be used", path.display());
    Error::new(ErrorKind::Medium, what).caused_by(error)
}

/// Takes any certificate, of which only the signatures of this connection are looked at: for `tls-verify-peer=false`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
