//! Files that a TLS configuration is made of, and the configuration in force: replaced when all of them together make a
//! new one, kept when they do not.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

use super::material::{Pem, Unusable, Validity};
use crate::domain::clock::Timestamp;

/// What a configuration is made of.
pub trait Recipe: Send + Sync + 'static {
    /// What is made.
    type Config: Send + Sync;

    /// The files, in the order that [`Recipe::make`] takes them.
    fn files(&self) -> Vec<PathBuf>;

    /// Makes it of their content.
    fn make(&self, files: &[Pem]) -> Result<Made<Self::Config>, Unusable>;
}

/// A configuration, and when the certificate in it is valid.
pub struct Made<C> {
    /// It.
    pub config: C,
    /// ... if there is one.
    pub validity: Option<Validity>,
}

/// The configuration in force.
pub struct Hot<R: Recipe> {
    recipe: R,
    config: ArcSwap<R::Config>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    fingerprint: [u8; 32],
    validity: Option<Validity>,
}

/// What came of looking again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The files are what they were.
    Same,
    /// A new configuration is in force.
    New,
    /// What is there cannot be used: the one before stays.
    Kept(Unusable),
}

/// Configurations that are looked after alike.
pub trait Renewable: Send + Sync {
    /// Reads the files again and takes what they hold, all of it or nothing.
    fn renew(&self, now: Timestamp) -> Look;

    /// When the certificate in force expires, where there is one.
    fn expires(&self) -> Option<Timestamp>;
}

impl<R: Recipe> Hot<R> {
    /// Reads the files for the first time.
    pub fn read(recipe: R) -> Result<Self, Unusable> {
        let files = read(&recipe)?;
        let Made { config, validity } = recipe.make(&files)?;
        let seen = Mutex::new(Seen { fingerprint: fingerprint(&files), validity });
        Ok(Self { recipe, config: ArcSwap::from_pointee(config), seen })
    }

    /// The configuration for a new connection.
    pub fn config(&self) -> Arc<R::Config> {
        self.config.load_full()
    }
}

impl<R: Recipe> Renewable for Hot<R> {
    fn renew(&self, now: Timestamp) -> Look {
        let files = match read(&self.recipe) {
            Ok(files) => files,
            Err(unusable) => return Look::Kept(unusable),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = fingerprint(&files);
        if fingerprint == seen.fingerprint {
            return Look::Same;
        }
        let Made { config, validity } = match self.recipe.make(&files) {
            Ok(made) => made,
            Err(unusable) => return Look::Kept(unusable),
        };
        if let Some(why) = validity.and_then(|validity| validity.objection(now)) {
            let file = self.recipe.files().into_iter().next().unwrap_or_default();
            return Look::Kept(Unusable { file, why });
        }
        self.config.store(Arc::new(config));
        *seen = Seen { fingerprint, validity };
        Look::New
    }

    fn expires(&self) -> Option<Timestamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).validity.map(|validity| validity.not_after)
    }
}

fn read<R: Recipe>(recipe: &R) -> Result<Vec<Pem>, Unusable> {
    recipe.files().iter().map(|path| Pem::read(path)).collect()
}

fn fingerprint(files: &[Pem]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in files {
        hash.update((file.bytes().len() as u64).to_le_bytes());
        hash.update(file.bytes());
    }
    hash.finalize().into()
}
