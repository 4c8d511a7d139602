//! Replacing a file that holds one secret, by the same means as a list: beside the old one, on the disk, then renamed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use super::replace::{Prepared, Target};
use super::{WriteFailure, folder};
use crate::domain::secret::Secret;
use zeroize::Zeroizing;

/// Why a secret file is not replaced.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct Unwritable {
    /// Which.
    pub path: PathBuf,
    /// Why, and what to do.
    pub why: String,
}

impl From<WriteFailure<Infallible>> for Unwritable {
    fn from(failure: WriteFailure<Infallible>) -> Self {
        match failure {
            WriteFailure::ReadOnly(path, why) => Self { path, why },
            WriteFailure::Failed { path, error, .. } => Self { path, why: error.to_string() },
            other => Self { path: PathBuf::new(), why: other.to_string() },
        }
    }
}

/// Proves that a file can be replaced, or made, by making what would take its place; nothing is left behind.
pub fn prove(path: &Path) -> Result<(), Unwritable> {
    prepare(path, b"").map(drop)
}

/// Puts a secret into a file; old or new, and whole, whoever looks.
pub fn put(path: &Path, secret: &Secret) -> Result<(), Unwritable> {
    let prepared = prepare(path, &Zeroizing::new([secret.expose(), b"\n"].concat()))?;
    let folder = prepared.target().folder().to_owned();
    prepared.put_in_place::<Infallible>()?;
    folder::sync(&folder).map_err(|error| Unwritable {
        path: path.to_owned(),
        why: format!("is changed, but the disk did not confirm it, and a power cut may undo it: {error}"),
    })
}

fn prepare(path: &Path, bytes: &[u8]) -> Result<Prepared, Unwritable> {
    Ok(Prepared::write::<Infallible>(Target::of::<Infallible>(path, None)?, bytes)?)
}
