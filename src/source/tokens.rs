//! The file of the admin tokens: read as a list is, and looked at for who else may read or write it.

use std::io;
use std::path::Path;

use super::file;
use crate::config::problem::{Place, Problems};
use crate::config::tokens::{Token, parse};
use crate::config::tree::Doc;

/// Thousands of tokens.
pub const MOST: u64 = 1 << 20;

/// What stands in the file; nothing where it is not there. What keeps it from being used is an error.
pub fn read(path: &Path) -> (Option<Vec<Token>>, Problems) {
    let mut problems = Problems::default();
    let whole = || Place::whole(path.display().to_string());
    // Asked first: what is not there is not waited for, as one of a list is.
    let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    if path.metadata().is_err_and(missing) {
        return (None, problems);
    }
    let text = match file::read_settled(path, MOST) {
        Ok(bytes) => String::from_utf8(bytes).ok(),
        Err(error) => {
            problems.error(whole(), "", file::unreadable(&error));
            return (None, problems);
        }
    };
    let Some(text) = text else {
        problems.error(whole(), "", "is not UTF-8 text");
        return (None, problems);
    };
    let (tokens, found) = parse(Doc { name: &path.display().to_string(), text: &text });
    problems.absorb(found);
    file::check_mode(path, true, &mut problems);
    (Some(tokens), problems)
}
