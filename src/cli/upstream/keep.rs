//! Where a new upstream secret is put: into the first of the client's files, the older ones moving one file back; into a
//! new file that comes before its only one; or into a file for the operator's own store of secrets.
//!
//! At every moment between, the files hold the old secret or the new one, or both, each whole.

use std::path::{Path, PathBuf};

use super::site::Site;
use super::{failed, usage};
use crate::admin::answer::FAILED;
use crate::cli::Failure;
use crate::config::clients::ClientList;
use crate::config::edit::{Edit, EditError};
use crate::config::tree::Doc;
use crate::domain::secret::Secret;
use crate::hash;
use crate::source::write::secret::{Unwritable, prove, put};
use crate::source::write::{FileEdits, ListFile, rewrite};

/// Where it is put.
pub(super) enum Keep {
    /// Into the files that the list names.
    Files,
    /// Into this one, which the list gets to know by this name.
    NewFile(PathBuf, String),
    /// Into this one, which the list does not know.
    Out(PathBuf),
}

impl Keep {
    /// What the arguments and the list say.
    pub(super) fn choose(site: &Site, new_file: Option<&Path>, out: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(out) = out {
            return Ok(Self::Out(std::path::absolute(out)?));
        }
        let Some(new_file) = new_file else {
            return match site.files.len() {
                1 => Err(usage(&format!(
                    "client {} has one secret file: --new-file FILE names the one for the new secret, before it",
                    site.client
                ))),
                _ => Ok(Self::Files),
            };
        };
        let path = std::path::absolute(new_file)?;
        if site.files.first().is_some_and(|first| same(first, &path)) {
            // The list knows it already: by a run that was interrupted, or by hand.
            return Ok(Self::Files);
        }
        if site.files.len() > 1 {
            return Err(usage(&format!(
                "--new-file: client {} has several files, which hold both secrets",
                site.client
            )));
        }
        let name = name_in_list(&site.list, &path).ok_or_else(|| failed("the new file's name is not UTF-8"))?;
        Ok(Self::NewFile(path, name))
    }

    /// The file that the new secret is put into.
    pub(super) fn first<'s>(&'s self, site: &'s Site) -> &'s Path {
        match self {
            Self::Files => site.files.first().map_or(&site.list, |path| path),
            Self::NewFile(path, _) | Self::Out(path) => path,
        }
    }

    /// Proves, before anything is asked of the far end, that all that will be written can be.
    pub(super) fn prove(&self, site: &Site) -> anyhow::Result<()> {
        let paths: Vec<&Path> = match self {
            Self::Files => site.files.iter().map(PathBuf::as_path).collect(),
            Self::NewFile(path, _) => vec![path, &site.list],
            Self::Out(path) => vec![path],
        };
        paths.into_iter().try_for_each(prove).map_err(|Unwritable { path, why }| {
            failed(&format!(
                "{}: {why}\n  Nothing was asked of the far end. --out FILE puts the new secret into a file of its own, for \
                 the store that this one comes from.",
                path.display()
            ))
        })
    }

    /// Refuses a file that would be written over; not where an interrupted run wrote it.
    pub(super) fn prove_free(&self) -> anyhow::Result<()> {
        match self {
            Self::NewFile(path, _) | Self::Out(path) if path.symlink_metadata().is_ok() => {
                Err(failed(&format!("{} is there already: move it away", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// The secret that the files will not hold any more.
    pub(super) fn dropped<'s>(&self, site: &'s Site) -> Option<&'s Secret> {
        let kept = site.known.len().saturating_sub(1);
        let last = site.known.last()?;
        let elsewhere = site.known.iter().take(kept).any(|secret| equal(secret, last));
        (matches!(self, Self::Files) && kept > 0 && !elsewhere).then_some(last)
    }

    /// Puts the secret there; done again, it changes nothing more. `at_once`: the old secret works no longer, so that the
    /// new one comes first. Gives the files that hold what they did not.
    pub(super) fn put(&self, site: &Site, new: &Secret, at_once: bool) -> anyhow::Result<Vec<PathBuf>> {
        let kept = |error: &dyn std::fmt::Display| {
            Failure::new(
                FAILED,
                format!("{error}\n  The new secret is kept: remove the cause and run the same command again."),
            )
        };
        match self {
            Self::Out(path) => put(path, new).map_err(|error| kept(&error))?,
            Self::NewFile(path, name) => {
                put(path, new).map_err(|error| kept(&error))?;
                enlist(site, name).map_err(|error| kept(&error))?;
                return Ok(vec![path.clone(), site.list.clone()]);
            }
            Self::Files => {
                let mut changes: Vec<_> = shifted(&site.known, new)
                    .into_iter()
                    .zip(site.files.iter().zip(&site.known))
                    .filter(|(wanted, (_, held))| !equal(wanted, held))
                    .map(|(wanted, (path, _))| (path, wanted))
                    .collect();
                if !at_once {
                    changes.reverse();
                }
                for (path, wanted) in &changes {
                    put(path, wanted).map_err(|error| kept(&error))?;
                }
                return Ok(changes.into_iter().map(|(path, _)| path.clone()).collect());
            }
        }
        Ok(vec![self.first(site).to_owned()])
    }
}

/// What each file is to hold: the new secret, then those that were there, each once.
fn shifted<'s>(known: &'s [Secret], new: &'s Secret) -> Vec<&'s Secret> {
    let mut order = vec![new];
    for secret in known {
        if !order.iter().any(|held| equal(held, secret)) {
            order.push(secret);
        }
    }
    order
}

fn equal(a: &Secret, b: &Secret) -> bool {
    hash::sha256(a.expose()).matches(&hash::sha256(b.expose())).into()
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// Below the list's folder a path is written from there, as people write it.
fn name_in_list(list: &Path, path: &Path) -> Option<String> {
    let folder = list.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let below = || {
        let parent = path.parent()?.canonicalize().ok()?;
        Some(parent.strip_prefix(folder.canonicalize().ok()?).ok()?.join(path.file_name()?))
    };
    below().unwrap_or_else(|| path.to_owned()).to_str().map(str::to_owned)
}

/// Puts the new file before the one that the list names.
fn enlist(site: &Site, name: &str) -> Result<(), String> {
    let files: Vec<String> = std::iter::once(name.to_owned()).chain(site.named.iter().cloned()).collect();
    let edit = Edit::SetUpstreamFiles { client: site.client.clone(), files };
    let holds = |file: &ListFile| {
        let (list, _) = ClientList::parse(Doc { name: &file.name, text: &file.text }, file.language, 0);
        list.is_some_and(|list| list.clients.iter().any(|client| client.key == site.client))
    };
    let change = |read: &[ListFile]| match read.iter().position(holds) {
        Some(file) => Ok((vec![FileEdits { file, edits: vec![edit.clone()] }], ())),
        None => Err(EditError::NoClient(site.client.clone())),
    };
    rewrite(&site.settings.clients.path, &[], change).map(drop).map_err(|failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_one_comes_first_and_each_stays_once() {
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        for (known, wanted) in [
            ("a b", "n a b"),
            ("a", "n a"),
            ("a a", "n a"),
            ("n a", "n a"),
            ("a b c", "n a b c"),
            ("a a b", "n a b"),
            ("n n", "n"),
        ] {
            let known: Vec<_> = known.split(' ').map(secret).collect();
            let new = secret("n");
            let order = shifted(&known, &new).into_iter().map(|s| std::str::from_utf8(s.expose()).unwrap());
            assert_eq!(order.collect::<Vec<_>>().join(" "), wanted);
        }
    }
}
