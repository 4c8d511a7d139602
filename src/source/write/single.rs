//! Changing one file that is no list, by the same rules: under the lock of its folder, whole or not at all.

use std::io;
use std::path::Path;

use super::replace::{Prepared, Target};
use super::{AGAIN, WriteFailure, folder};
use crate::source::file;

/// Reads a file under its folder's lock, empty where it is not there yet, and writes what `change` makes of it. Asked again
/// when somebody without the lock (an editor) changed it meanwhile.
pub fn rewrite_file<T, E>(
    path: &Path,
    most: u64,
    mut change: impl FnMut(&str) -> Result<(String, T), E>,
) -> Result<T, WriteFailure<E>> {
    let failed = |error: io::Error| WriteFailure::failed(path, error);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Behind a symlink is the folder that other commands lock too.
    let beside = if path.exists() { path } else { parent };
    let folder = folder::of(beside).map_err(failed)?;
    let Some(_lock) = folder::lock(&folder).map_err(failed)? else { return Err(WriteFailure::Conflict(folder)) };
    for _ in 0..=AGAIN {
        let old = match file::read_settled(path, most) {
            Ok(bytes) => Some(String::from_utf8(bytes).map_err(|_| failed(io::Error::other("is not UTF-8 text")))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(io::Error::other(file::unreadable(&error)))),
        };
        let (text, value) = change(old.as_deref().unwrap_or_default()).map_err(WriteFailure::Change)?;
        let target = Target::of(path, old.as_deref())?;
        folder::sweep(&folder);
        let prepared = Prepared::write(target, text.as_bytes())?;
        if prepared.target().unchanged() {
            let real = prepared.target().folder().to_owned();
            prepared.put_in_place()?;
            folder::sync(&real).map_err(|error| {
                failed(io::Error::other(format!("is changed, but the disk did not confirm it: {error}")))
            })?;
            return Ok(value);
        }
    }
    Err(WriteFailure::Conflict(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_made_for_us_alone_and_changed_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        let add = |text: &str| Ok::<_, String>((format!("{text}x\n"), text.len()));
        assert_eq!(rewrite_file(&path, 100, add).unwrap(), 0);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(rewrite_file(&path, 100, add).unwrap(), 2);
        let refused = rewrite_file(&path, 100, |_| Err::<(String, ()), _>("no".to_owned()));
        assert!(matches!(refused, Err(WriteFailure::Change(why)) if why == "no"));
        let mut editor = Some(());
        let overtaken = rewrite_file(&path, 100, |text| {
            if editor.take().is_some() {
                std::fs::write(&path, "edited\n").unwrap();
            }
            Ok::<_, String>((format!("{text}y\n"), ()))
        });
        overtaken.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "edited\ny\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
