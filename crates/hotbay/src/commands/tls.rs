//! `hotbay tls`: certificates for NBD in TLS, under the names by which libnbd, nbdkit and qemu look for them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::output;
use crate::cli::{TlsClientArgs, TlsCommand, TlsMakeArgs};
use crate::directory::create_private;
use crate::failure::Failure;

const CA: [&str; 2] = ["ca-cert.pem", "ca-key.pem"];
const SERVER: [&str; 2] = ["server-cert.pem", "server-key.pem"];
const CLIENT: [&str; 2] = ["client-cert.pem", "client-key.pem"];

/// The names of the machine on itself.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a certificate holds.
const DAYS: u32 = 3650;

/// A certificate, or a key, and the file that it is to be.
type Part = (&'static str, String);

/// Makes what was asked for.
///
/// # Errors
/// Where a file is there already, or cannot be made.
pub(crate) fn run(command: TlsCommand) -> Result<(), Failure> {
    match command {
        TlsCommand::Make(arguments) => make(&arguments),
        TlsCommand::Client(arguments) => add_client(&arguments),
    }
}

fn make(TlsMakeArgs { directory, names }: &TlsMakeArgs) -> Result<(), Failure> {
    let key = KeyPair::generate().map_err(unmade)?;
    let ca = ca()?;
    let certificate = ca.self_signed(&key).map_err(unmade)?;
    let mut parts = vec![(CA[0], certificate.pem()), (CA[1], key.serialize_pem())];
    let issuer = Issuer::new(ca, key);
    let mut hosts = LOCAL_NAMES.map(str::to_owned).to_vec();
    hosts.extend(names.iter().filter(|name| !LOCAL_NAMES.contains(&name.as_str())).cloned());
    parts.extend(signed(SERVER, server(hosts)?, &issuer)?);
    parts.extend(signed(CLIENT, client("client")?, &issuer)?);
    write_all(directory, &parts)?;
    output::print(&format!(
        "{} has the certificates of a CA, a server and the client `client`, for {DAYS} days; move ca-key.pem to where \
         no server and no client is\n",
        directory.display()
    ))
}

fn add_client(TlsClientArgs { ca, name, directory }: &TlsClientArgs) -> Result<(), Failure> {
    let certificate = read(&ca.join(CA[0]))?;
    let key = KeyPair::from_pem(&read(&ca.join(CA[1]))?);
    let issuer =
        key.and_then(|key| Issuer::from_ca_cert_pem(&certificate, key)).map_err(|error| {
            Failure::new(format!("{} holds no CA: {error}", ca.display()))
                .with_hint("'hotbay tls make DIR' makes one")
        })?;
    let name = name.to_string();
    let mut parts = vec![(CA[0], certificate)];
    parts.extend(signed(CLIENT, client(&name)?, &issuer)?);
    write_all(directory, &parts)?;
    output::print(&format!(
        "{} has the certificate of the client `{name}`, for {DAYS} days\n",
        directory.display()
    ))
}

/// What every certificate has in common.
fn about(common_name: &str, hosts: Vec<String>) -> Result<CertificateParams, Failure> {
    let mut about = CertificateParams::new(hosts).map_err(unmade)?;
    about.distinguished_name = DistinguishedName::new();
    about.distinguished_name.push(DnType::OrganizationName, "hotbay");
    about.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    // Other machines' clocks may be behind.
    about.not_before = (now - DAY).into();
    about.not_after = (now + DAY * DAYS).into();
    about.use_authority_key_identifier_extension = true;
    Ok(about)
}

fn ca() -> Result<CertificateParams, Failure> {
    let mut about = about("hotbay CA", Vec::new())?;
    about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    about.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(about)
}

fn server(hosts: Vec<String>) -> Result<CertificateParams, Failure> {
    let about = about("hotbay server", hosts)?;
    Ok(for_one_end(about, ExtendedKeyUsagePurpose::ServerAuth))
}

fn client(name: &str) -> Result<CertificateParams, Failure> {
    let about = about(name, Vec::new())?;
    Ok(for_one_end(about, ExtendedKeyUsagePurpose::ClientAuth))
}

fn for_one_end(mut about: CertificateParams, end: ExtendedKeyUsagePurpose) -> CertificateParams {
    about.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    about.extended_key_usages = vec![end];
    about
}

fn signed(
    [certificate, key]: [&'static str; 2],
    about: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<[Part; 2], Failure> {
    let pair = KeyPair::generate().map_err(unmade)?;
    let signed = about.signed_by(&pair, issuer).map_err(unmade)?;
    Ok([(certificate, signed.pem()), (key, pair.serialize_pem())])
}

fn unmade(error: rcgen::Error) -> Failure {
    Failure::new(format!("cannot make a certificate: {error}"))
        .with_hint("names of servers are host names or IP addresses, names of clients words")
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("cannot read {}: {error}", path.display()))
            .with_hint_if_denied(&error, "use the CA as its owner, or as root")
    })
}

/// For one who may not make files there.
const NOT_YOURS: &str = "name a directory in which you may make files, or use sudo";

/// Writes all of them, or, where one of them is there already, none.
fn write_all(directory: &Path, parts: &[Part]) -> Result<(), Failure> {
    create_private(directory).map_err(|error| {
        Failure::new(format!("cannot make the directory {}: {error}", directory.display()))
            .with_hint_if_denied(&error, NOT_YOURS)
    })?;
    if let Some((name, _)) = parts.iter().find(|(name, _)| directory.join(name).exists()) {
        let path = directory.join(name);
        return Err(Failure::new(format!("{} is there already", path.display()))
            .with_hint("nothing was made; name another directory, or move what is there away"));
    }
    for (name, text) in parts {
        let path = directory.join(name);
        write_new(&path, text).map_err(|error| {
            Failure::new(format!("cannot write {}: {error}", path.display()))
                .with_hint_if_denied(&error, NOT_YOURS)
        })?;
    }
    Ok(())
}

/// A key never belongs to anybody else, not even for the moment of its making.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let is_key = path.to_string_lossy().ends_with("-key.pem");
    let mode = if is_key { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
