//! stub
use std::path::{Path, PathBuf};
use crate::config::edit::Edit;
use crate::config::tree::Language;
/// stub
pub struct ListFile { /// stub
pub path: PathBuf, /// stub
pub name: String, /// stub
pub text: String, /// stub
pub language: Language }
/// stub
pub struct FileEdits { /// stub
pub file: usize, /// stub
pub edits: Vec<Edit> }
/// stub
pub struct Written<T> { /// stub
pub value: T }
/// stub
#[derive(Debug, thiserror::Error)]
pub enum WriteFailure<E> { /// stub
#[error("conflict")] Conflict, /// stub
#[error("x")] Change(E) }
/// stub
pub fn rewrite<T, E>(_list: &Path, mut change: impl FnMut(&[ListFile]) -> Result<(Vec<FileEdits>, T), E>) -> Result<Written<T>, WriteFailure<E>> {
    let (_, value) = change(&[]).map_err(WriteFailure::Change)?; Ok(Written { value })
}
/// stub
pub fn file_for_new_clients(_files: &[ListFile]) -> usize { 0 }
