//! Warnings ahead of an end.

use super::{Home, list};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

/// A time so many days from now, and half an hour.
fn in_days(days: i64) -> String {
    let ahead = jiff::SignedDuration::from_hours(24 * days) + jiff::SignedDuration::from_mins(30);
    format!("expires = {}", jiff::Timestamp::now() + ahead)
}

fn notices(sidecar: &Sidecar, secret: &str) -> Vec<String> {
    let about = |line: &&serde_json::Value| line["msg"] == "a secret expires soon" && line["secret_id"] == secret;
    sidecar.log_lines().iter().filter(about).map(|line| line["notice_days"].to_string()).collect()
}

#[test]
fn each_threshold_is_told_once_in_the_log_and_stands_in_the_scrape() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let with = |soon: i64| {
        list(&[
            ("soon", "soon-s3cr3t-7Hq2", &in_days(soon)),
            ("later", "later-s3cr3t-7Hq2", &in_days(100)),
            ("never", "never-s3cr3t-7Hq2", ""),
            ("off", "off-s3cr3t-7Hq2", &format!("status = \"disabled\"\n{}", in_days(3))),
        ])
    };
    let sidecar = home.guard(&with(14)).upstream(&upstream).start();
    let notice = |secret: &str| {
        sidecar.metric("relatch_client_secret_expiry_notice_days", &[("client_id", "c1"), ("secret_id", secret)])
    };
    sidecar.wait_log(|line| line["msg"] == "a secret expires soon");
    assert_eq!(["soon", "later", "never", "off"].map(notice), [Some(15.0), None, None, None]);
    sidecar.write_clients(&with(6));
    sidecar.wait_log(|line| line["msg"] == "a secret expires soon" && line["notice_days"] == "7");
    assert_eq!(notice("soon"), Some(7.0));
    assert_eq!(notices(&sidecar, "soon"), ["\"15\"", "\"7\""]);
    assert_eq!(notices(&sidecar, "off").len() + notices(&sidecar, "later").len(), 0);
    sidecar.finish(&upstream);
}
