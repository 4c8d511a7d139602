//! A client's place in the list: which files its upstream secrets stand in, and what they hold.

use std::path::PathBuf;

use super::failed;
use crate::admin::answer::NOT_FOUND;
use crate::cli::called::Called;
use crate::cli::{Failure, Globals, setup};
use crate::config::clients::UpstreamEntry;
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::domain::ids::ClientKey;
use crate::domain::secret::Secret;
use crate::domain::spoken::argument;
use crate::source::file::{self, Patience};

/// A client, and where its upstream secrets are.
pub(super) struct Site {
    pub(super) settings: Settings,
    pub(super) client: ClientKey,
    pub(super) upstream: UpstreamEntry,
    /// The list's file that the client stands in.
    pub(super) list: PathBuf,
    /// The files with its upstream secrets, tried in order.
    pub(super) files: Vec<PathBuf>,
    /// ... as the list names them.
    pub(super) named: Vec<String>,
    /// What they hold.
    pub(super) known: Vec<Secret>,
}

impl Site {
    /// Reads both files.
    pub(super) fn read(globals: &Globals, client: &Called) -> anyhow::Result<Self> {
        let (settings, mut problems, _) = setup::settings(&globals.config, &[]);
        let settings = settings.filter(|_| problems.errors.is_empty()).ok_or_else(|| refused(&problems))?;
        let (texts, found) = file::read(&settings.clients.path, Patience::Settle);
        problems.absorb(found);
        let content = file::parse(texts, &mut problems);
        if !problems.errors.is_empty() {
            return Err(refused(&problems));
        }
        let names: Vec<PathBuf> = content.names().map(PathBuf::from).collect();
        let entry = content.entries.into_iter().find(|entry| client.is(&entry.key));
        let missing = || Failure::new(NOT_FOUND, format!("no client {client} in the list\n  Nothing was changed."));
        let entry = entry.ok_or_else(missing)?;
        let upstream = entry.upstream.ok_or_else(|| {
            failed(&format!("client {client} has no [client.upstream]: no secret of its own is sent for it"))
        })?;
        let list = names.get(entry.spot.file).cloned().unwrap_or_default();
        let folder = list.parent().map(PathBuf::from).unwrap_or_default();
        let files: Vec<PathBuf> = upstream.secret_files.iter().map(|path| folder.join(path)).collect();
        let named = upstream.secret_files.iter().map(|path| path.display().to_string()).collect();
        let read = |path: &PathBuf| file::read_secret(path).map_err(|why| failed(&format!("{} {why}", path.display())));
        let known = files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { settings, client: entry.key, upstream, list, files, named, known })
    }

    /// The client as commands take it.
    pub(super) fn typed(&self) -> String {
        argument(self.client.tenant.as_str(), self.client.id.as_str())
    }

    /// What the upstream calls the client.
    pub(super) fn upstream_id(&self) -> &str {
        self.upstream.id.as_ref().unwrap_or(&self.client.id).as_str()
    }
}

fn refused(problems: &Problems) -> anyhow::Error {
    let lines: Vec<String> = problems.errors.iter().map(ToString::to_string).collect();
    failed(&lines.join("\nerror: "))
}
