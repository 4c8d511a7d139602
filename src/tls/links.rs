//! Every link of an instance that TLS secures: read together before it starts, looked after together while it runs.

use std::sync::Arc;

use super::hot::Renewable;
use super::material::Unusable;
use super::server::{ServerSide, listener};
use super::{H2, HTTP_11};
use crate::config::problem::{Place, Problems};
use crate::config::settings::Settings;
use crate::config::settings::tls::ServerTls;

/// The TLS of an instance.
#[derive(Default)]
pub struct Links {
    /// Callers to us.
    pub proxy: Option<Arc<ServerSide>>,
    /// Prometheus to us.
    pub telemetry: Option<Arc<ServerSide>>,
    /// Commands to us, at an address.
    pub admin: Option<Arc<ServerSide>>,
    /// All of them, by the name of their section.
    pub all: Vec<(String, Arc<dyn Renewable>)>,
}

impl Links {
    /// Reads every file that the settings name. What cannot be used is reported, all of it.
    pub fn read(settings: &Settings, problems: &mut Problems) -> Self {
        let mut links = Self::default();
        let both: &[&[u8]] = &[H2, HTTP_11];
        let of_proxy = if settings.proxy.http2 { both } else { &[HTTP_11] };
        links.proxy = links.listener("proxy", settings.proxy.tls.as_ref(), of_proxy, problems);
        links.telemetry = links.listener("telemetry", settings.telemetry.tls.as_ref(), &[HTTP_11], problems);
        links.admin = links.listener("admin", settings.admin.tls.as_ref(), &[HTTP_11], problems);
        links
    }

    fn listener(
        &mut self,
        section: &str,
        settings: Option<&ServerTls>,
        protocols: &'static [&'static [u8]],
        problems: &mut Problems,
    ) -> Option<Arc<ServerSide>> {
        self.keep(section, listener(settings?, protocols), problems)
    }

    fn keep<R: Renewable + 'static>(
        &mut self,
        section: &str,
        read: Result<R, Unusable>,
        problems: &mut Problems,
    ) -> Option<Arc<R>> {
        match read {
            Ok(read) => {
                let read = Arc::new(read);
                self.all.push((section.to_owned(), read.clone()));
                Some(read)
            }
            Err(Unusable { file, why }) => {
                problems.error(Place::whole(file.display().to_string()), format!("{section}.tls"), why);
                None
            }
        }
    }
}
