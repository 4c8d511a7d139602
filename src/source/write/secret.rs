//! Replacing a file that holds one secret, by the same means as a list: beside the old one, on the disk, then renamed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::replace::{Prepared, Target};
use super::{WriteFailure, folder};
use crate::domain::secret::Secret;

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
    replace(path, b"", drop)
}

/// Puts a secret into a file; old or new, and whole, whoever looks.
pub fn put(path: &Path, secret: &Secret) -> Result<(), Unwritable> {
    let bytes = Zeroizing::new([secret.expose(), b"\n"].concat());
    replace(path, &bytes, |prepared| {
        let folder = prepared.target().folder().to_owned();
        prepared.put_in_place::<Infallible>()?;
        folder::sync(&folder).map_err(|error| {
            let why = format!("is changed, but the disk did not confirm it, and a power cut may undo it: {error}");
            Unwritable { path: path.to_owned(), why }
        })
    })?
}

/// Makes what is to take the file's place, under the folder's lock, and removes what a killed run left there.
fn replace<T>(path: &Path, bytes: &[u8], then: impl FnOnce(Prepared) -> T) -> Result<T, Unwritable> {
    let target = Target::of::<Infallible>(path, None)?;
    let unwritable = |why: String| Unwritable { path: path.to_owned(), why };
    let lock =
        folder::lock(target.folder()).map_err(|error| unwritable(format!("its folder cannot be locked: {error}")))?;
    let _lock = lock.ok_or_else(|| unwritable("somebody else is changing its folder: try again".to_owned()))?;
    folder::sweep(target.folder());
    Ok(then(Prepared::write::<Infallible>(target, bytes)?))
}
