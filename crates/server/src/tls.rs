//! TLS, as a server has it: its certificate, and whose certificates it takes.
//!
//! The negotiation that leads to it is `hotbay_nbd`'s (STARTTLS); the cryptography is rustls's, by ring.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, crypto};

/// The longest file that is read, in bytes: more than any chain of certificates has.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whether clients over the network have to use TLS. Those on a Unix socket are on this machine, and never have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Each as it likes.
    Offered,
    /// Without it they get nothing.
    Required,
}

/// The files, in PEM, that make a server's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and its CA.
    pub certificate: PathBuf,
    /// The key to it.
    pub key: PathBuf,
    /// Whose certificates are taken from clients; `None`: clients are not asked for one.
    pub clients: Option<ClientFiles>,
}

/// Whose certificates a server takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// Certificates of CAs; those that they signed are taken.
    pub ca: PathBuf,
    /// What becomes of a client that has none.
    pub without: WithoutCertificate,
}

/// What becomes of a client that shows no certificate. One that shows a wrong one is always turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutCertificate {
    /// It is served; allow lists that ask for a name are closed to it.
    Served,
    /// It is turned away.
    TurnedAway,
}

/// One of the [`TlsFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The server's certificate.
    Certificate,
    /// The key to it.
    Key,
    /// Certificates of CAs.
    ClientCa,
}

/// A file that TLS cannot be made of.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct TlsError {
    /// Which one.
    pub file: TlsFile,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: TlsFault,
}

/// What is wrong with a file of TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// It is not PEM, or longer than 1 MiB.
    #[error("it is not PEM: {0}")]
    NotPem(String),
    /// It is PEM of something else.
    #[error("there is no {0} in it")]
    Lacks(&'static str),
    /// The key is another certificate's.
    #[error("the key does not belong to the certificate")]
    AnotherKey,
    /// The cryptography does not take it.
    #[error("it cannot be used: {0}")]
    Unusable(String),
}

/// TLS that is ready to be served.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    mode: TlsMode,
    files: Files,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. What they hold counts from then on, whatever becomes of them.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(files: &TlsFiles, mode: TlsMode) -> Result<Self, TlsError> {
        let mut read = Files::default();
        let chain = read.certificates(TlsFile::Certificate, &files.certificate)?;
        let key = read.key(&files.key)?;
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| files.fault(TlsFile::Certificate, TlsFault::of(error)))?;
        let builder = match &files.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(read.verifier(clients, provider)?),
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| {
            let file = match error {
                rustls::Error::InconsistentKeys(_) => TlsFile::Key,
                _ => TlsFile::Certificate,
            };
            files.fault(file, TlsFault::of(error))
        })?;
        Ok(Self { config: Arc::new(config), mode, files: read })
    }

    /// Those of its files that held something else when `other` was loaded, or were not among that one's.
    #[must_use]
    pub fn files_unlike(&self, other: &Self) -> Vec<&Path> {
        let changed = self.files.0.iter().filter(|file| !other.files.0.contains(file));
        changed.map(|(path, _)| path.as_path()).collect()
    }

    /// What takes connections.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// What it is for clients over the network.
    pub(crate) const fn mode(&self) -> TlsMode {
        self.mode
    }
}

/// What connections that begin now get. Clones share it: it can be exchanged while a server runs, and what has begun goes on with what
/// it began with.
#[derive(Clone, Debug, Default)]
pub struct TlsInForce(Arc<ArcSwapOption<Tls>>);

impl TlsInForce {
    /// `None`: there is no TLS.
    #[must_use]
    pub fn new(tls: Option<Tls>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(tls)))
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Tls>> {
        self.0.load_full()
    }

    /// Exchanges it.
    pub fn set(&self, tls: Option<Tls>) {
        self.0.store(tls.map(Arc::new));
    }
}

impl TlsFiles {
    fn fault(&self, file: TlsFile, fault: TlsFault) -> TlsError {
        let path = match (file, &self.clients) {
            (TlsFile::Key, _) => &self.key,
            (TlsFile::ClientCa, Some(clients)) => &clients.ca,
            (TlsFile::Certificate | TlsFile::ClientCa, _) => &self.certificate,
        };
        TlsError { file, path: path.clone(), fault }
    }
}

impl TlsFault {
    fn of(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::AnotherKey,
            error => Self::Unusable(error.to_string()),
        }
    }
}

/// Whether what came of a receive tells that the peer has left. In TLS that is an error where it left without a close_notify, as
/// most do that are killed; what it left amid shows in what was received.
pub(crate) fn has_left(received: &io::Result<usize>) -> bool {
    match received {
        Ok(bytes) => *bytes == 0,
        Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
    }
}

/// The files that were read, and what was in them.
#[derive(Clone, Default)]
struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    fn read(&mut self, path: &Path) -> Result<&[u8], TlsFault> {
        self.0.push((path.to_owned(), read(path)?));
        Ok(self.0.last().map(|(_, text)| text.as_slice()).unwrap_or_default())
    }

    fn certificates(
        &mut self,
        file: TlsFile,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let fault = |fault| TlsError { file, path: path.to_owned(), fault };
        let text = self.read(path).map_err(fault)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        match found.map_err(|error| fault(not_pem(error)))? {
            found if found.is_empty() => Err(fault(TlsFault::Lacks("certificate"))),
            found => Ok(found),
        }
    }

    fn key(&mut self, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        let fault = |fault| TlsError { file: TlsFile::Key, path: path.to_owned(), fault };
        let text = self.read(path).map_err(fault)?;
        PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
            pem::Error::NoItemsFound => fault(TlsFault::Lacks("private key that is not encrypted")),
            error => fault(not_pem(error)),
        })
    }

    fn verifier(
        &mut self,
        clients: &ClientFiles,
        provider: Arc<crypto::CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let file = TlsFile::ClientCa;
        let unusable = |why: String| TlsError {
            file,
            path: clients.ca.clone(),
            fault: TlsFault::Unusable(why),
        };
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(file, &clients.ca)? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match clients.without {
            WithoutCertificate::Served => builder.allow_unauthenticated(),
            WithoutCertificate::TurnedAway => builder,
        };
        builder.build().map_err(|error| unusable(error.to_string()))
    }
}

fn not_pem(error: pem::Error) -> TlsFault {
    TlsFault::NotPem(match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a section begins wrongly".to_owned(),
        error => error.to_string(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFault> {
    let file = File::open(path).map_err(TlsFault::Unreadable)?;
    let mut text = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    match read.map_err(TlsFault::Unreadable)? {
        bytes if bytes as u64 > FILE_BYTES_MAX => {
            Err(TlsFault::NotPem("it is longer than 1 MiB".to_owned()))
        }
        _ => Ok(text),
    }
}
