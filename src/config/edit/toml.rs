//! Edits to TOML: a parser says where things stand, and only the bytes that an edit is about are touched.

use std::collections::HashSet;

use toml_edit::{Document, InlineTable, Item, Table, Value};

use super::commas::Commas;
use super::entry::{Entry, entries, key_of, keys};
use super::splice::{Rank, Splices, above, below, eol, indent, line_end, line_start};
use super::written::{braces, client_inline, client_tables, pair, written};
use super::{Edit, EditError, NewClient, NewSecret, Scalar};
use crate::domain::ids::{ClientKey, SecretId};

/// What a text is part of.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// How the whole text ends its lines.
    pub(super) eol: &'static str,
    /// How many clients and secrets stand outside of this part, and count for `[end]` too.
    pub(super) outside: (usize, usize),
}

impl Frame {
    pub(super) fn whole(text: &str) -> Self {
        Self { eol: eol(text), outside: (0, 0) }
    }
}

/// How many clients and secrets stand in a text.
pub(super) fn counts(text: &str) -> Result<(usize, usize), EditError> {
    Ok(Page::read(text, Frame::whole(text))?.counts())
}

/// The text with the changes made; with none of them, with the counts of `[end]` made right.
pub(super) fn apply(text: &str, edits: &[Edit], frame: Frame) -> Result<String, EditError> {
    let edits = one_key_each(edits);
    let mut rest = edits.as_slice();
    let open = !text.is_empty() && !text.ends_with('\n');
    let mut text = text.to_owned();
    loop {
        let page = Page::read(&text, frame)?;
        let (now, later) = rest.split_at(page.together(rest));
        text = page.make(now)?;
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    // Where the last entry was taken out, the one before it became the last.
    Ok(if open { text.trim_end_matches(['\r', '\n']).to_owned() } else { text })
}

/// Edits that set several keys, as one edit a key: each then finds the text as the one before it left it.
fn one_key_each(edits: &[Edit]) -> Vec<Edit> {
    let mut single = Vec::with_capacity(edits.len());
    for edit in edits {
        match edit {
            Edit::SetSecret { client, secret, set } if set.len() > 1 => {
                single.extend(set.iter().map(|key| Edit::SetSecret {
                    client: client.clone(),
                    secret: secret.clone(),
                    set: vec![key.clone()],
                }))
            }
            other => single.push(other.clone()),
        }
    }
    single
}

/// A header and the lines below it, whose they are.
struct Block {
    start: usize,
    end: usize,
    client: Option<usize>,
    secret: Option<usize>,
    last: bool,
}

/// A text and what stands where in it.
struct Page<'t> {
    text: &'t str,
    frame: Frame,
    document: Document<&'t str>,
    blocks: Vec<Block>,
}

impl<'t> Page<'t> {
    fn read(text: &'t str, frame: Frame) -> Result<Self, EditError> {
        let document = Document::parse(text)
            .map_err(|error| EditError::Unreadable(format!("not valid TOML: {}", error.message())))?;
        let mut page = Self { text, frame, document, blocks: Vec::new() };
        let mut blocks = Vec::new();
        page.collect(page.document.as_table(), (None, None), &mut blocks);
        blocks.sort_by_key(|block| block.start);
        page.blocks = blocks;
        Ok(page)
    }

    /// How many of the edits, from the first, can be made in one go: each about another client.
    fn together(&self, edits: &[Edit]) -> usize {
        if self.document.get("client").is_some_and(Item::is_array) {
            return edits.len().min(1);
        }
        let mut seen = HashSet::new();
        edits.iter().take_while(|edit| self.is_idle(edit) || seen.insert(edit.client())).count().max(edits.len().min(1))
    }

    /// Whether an edit takes away a key that is not there.
    fn is_idle(&self, edit: &Edit) -> bool {
        let Edit::SetSecret { client, secret, set } = edit else { return false };
        let entry = self.secret(client, secret);
        entry.is_ok_and(|(.., entry)| set.iter().all(|(key, value)| value.is_none() && entry.get(key).is_none()))
    }

    fn collect(&self, table: &Table, owner: (Option<usize>, Option<usize>), blocks: &mut Vec<Block>) {
        for (key, item) in table {
            let tables: Vec<&Table> = match item {
                Item::Table(table) => vec![table],
                Item::ArrayOfTables(tables) => tables.iter().collect(),
                _ => continue,
            };
            for (index, table) in tables.into_iter().enumerate() {
                let owner = match (key, owner) {
                    ("client", (None, None)) => (Some(index), None),
                    ("secret", (Some(client), None)) => (Some(client), Some(index)),
                    _ => owner,
                };
                if let Some(header) = table.span().filter(|_| !table.is_implicit() && !table.is_dotted()) {
                    let body = keys(self.text, table).last().map_or(header.end, |range| range.end);
                    blocks.push(Block {
                        start: line_start(self.text, header.start),
                        end: line_end(self.text, body),
                        client: owner.0,
                        secret: owner.1,
                        last: owner == (None, None) && key == "end",
                    });
                }
                self.collect(table, owner, blocks);
            }
        }
    }

    fn make(&self, edits: &[Edit]) -> Result<String, EditError> {
        let mut splices = Splices::of(self.text);
        splices.eol = self.frame.eol;
        let mut added = Vec::new();
        for edit in edits {
            match edit {
                Edit::AddClient(new) => self.add_client(new, &mut added, &mut splices)?,
                Edit::RemoveClient(id) => match self.client(id)? {
                    (index, Entry::Table(_)) => self.cut(|block| block.client == Some(index), &mut splices),
                    (index, Entry::Inline(_)) => {
                        self.commas(self.document.get("client")).inspect(|commas| commas.remove(index, &mut splices));
                    }
                },
                Edit::SetClient { client, key, value } => {
                    self.set(self.client(client)?.1, key, value.as_ref(), &mut splices);
                }
                Edit::SetUpstreamFiles { client, files } => self.set_upstream_files(client, files, &mut splices)?,
                Edit::AddSecret { client, secret } => self.add_secret(self.client(client)?, secret, &mut splices),
                Edit::SetSecret { client, secret, set } => {
                    let entry = self.secret(client, secret)?.2;
                    set.iter().for_each(|(key, value)| self.set(entry, key, value.as_ref(), &mut splices));
                }
                Edit::RemoveSecret { client, secret } => match self.secret(client, secret)? {
                    (client, index, Entry::Table(_)) => {
                        self.cut(|block| block.client == Some(client) && block.secret == Some(index), &mut splices);
                    }
                    (_, index, Entry::Inline(_)) => {
                        let list = self.client(client)?.1.get("secret");
                        self.commas(list).inspect(|commas| commas.remove(index, &mut splices));
                    }
                },
            }
        }
        if !added.is_empty() {
            let end = self.blocks.last().filter(|block| block.last);
            let at = end.map_or(self.text.len(), |block| above(self.text, block.start));
            splices.paste_entry(at, Rank::Client, &added.join(splices.eol), true);
        }
        self.count(edits, &mut splices);
        Ok(splices.done())
    }

    fn add_client(&self, new: &NewClient, added: &mut Vec<String>, splices: &mut Splices<'_>) -> Result<(), EditError> {
        if self.client(&new.key).is_ok() {
            return Err(EditError::ClientExists(new.key.clone()));
        }
        let eol = splices.eol;
        let end_above = key_of(self.text, self.document.as_table(), "end");
        match (self.document.get("client"), end_above) {
            (Some(Item::Value(Value::Array(_))), _) => {
                let entry = client_inline(new);
                self.commas(self.document.get("client")).inspect(|commas| commas.add(&entry, splices));
            }
            // `end` stands among the keys at the top, where no header can come before it.
            (None, Some(end)) => {
                let at = above(self.text, line_start(self.text, end.start));
                let entry = format!("client = [{eol}  {},{eol}]{eol}", client_inline(new));
                splices.paste_lines(at, Rank::Client, &entry);
            }
            (None | Some(Item::ArrayOfTables(_)), _) => added.push(client_tables(new, eol)),
            _ => return Err(EditError::Unreadable("client is not a list of tables".to_owned())),
        }
        Ok(())
    }

    fn add_secret(&self, (index, client): (usize, Entry<'_>), new: &NewSecret, splices: &mut Splices<'_>) {
        if let Some(commas) = self.commas(client.get("secret")) {
            return commas.add(&braces(&new.keys()), splices);
        }
        if let Entry::Inline(table) = client {
            return self.in_braces(table).add(&format!("secret = [{}]", braces(&new.keys())), splices);
        }
        let mine = || self.blocks.iter().filter(|block| block.client == Some(index));
        let sibling = mine().rfind(|block| block.secret.is_some());
        let Some(model) = sibling.or_else(|| mine().next()) else { return };
        let Some(last) = sibling.or_else(|| mine().next_back()) else { return };
        let header = self.text.get(model.start..).unwrap_or_default();
        let spaces = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
        let outer = header.get(..spaces(header)).unwrap_or_default();
        let key = if sibling.is_some() { client.entries("secret").last().copied() } else { Some(client) };
        let first = key.and_then(|entry| keys(self.text, entry.like()).first().cloned());
        let inner = first.and_then(|key| indent(self.text, key.start)).unwrap_or_default();
        // Apart as the one before it stands apart; and from a comment, which would be taken for its own.
        let (before, at) = (above(self.text, model.start), below(self.text, last.end));
        let apart = sibling.is_none()
            || at > last.end
            || self.text.get(..before).is_some_and(|text| text.ends_with("\n\n") || text.ends_with("\n\r\n"));
        let mut entry = format!("{outer}[[client.secret]]{}", splices.eol);
        new.keys().iter().for_each(|(key, value)| entry += &format!("{inner}{}{}", pair(key, value), splices.eol));
        splices.paste_entry(at, Rank::Secret, &entry, apart);
    }

    /// The files take the place of the one or the several that stand there.
    fn set_upstream_files(
        &self,
        client: &ClientKey,
        files: &[String],
        splices: &mut Splices<'_>,
    ) -> Result<(), EditError> {
        let upstream = match self.client(client)?.1.get("upstream") {
            Some(Item::Table(table)) => Entry::Table(table),
            Some(Item::Value(Value::InlineTable(table))) => Entry::Inline(table),
            _ => return Err(EditError::NoUpstream(client.clone())),
        };
        let key = ["secret_files", "secret_file"].into_iter().find_map(|key| upstream.like().get_key_value(key));
        let spot = key.and_then(|(key, item)| Some(key.span()?.start..item.span()?.end));
        let spot = spot.ok_or_else(|| EditError::NoUpstream(client.clone()))?;
        splices.replace(spot, pair("secret_files", &Scalar::List(files.to_vec())));
        Ok(())
    }

    /// Sets or takes out one key of an entry.
    fn set(&self, entry: Entry<'_>, key: &str, value: Option<&Scalar>, splices: &mut Splices<'_>) {
        let spot = entry.get(key).and_then(Item::span);
        match (spot, value, entry) {
            (Some(spot), Some(value), _) => splices.replace(spot, written(value)),
            (None, None, _) => {}
            (Some(_), None, Entry::Table(table)) => {
                let Some(range) = key_of(self.text, table, key) else { return };
                splices.cut(line_start(self.text, range.start)..line_end(self.text, range.end));
            }
            (Some(_), None, Entry::Inline(table)) => {
                let index =
                    table.get_values().iter().position(|(path, _)| path.first().is_some_and(|k| k.get() == key));
                if let Some(index) = index {
                    self.in_braces(table).remove(index, splices);
                }
            }
            (None, Some(value), Entry::Table(table)) => {
                let Some(header) = table.span() else { return };
                let last = keys(self.text, table).last().cloned();
                let inner = last.as_ref().and_then(|range| indent(self.text, range.start)).unwrap_or_default();
                let at = line_end(self.text, last.map_or(header.end, |range| range.end));
                splices.paste_lines(at, Rank::Inside, &format!("{inner}{}{}", pair(key, value), splices.eol));
            }
            (None, Some(value), Entry::Inline(table)) => self.in_braces(table).add(&pair(key, value), splices),
        }
    }

    /// Cuts blocks out; those that follow each other go with what stands between them.
    fn cut(&self, mine: impl Fn(&Block) -> bool, splices: &mut Splices<'_>) {
        for run in self.blocks.chunk_by(|a, b| mine(a) == mine(b)) {
            if let (Some(first), Some(last)) = (run.first().filter(|block| mine(block)), run.last()) {
                splices.cut_entry(above(self.text, first.start)..last.end);
            }
        }
    }

    /// How many clients and secrets stand here.
    fn counts(&self) -> (usize, usize) {
        let all = entries(self.document.get("client"));
        (all.len(), all.iter().map(|entry| entry.entries("secret").len()).sum())
    }

    /// Sets the counts of `[end]`, where it is there, to what they are after the edits.
    fn count(&self, edits: &[Edit], splices: &mut Splices<'_>) {
        let Some(end) = self.document.get("end").and_then(Item::as_table_like) else { return };
        let secrets_of = |entry: &Entry<'_>| entry.entries("secret").len();
        let (own, outside) = (self.counts(), self.frame.outside);
        let (mut clients, mut secrets) = (own.0 + outside.0, own.1 + outside.1);
        for edit in edits {
            match edit {
                Edit::AddClient(new) => (clients, secrets) = (clients + 1, secrets + new.secrets.len()),
                Edit::AddSecret { .. } => secrets += 1,
                Edit::RemoveSecret { .. } => secrets = secrets.saturating_sub(1),
                Edit::RemoveClient(id) => {
                    let gone = self.client(id).map_or(0, |(_, entry)| secrets_of(&entry));
                    (clients, secrets) = (clients.saturating_sub(1), secrets.saturating_sub(gone));
                }
                Edit::SetClient { .. } | Edit::SetUpstreamFiles { .. } | Edit::SetSecret { .. } => {}
            }
        }
        for (key, number) in [("clients", clients), ("secrets", secrets)] {
            let item = end.get(key).filter(|item| item.as_integer() != i64::try_from(number).ok());
            if let Some(spot) = item.and_then(Item::span) {
                splices.replace(spot, number.to_string());
            }
        }
    }

    fn client(&self, key: &ClientKey) -> Result<(usize, Entry<'_>), EditError> {
        let its_own = |(_, entry): &(usize, Entry<'_>)| {
            entry.text("id") == key.id.as_str() && entry.text("tenant") == key.tenant.as_str()
        };
        let clients = entries(self.document.get("client"));
        clients.into_iter().enumerate().find(its_own).ok_or_else(|| EditError::NoClient(key.clone()))
    }

    fn secret(&self, client: &ClientKey, id: &SecretId) -> Result<(usize, usize, Entry<'_>), EditError> {
        let (index, entry) = self.client(client)?;
        let mut secrets = entry.entries("secret").into_iter().enumerate();
        secrets
            .find(|(_, entry)| entry.text("id") == id.as_str())
            .map(|(secret, entry)| (index, secret, entry))
            .ok_or_else(|| EditError::NoSecret(client.clone(), id.clone()))
    }

    /// The elements of an inline array.
    fn commas(&self, item: Option<&Item>) -> Option<Commas<'t>> {
        let array = item?.as_array()?;
        let items = array.iter().filter_map(Value::span).collect();
        Some(Commas::new(self.text, &array.span()?, items))
    }

    /// The keys of a table in braces.
    fn in_braces(&self, table: &InlineTable) -> Commas<'t> {
        Commas::new(self.text, &table.span().unwrap_or_default(), keys(self.text, table))
    }
}
