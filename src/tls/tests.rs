use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::client::link;
use super::hot::{Look, Renewable};
use super::server::listener;
use super::{H2, HTTP_11};
use crate::config::settings::kinds::ClientCert;
use crate::config::settings::tls::{ClientTls, ServerTls};
use crate::domain::clock::Timestamp;

const PROTOCOLS: &[&[u8]] = &[H2, HTTP_11];
/// 2030-01-01
const NOW: Timestamp = Timestamp::from_millis(1_893_456_000_000);

struct Folder(tempfile::TempDir);

impl Folder {
    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A certificate with its key, good until the beginning of a year.
    fn pair(&self, until: i32) -> (String, String) {
        self.pair_of(2020, until)
    }

    /// ... and from the beginning of one.
    fn pair_of(&self, from: i32, until: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["as.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn settings(&self, client_ca: Option<&str>) -> ServerTls {
        ServerTls {
            cert: self.0.path().join("tls.crt"),
            key: self.0.path().join("tls.key"),
            client_ca: client_ca.map(|name| self.0.path().join(name)),
            client_cert: ClientCert::Required,
        }
    }
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

#[test]
fn what_cannot_be_used_is_told_with_the_file_and_the_reason_and_no_key() {
    let folder = folder();
    let (cert, key) = folder.pair(2040);
    let (_, other) = folder.pair(2040);
    let body: String = key.lines().nth(1).unwrap().to_owned();
    let half = &cert[..cert.len() / 2];
    for (cert, key, file, why) in [
        ("", key.as_str(), "tls.crt", "holds no certificate"),
        (half, &key, "tls.crt", "PEM"),
        (&cert, "", "tls.key", "holds no private key"),
        (&cert, &key[..key.len() / 2], "tls.key", "holds no private key"),
        (&cert, &cert, "tls.key", "holds no private key"),
        (&cert, &other, "tls.crt", "tls.key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "tls.crt", "no X.509 certificate"),
    ] {
        folder.put("tls.crt", cert);
        folder.put("tls.key", key);
        let error = listener(&folder.settings(None), PROTOCOLS).err().unwrap();
        assert!(error.file.ends_with(file) && error.why.contains(why), "{error}");
        assert!(!error.to_string().contains(&body));
    }
    let error = listener(&folder.settings(Some("absent.crt")), PROTOCOLS).err().unwrap();
    assert!(error.to_string().contains("absent.crt: cannot be read"), "{error}");
}

#[test]
fn both_files_are_taken_or_neither() {
    let folder = folder();
    let (old, new, short) = (folder.pair(2040), folder.pair(2041), folder.pair(2029));
    let early = folder.pair_of(2031, 2042);
    let put = |cert: &str, key: &str| {
        folder.put("tls.crt", cert);
        folder.put("tls.key", key);
    };
    put(&old.0, &old.1);
    let side = listener(&folder.settings(None), PROTOCOLS).unwrap();
    let before = side.config();
    let year = || side.expires().unwrap().rfc3339()[..4].to_owned();
    assert_eq!((side.renew(NOW), year().as_str()), (Look::Same, "2040"));
    for (cert, key, what) in [
        (new.0.as_str(), old.1.as_str(), "a mismatch"),
        (&new.0[..new.0.len() / 2], &new.1, "half of one"),
        (&short.0, &short.1, "an expired one"),
        (&early.0, &early.1, "one whose time has not come"),
        ("", "", "nothing"),
    ] {
        put(cert, key);
        assert!(matches!(side.renew(NOW), Look::Kept(_)), "{what}");
        assert!(std::sync::Arc::ptr_eq(&before, &side.config()), "{what}");
        assert_eq!(year(), "2040", "{what}");
    }
    std::fs::remove_file(folder.0.path().join("tls.key")).unwrap();
    assert!(matches!(side.renew(NOW), Look::Kept(_)));
    put(&new.0, &new.1);
    assert_eq!((side.renew(NOW), year().as_str()), (Look::New, "2041"));
    assert!(!std::sync::Arc::ptr_eq(&before, &side.config()));
    assert_eq!(side.renew(NOW), Look::Same);
}

#[test]
fn a_renewal_goes_by_the_certificate_and_not_by_those_behind_it() {
    let folder = folder();
    let (old, new, extra) = (folder.pair(2040), folder.pair_of(2025, 2041), folder.pair(2029));
    let put = |cert: &str, key: &str| {
        folder.put("tls.crt", cert);
        folder.put("tls.key", key);
    };
    put(&old.0, &old.1);
    let side = listener(&folder.settings(None), PROTOCOLS).unwrap();
    put(&[&*new.0, &extra.0].concat(), &new.1);
    assert_eq!(side.renew(NOW), Look::New, "an expired one behind it links it to a root for old callers only");
    assert_eq!(&side.expires().unwrap().rfc3339()[..4], "2041", "and is no reason to be told of an end");
    // One that comes early is taken when its time has come, and nobody has to touch the files for that.
    let early = folder.pair_of(2031, 2042);
    put(&early.0, &early.1);
    let Look::Kept(why) = side.renew(NOW) else { panic!("taken before its time") };
    assert!(why.file.ends_with("tls.crt") && why.why.contains("not valid before 2031-01-01"), "{why}");
    let in_2031 = NOW.plus(std::time::Duration::from_secs(366 * 86_400));
    assert_eq!(side.renew(in_2031), Look::New);
}

#[test]
fn what_was_proved_by_a_certificate_is_proved_anew_by_each_connection() {
    let folder = folder();
    let (cert, key) = folder.pair(2040);
    folder.put("tls.crt", &cert);
    folder.put("tls.key", &key);
    folder.put("ca.crt", &cert);
    let open = listener(&folder.settings(None), PROTOCOLS).unwrap().config();
    assert!(open.ticketer.enabled() && open.max_early_data_size == 0);
    let strict = listener(&folder.settings(Some("ca.crt")), PROTOCOLS).unwrap().config();
    assert!(!strict.ticketer.enabled() && !strict.session_storage.can_cache() && strict.send_tls13_tickets == 0);
}

#[test]
fn a_link_takes_the_systems_roots_unless_others_are_named() {
    let folder = folder();
    let (cert, key) = folder.pair(2040);
    let ca = folder.put("ca.pem", &cert);
    let named = |ca: &Path| ClientTls { ca: Some(ca.to_owned()), ..ClientTls::default() };
    let side = link(&named(&ca), PROTOCOLS).unwrap();
    assert_eq!((side.expires(), side.renew(NOW)), (None, Look::Same));
    let identity = Some((folder.put("a.crt", &cert), folder.put("a.key", &key)));
    let side = link(&ClientTls { identity, ..named(&ca) }, PROTOCOLS).unwrap();
    assert!(side.expires().is_some() && !side.config().enable_early_data);
    let error = link(&named(&folder.put("empty.pem", "")), PROTOCOLS).err().unwrap();
    assert!(error.to_string().contains("empty.pem: holds no certificate"), "{error}");
}
