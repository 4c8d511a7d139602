//! A table, for systems of one's own: a line of names, then a line a secret. Lines of one client need not be together.

use std::collections::HashMap;

use anyhow::{anyhow, bail};
use csv::{ReaderBuilder, StringRecord, Trim};

use super::object;
use super::{Draft, DraftSecret, Intake, Refused, Stored};
use crate::domain::clock::Timestamp;

const COLUMNS: [&str; 10] =
    ["client_id", "tenant", "name", "secret_id", "secret_name", "hash", "secret", "created", "not_before", "expires"];

pub(super) fn read(text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    // Lines of another length are told one by one below, and quotes never end the reading of the rest.
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::Headers).from_reader(text.as_bytes());
    let columns = Columns::read(reader.headers().map_err(|error| unreadable(&error))?)?;
    let mut drafts: Vec<Draft> = Vec::new();
    let mut places = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(&error))?;
        let row = Row { columns: &columns, record: &record };
        let id = row.cell("client_id").unwrap_or_default();
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns.count {
            let why = format!("has {} values, and the first line {} names", record.len(), columns.count);
            intake.refuse(&format!("line {line}"), &Refused::new(why));
            continue;
        }
        if id.is_empty() {
            intake.refuse(&format!("line {line}"), &Refused::new("has no client_id"));
            continue;
        }
        let tenant = row.cell("tenant").unwrap_or_default();
        let at = *places.entry((tenant.to_owned(), id.to_owned())).or_insert_with(|| {
            drafts.push(Draft { tenant: tenant.to_owned(), ..Draft::new(id.to_owned(), String::new()) });
            drafts.len() - 1
        });
        let Some(draft) = drafts.get_mut(at) else { continue };
        if let Some(name) = row.cell("name").filter(|_| draft.name.is_empty()) {
            name.clone_into(&mut draft.name);
        }
        let secret = row.secret().map_err(|Refused(why)| Refused::new(format!("line {line}: {why}")));
        draft.secrets.push(secret);
    }
    drafts.into_iter().for_each(|draft| intake.client(draft));
    Ok(())
}

/// Which column stands where.
struct Columns {
    at: HashMap<&'static str, usize>,
    count: usize,
}

impl Columns {
    /// A name that is none of ours is told by its place: without a line of names it would be a client, or a secret.
    fn read(names: &StringRecord) -> anyhow::Result<Self> {
        let mut at = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            let Some(known) = COLUMNS.iter().find(|column| **column == name) else {
                bail!("the first line has a name in column {} that is none of {}", place + 1, COLUMNS.join(", "));
            };
            if at.insert(*known, place).is_some() {
                bail!("the first line names {known} twice");
            }
        }
        if !at.contains_key("client_id") || !(at.contains_key("hash") || at.contains_key("secret")) {
            bail!("the first line must name client_id, and hash or secret");
        }
        Ok(Self { at, count: names.len() })
    }
}

struct Row<'r> {
    columns: &'r Columns,
    record: &'r StringRecord,
}

impl<'r> Row<'r> {
    /// A value that is there and not empty.
    fn cell(&self, column: &str) -> Option<&'r str> {
        self.record.get(*self.columns.at.get(column)?).filter(|cell| !cell.is_empty())
    }

    fn time(&self, column: &str) -> Result<Option<Timestamp>, Refused> {
        self.cell(column).map(|cell| object::time(cell).ok_or_else(|| Refused::no_time(column))).transpose()
    }

    fn secret(&self) -> Result<DraftSecret, Refused> {
        let stored = match (self.cell("hash"), self.cell("secret")) {
            (Some(hash), None) => Stored::Hash(hash.to_owned()),
            (None, Some(plain)) => Stored::plain(plain),
            (None, None) => return Err(Refused::new("has neither hash nor secret")),
            (Some(_), Some(_)) => return Err(Refused::new("has both hash and secret: keep one")),
        };
        Ok(DraftSecret {
            id: self.cell("secret_id").map(str::to_owned),
            name: self.cell("secret_name").unwrap_or_default().to_owned(),
            stored,
            created: self.time("created")?,
            not_before: self.time("not_before")?,
            expires: self.time("expires")?,
        })
    }
}

/// Why the table cannot be read: the place alone, as the library's own words may quote it.
fn unreadable(error: &csv::Error) -> anyhow::Error {
    let line = error.position().map_or(0, csv::Position::line);
    anyhow!("not valid CSV at line {line}")
}
