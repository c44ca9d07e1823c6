//! `[tls]`: whether NBD clients talk in TLS, and the files that it is made of.

use std::fmt;
use std::path::{Path, PathBuf};

use hotbay_server::{
    ClientFiles, Tls, TlsError, TlsFault, TlsFile, TlsFiles, TlsMode, WithoutCertificate,
};
use serde::Deserialize;
use toml::Spanned;

use super::complaint::Source;
use crate::failure::Failure;

/// Where the files are when nobody says where.
const DIRECTORY: &str = "/etc/hotbay/tls";

/// Whether clients over TCP talk in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// There is none.
    Off,
    /// They may.
    Offered,
    /// They must.
    Required,
}

/// Whether a client shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientCertificate {
    /// It is not asked for one.
    Off,
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// `[tls]`, as a file gives it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    /// Whether clients over TCP talk in TLS: `off`, `offered` or `required`; default `off`.
    mode: Option<Mode>,
    /// The server's certificate, PEM; default `server-cert.pem` in `/etc/hotbay/tls`.
    certificate: Option<Spanned<PathBuf>>,
    /// The key to it, PEM; default `server-key.pem` there.
    key: Option<Spanned<PathBuf>>,
    /// The CAs whose certificates are taken from clients, PEM; default `ca-cert.pem` there.
    client_ca: Option<Spanned<PathBuf>>,
    /// Whether a client shows a certificate: `off`, `optional` or `required`; default `required`.
    client_certificate: Option<ClientCertificate>,
    /// Where in the file the paths stand; not a key.
    #[serde(skip)]
    places: Places,
}

/// Where each path was said, for complaints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    certificate: Option<String>,
    key: Option<String>,
    client_ca: Option<String>,
}

impl TlsTable {
    /// Notes where in `source`, of which it was parsed, the paths stand.
    pub(super) fn note_places(&mut self, source: Source<'_>) {
        let place =
            |path: &Option<Spanned<PathBuf>>| path.as_ref().map(|path| source.place(path.span()));
        self.places = Places {
            certificate: place(&self.certificate),
            key: place(&self.key),
            client_ca: place(&self.client_ca),
        };
    }
}

/// TLS as the daemon has it. Each path is absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    mode: TlsMode,
    files: TlsFiles,
    places: Places,
}

/// What the file, and `--tls DIR`, make of it; `None`: there is no TLS.
pub(super) fn resolve(
    table: TlsTable,
    directory: Option<PathBuf>,
    current: &Path,
) -> Option<TlsConfig> {
    let mode = match (table.mode, &directory) {
        (Some(Mode::Offered), _) => TlsMode::Offered,
        (Some(Mode::Required), _) | (None | Some(Mode::Off), Some(_)) => TlsMode::Required,
        (None | Some(Mode::Off), None) => return None,
    };
    // The flag stands for all three files.
    let said = |path: Option<Spanned<PathBuf>>, name: &str| match (&directory, path) {
        (Some(directory), _) => current.join(directory).join(name),
        (None, Some(path)) => current.join(path.into_inner()),
        (None, None) => Path::new(DIRECTORY).join(name),
    };
    let without = match table.client_certificate {
        Some(ClientCertificate::Off) => None,
        Some(ClientCertificate::Optional) => Some(WithoutCertificate::Served),
        None | Some(ClientCertificate::Required) => Some(WithoutCertificate::TurnedAway),
    };
    let ca = said(table.client_ca, "ca-cert.pem");
    Some(TlsConfig {
        mode,
        files: TlsFiles {
            certificate: said(table.certificate, "server-cert.pem"),
            key: said(table.key, "server-key.pem"),
            clients: without.map(|without| ClientFiles { ca, without }),
        },
        places: if directory.is_some() { Places::default() } else { table.places },
    })
}

impl TlsConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one cannot be used, with where it was named and what to do.
    pub(crate) fn load(&self) -> Result<Tls, Failure> {
        Tls::load(&self.files, self.mode).map_err(|error| self.complain(&error))
    }

    fn complain(&self, error: &TlsError) -> Failure {
        let (key, place) = match error.file {
            TlsFile::Certificate => ("certificate", &self.places.certificate),
            TlsFile::Key => ("key", &self.places.key),
            TlsFile::ClientCa => ("client_ca", &self.places.client_ca),
        };
        let place =
            place.as_ref().map_or_else(|| format!("tls: {key}: "), |at| format!("{at}{key}: "));
        Failure::new(format!("{place}{error}")).with_hint(match &error.fault {
            TlsFault::Unreadable(_) => {
                "name a file that this user may read; 'hotbay tls make DIR' makes a CA and certificates for a first try"
            }
            TlsFault::Lacks(_) if error.file == TlsFile::Key => {
                "a key is in PEM, as PKCS#8, PKCS#1 or SEC1, without a passphrase"
            }
            TlsFault::NotPem(_) | TlsFault::Lacks(_) => {
                "certificates are in PEM, between BEGIN CERTIFICATE and END CERTIFICATE"
            }
            TlsFault::AnotherKey => "name the certificate and the key that were made together",
            _ => "'openssl x509 -in FILE -text' shows what is in it",
        })
    }
}

impl fmt::Display for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            TlsMode::Offered => "offered",
            TlsMode::Required => "required",
        };
        let TlsFiles { certificate, key, clients } = &self.files;
        write!(f, "{mode}, with {} and {}", certificate.display(), key.display())?;
        match clients {
            None => f.write_str(", clients are not asked for a certificate"),
            Some(ClientFiles { ca, without }) => {
                let may = match without {
                    WithoutCertificate::Served => "may show",
                    WithoutCertificate::TurnedAway => "show",
                };
                write!(f, ", clients {may} a certificate signed by {}", ca.display())
            }
        }
    }
}
