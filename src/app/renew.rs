//! Certificates and keys are looked at again and again; what changed whole is in force for the connections that come.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::clock::Clock;
use crate::log::Log;
use crate::tls::hot::{Look, Renewable};

/// Something to be renewed, under the name of its table.
pub(super) type Named = (String, Arc<dyn Renewable>);

/// Goes on while the instance runs.
pub(super) async fn follow(all: Vec<Named>, every: Duration, clock: Arc<Clock>, log: Log) {
    let mut told = vec![Look::Same; all.len()];
    loop {
        tokio::time::sleep(every).await;
        for ((table, one), told) in all.iter().zip(&mut told) {
            let look = one.renew(clock.now());
            match &look {
                Look::New => {
                    let expires = one.expires().map_or_else(|| "-".to_owned(), |at| at.rfc3339());
                    log.info("new certificates are in force", &[("table", table), ("expires", &expires)]);
                }
                Look::Kept(why) if look != *told => {
                    let next = "connections go on with the ones before; correct the files, they are read again";
                    let fields: [(&str, &dyn std::fmt::Display); 3] =
                        [("table", table), ("error", why), ("next", &next)];
                    log.error("new certificates cannot be used", &fields);
                }
                Look::Kept(_) | Look::Same => {}
            }
            *told = look;
        }
    }
}
