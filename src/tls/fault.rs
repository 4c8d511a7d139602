//! What went wrong with a server's TLS, in words for who runs both ends.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use rustls_pki_types::UnixTime;

use crate::domain::clock::Timestamp;

/// Why there is no secure link to a server, and what to do about it.
pub fn told(error: &io::Error) -> String {
    match of(error) {
        Some(Error::InvalidCertificate(fault)) => certificate(fault),
        Some(Error::AlertReceived(alert)) => alerted(*alert),
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the server does not speak TLS on this port: correct the url, or write http".to_owned()
        }
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the handshake: does it speak TLS on this port?".to_owned()
        }
        None => error.to_string(),
    }
}

/// The fault of TLS in an error of a stream, where it is one.
pub fn of(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired => "the server's certificate has expired: renew it".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired at {}: renew it", time(*not_after))
        }
        CertificateError::NotValidYet => "the server's certificate is not valid yet: are both clocks right?".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid before {}: are both clocks right?", time(*not_before))
        }
        // A root of the same name and another key, mostly: one that was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is signed by nobody we trust: name its root in [upstream.tls] ca".to_owned()
        }
        CertificateError::NotValidForName => another_name("another name", "its name"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            // Written as Debug by the library: DnsName("as.internal").
            let names: Vec<_> = presented.iter().filter_map(|name| name.split('"').nth(1)).take(5).collect();
            let theirs = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            another_name(&theirs, &expected.to_str())
        }
        CertificateError::Revoked => "the server's certificate has been revoked: renew it".to_owned(),
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

fn another_name(theirs: &str, ours: &str) -> String {
    format!(
        "the server's certificate is for {theirs} and not for {ours}: correct the url, or name it in [upstream.tls] server_name"
    )
}

fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "the server wants a certificate of ours: name one in [upstream.tls] cert and key".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::DecryptError
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            format!(
                "the server refused our certificate ({alert:?}): look at [upstream.tls] cert, and at whom it trusts"
            )
        }
        other => format!("the server ended the handshake: {other:?}"),
    }
}

fn time(time: UnixTime) -> String {
    Timestamp::from_millis(time.as_secs().saturating_mul(1000)).rfc3339()
}
