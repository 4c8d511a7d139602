//! Changes to the text of a tokens file. What is not changed stays as it was written.

use toml_edit::{Document, Item, Table};

use super::splice::{Rank, Splices, above, line_end, line_start};
use super::written::quoted;
use crate::config::tokens::{Scope, TokenName};

/// A token as it is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: TokenName,
    /// Its written hash.
    pub hash: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When its time is over, RFC 3339.
    pub expires: Option<String>,
}

/// Why a change cannot be made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHere {
    /// It is no TOML.
    #[error("the file of the tokens is not valid TOML: `relatch config check` says where")]
    Unreadable,
    /// `token = [...]`.
    #[error("the tokens stand in one list in brackets: write each under a [[token]] of its own first")]
    InBrackets,
    /// There is none of that name.
    #[error("there is no token of that name: `relatch token list` shows them")]
    Unknown,
}

/// The text with one more token at its end.
pub fn add(text: &str, new: &NewToken) -> Result<String, NotHere> {
    tables(text, |_| ())?;
    let mut splices = Splices::of(text);
    let eol = splices.eol;
    let scopes: Vec<String> = new.scopes.iter().map(|scope| quoted(scope.as_str())).collect();
    let mut entry = format!("[[token]]{eol}name = {}{eol}", quoted(new.name.as_str()));
    entry += &format!("hash = {}{eol}scopes = [{}]{eol}", quoted(&new.hash), scopes.join(", "));
    entry += &format!("created = {}{eol}", quoted(&new.created));
    if let Some(expires) = &new.expires {
        entry += &format!("expires = {}{eol}", quoted(expires));
    }
    splices.paste_entry(text.len(), Rank::Client, &entry, true);
    Ok(splices.done())
}

/// The text without a token, and without the comment right above it.
pub fn remove(text: &str, name: &TokenName) -> Result<String, NotHere> {
    let lines = tables(text, |tables| {
        let own = tables.iter().find(|table| table.get("name").and_then(Item::as_str) == Some(name.as_str()))?;
        let header = own.span()?;
        let ends = own.get_values().into_iter().filter_map(|(_, value)| Some(value.span()?.end));
        let end = ends.max().unwrap_or(header.end);
        Some(above(text, line_start(text, header.start))..line_end(text, end))
    })?;
    let mut splices = Splices::of(text);
    splices.cut_entry(lines.ok_or(NotHere::Unknown)?);
    Ok(splices.done())
}

/// What `look` finds among the tables of the tokens.
fn tables<T>(text: &str, look: impl FnOnce(&[&Table]) -> T) -> Result<T, NotHere> {
    let document = Document::parse(text).map_err(|_| NotHere::Unreadable)?;
    match document.get("token") {
        None => Ok(look(&[])),
        Some(Item::ArrayOfTables(tables)) => Ok(look(&tables.iter().collect::<Vec<_>>())),
        Some(_) => Err(NotHere::InBrackets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tokens;
    use crate::config::tree::Doc;

    fn new(name: &str, digest: char) -> NewToken {
        NewToken {
            name: TokenName::parse(name).unwrap(),
            hash: format!("$sha256${}", digest.to_string().repeat(42) + "A"),
            scopes: vec![Scope::ReadClients, Scope::Admin],
            created: "2026-11-21T01:30:00Z".to_owned(),
            expires: Some("2027-11-21T01:30:00Z".to_owned()),
        }
    }

    #[test]
    fn what_is_added_reads_back_and_its_removal_leaves_the_text_as_it_was() {
        let one = add("", &new("a", 'a')).unwrap();
        let two = add(&one, &new("b", 'b')).unwrap();
        for text in [one, two.clone(), two.replace('\n', "\r\n"), format!("# Ours.\n\n{two}\n# The end.\n")] {
            let changed = add(&text, &new("c", 'c')).unwrap();
            let (read, problems) = tokens::parse(Doc { name: "t", text: &changed });
            assert!(problems.errors.is_empty(), "{problems:?}");
            let last = read.last().unwrap();
            assert_eq!((last.name.as_str(), last.scopes.len()), ("c", 2));
            assert!(last.expires > last.created && changed.starts_with(text.trim_end()));
            assert_eq!(remove(&changed, &last.name).unwrap().trim_end(), text.trim_end());
        }
    }

    #[test]
    fn comments_stay_but_for_the_one_of_a_token_that_goes() {
        let text = "# Who may call.\n\n# The pipeline.\n[[token]]\nname = \"ci\"\nhash = \"x\" # 2026\n\n\
                    # Ours.\n[[token]]\nname = 'ops'\n";
        let without = |name: &str| remove(text, &TokenName::parse(name).unwrap());
        assert_eq!(without("ci").unwrap(), "# Who may call.\n\n# Ours.\n[[token]]\nname = 'ops'\n");
        assert_eq!(without("ops").unwrap(), text.split("\n# Ours.").next().unwrap());
        assert_eq!(without("nobody"), Err(NotHere::Unknown));
        assert_eq!(add("token = []\n", &new("a", 'a')), Err(NotHere::InBrackets));
        assert_eq!(remove("token = [", &TokenName::parse("a").unwrap()), Err(NotHere::Unreadable));
    }
}
