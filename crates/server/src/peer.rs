//! Who a client is, as far as that can be known without believing it.

use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::connection::Connection;

/// Who a client is: what the kernel and the CA say of it, nothing that it says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The user at the other end of a Unix socket when it connected. `None` over a network.
    pub user: Option<u32>,
    /// The names in the certificate that it has shown and proved to have the key of: the common names of its subject, and the
    /// host names, addresses of mail and URIs among its alternative names. None without TLS.
    pub certificate_names: Vec<String>,
}

impl Peer {
    /// One that talks in the clear.
    pub(crate) const fn in_the_clear(connection: &Connection) -> Self {
        Self { user: connection.user(), certificate_names: Vec::new() }
    }

    /// One whose certificate was verified, where it has shown one.
    pub(crate) fn in_tls(stream: &TlsStream<Connection>) -> Self {
        let (connection, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let certificate_names =
            certificate.map(|certificate| names(certificate)).unwrap_or_default();
        Self { user: connection.user(), certificate_names }
    }
}

/// The names in a certificate; none where it cannot be read, which cannot be one that was verified.
fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let common = certificate.subject().iter_common_name();
    let mut names: Vec<String> =
        common.filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                Some((*name).to_owned())
            }
            _ => None,
        }));
    }
    names
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn the_names_in_a_certificate_are_found() {
        let mut about =
            CertificateParams::new(["laptop.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        about.distinguished_name.push(DnType::CommonName, "laptop");
        about.distinguished_name.push(DnType::OrganizationName, "not a name");
        about.subject_alt_names.push(SanType::URI("spiffe://example/laptop".try_into().unwrap()));
        let certificate = about.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(
            names(certificate.der()),
            ["laptop", "laptop.example", "spiffe://example/laptop"]
        );
        assert!(names(b"none").is_empty());
    }
}
