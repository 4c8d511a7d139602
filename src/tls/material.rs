//! Certificates and keys, read from PEM files and checked: what does not fit together is refused here, with a reason that
//! names the file and what to do about it, and never a byte of a key.

use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::domain::clock::Timestamp;

/// More than a file of all roots of the world has.
const MOST: u64 = 4 << 20;

/// Why a file cannot be used. Its text says which, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", file.display())]
pub struct Unusable {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl Unusable {
    pub(super) fn new(file: &Path, why: impl Into<String>) -> Self {
        Self { file: file.to_owned(), why: why.into() }
    }
}

/// A file as it was read once: what is made of it and what it is compared by are the same bytes.
pub struct Pem {
    path: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
}

/// A certificate with its chain and key.
pub struct Identity {
    /// The certificate first, then those that link it to a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    /// When the certificate itself is valid. Of the others, one that has expired may be there for old callers only, who
    /// do not mind; whoever minds finds another way to a root.
    pub validity: Validity,
}

/// When a certificate is valid (RFC 5280 section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl Pem {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        let failed = |error: std::io::Error| Unusable::new(path, format!("cannot be read: {error}"));
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST {
            return Err(Unusable::new(path, "is larger than 4 MiB: this is no file of certificates"));
        }
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// What it is compared by.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All of its certificates; at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(self.unusable("holds no certificate: expected PEM (-----BEGIN CERTIFICATE-----)")),
            Err(error) => Err(self.unusable(format!("is not whole PEM: {error}"))),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Unusable> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|_| {
            self.unusable("holds no private key that can be read: expected PEM without a passphrase (-----BEGIN PRIVATE KEY-----)")
        })
    }

    /// The certificates as roots that others' certificates are checked against.
    pub fn roots(&self) -> Result<RootCertStore, Unusable> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.unusable(format!("holds what is no root: {error}")))?;
        }
        Ok(roots)
    }

    /// Why it cannot be used.
    pub(super) fn unusable(&self, why: impl Into<String>) -> Unusable {
        Unusable::new(&self.path, why)
    }
}

impl Identity {
    /// A chain and its key. That they belong together is told by who makes a configuration of them.
    pub fn of(cert: &Pem, key: &Pem) -> Result<Self, Unusable> {
        let chain = cert.certificates()?;
        let validities = chain.iter().map(|certificate| Validity::of(certificate));
        let validity = validities.collect::<Option<Vec<_>>>().and_then(|all| all.first().copied());
        let validity = validity.ok_or_else(|| cert.unusable("holds what is no X.509 certificate"))?;
        Ok(Self { chain, key: key.key()?, validity })
    }
}

impl Validity {
    fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let time = |at: ASN1Time| {
            let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
            Timestamp::from_millis(seconds.saturating_mul(1000))
        };
        let written = parsed.validity();
        Some(Self { not_before: time(written.not_before), not_after: time(written.not_after) })
    }

    /// Why the certificate is of no use now.
    pub(super) fn objection(self, now: Timestamp) -> Option<String> {
        if now < self.not_before {
            Some(format!("is not valid before {}: it is taken then", self.not_before.rfc3339()))
        } else {
            (self.not_after <= now).then(|| format!("expired at {}", self.not_after.rfc3339()))
        }
    }
}

/// Whom the system trusts.
pub fn system_roots() -> Result<RootCertStore, Unusable> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = "the system has no list of trusted roots: install ca-certificates, or name one (ca = \"...\")";
        return Err(Unusable::new(Path::new("system roots"), why));
    }
    Ok(roots)
}
