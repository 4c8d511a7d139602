//! Certificates while they are in use: read again as they change, their end told before it comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::spoken::plural;
use crate::log::Log;
use crate::metrics::certificates::CertificateMetrics;
use crate::tls::hot::{Look, Renewable};
use crate::tls::material::Unusable;

/// How often the files are compared: a few small ones.
const LOOK: Duration = Duration::from_secs(1);
/// Days before its end at which a certificate is told of, the farthest first.
const NOTICES: [u64; 3] = [30, 7, 1];

/// Goes on while the instance runs.
pub(super) async fn follow(
    links: Vec<(String, Arc<dyn Renewable>)>,
    metrics: Arc<CertificateMetrics>,
    clock: Arc<Clock>,
    log: Log,
) {
    let mut told: HashMap<String, Told> = HashMap::new();
    while !links.is_empty() {
        for (link, renewable) in &links {
            let (renewing, now) = (renewable.clone(), clock.now());
            let Ok(look) = tokio::task::spawn_blocking(move || renewing.renew(now)).await else { continue };
            let told = told.entry(link.clone()).or_default();
            told.look(link, look, &metrics, &log);
            if let Some(expires) = renewable.expires() {
                metrics.expires.with_label_values(&[link]).set(expires.seconds());
                told.end(link, expires, now, &log);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was told of one link.
#[derive(Default)]
struct Told {
    kept: Option<Unusable>,
    at_fault: bool,
    notice: Option<(Timestamp, Notice)>,
}

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    /// Fewer than this many days: one of [`NOTICES`].
    Within(u64),
    /// It has come.
    Ended,
}

impl Notice {
    fn of(expires: Timestamp, now: Timestamp) -> Option<Self> {
        if expires <= now {
            return Some(Self::Ended);
        }
        let left = days(expires, now);
        NOTICES.into_iter().rev().find(|days| left < *days).map(Self::Within)
    }
}

/// Whole days until then.
fn days(expires: Timestamp, now: Timestamp) -> u64 {
    expires.since(now).as_secs() / 86_400
}

impl Told {
    fn look(&mut self, link: &str, look: Look, metrics: &CertificateMetrics, log: &Log) {
        let good = metrics.last_successful.with_label_values(&[link]);
        match look {
            Look::Kept(why) => {
                // The two files of a pair are seldom written at once: what stands for a moment only is not told.
                if self.kept.as_ref() == Some(&why) && !self.at_fault {
                    self.at_fault = true;
                    good.set(0);
                    let next = "the certificate before stays in use; put a whole pair there";
                    log.error("a certificate cannot be used", &[("link", &link), ("error", &why), ("next", &next)]);
                }
                self.kept = Some(why);
            }
            Look::New => {
                log.info("a new certificate is in use", &[("link", &link)]);
                self.recover(link, log);
                good.set(1);
            }
            Look::Same => {
                self.recover(link, log);
                good.set(1);
            }
        }
    }

    fn recover(&mut self, link: &str, log: &Log) {
        self.kept = None;
        if std::mem::take(&mut self.at_fault) {
            log.info("the certificate's files are good again", &[("link", &link)]);
        }
    }

    /// One line for each threshold that a certificate passes.
    fn end(&mut self, link: &str, expires: Timestamp, now: Timestamp, log: &Log) {
        let Some(notice) = Notice::of(expires, now) else { return };
        if self.notice.replace((expires, notice)) == Some((expires, notice)) {
            return;
        }
        let at = expires.rfc3339();
        let fields: [(&str, &dyn std::fmt::Display); 3] =
            [("link", &link), ("expires", &at), ("next", &"renew it: it is read again when its file changes")];
        if notice == Notice::Ended {
            log.error("a certificate has expired", &fields);
        } else {
            let days = usize::try_from(days(expires, now)).unwrap_or(usize::MAX);
            log.warn(&format!("a certificate expires in {}", plural(days, "day")), &fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn the_end_itself_is_another_notice_than_the_day_before_it() {
        let expires = Timestamp::from_millis(1_893_456_000_000);
        for (left, expected) in [
            (31 * DAY, None),
            (30 * DAY, None),
            (30 * DAY - 1, Some(Notice::Within(30))),
            (7 * DAY - 1, Some(Notice::Within(7))),
            (DAY, Some(Notice::Within(7))),
            (DAY - 1, Some(Notice::Within(1))),
            (1, Some(Notice::Within(1))),
            (0, Some(Notice::Ended)),
        ] {
            let now = Timestamp::from_millis(expires.millis() - left * 1000);
            assert_eq!(Notice::of(expires, now), expected, "{left} s before");
        }
        assert_eq!(Notice::of(expires, expires.plus(Duration::from_secs(DAY))), Some(Notice::Ended));
    }
}
