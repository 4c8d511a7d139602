//! Tables as they stand in a text, and their keys.

use std::ops::Range;

use toml_edit::{InlineTable, Item, Key, Table, TableLike, Value};

/// A table, under its own header or in braces.
#[derive(Clone, Copy)]
pub(super) enum Entry<'d> {
    Table(&'d Table),
    Inline(&'d InlineTable),
}

impl<'d> Entry<'d> {
    pub(super) fn like(self) -> &'d dyn TableLike {
        match self {
            Self::Table(table) => table,
            Self::Inline(table) => table,
        }
    }

    pub(super) fn get(self, key: &str) -> Option<&'d Item> {
        self.like().get(key)
    }

    /// The text under a key; empty where there is none.
    pub(super) fn text(self, key: &str) -> &'d str {
        self.get(key).and_then(Item::as_str).unwrap_or_default()
    }

    pub(super) fn entries(self, key: &str) -> Vec<Self> {
        entries(self.get(key))
    }
}

pub(super) fn entries(item: Option<&Item>) -> Vec<Entry<'_>> {
    match item {
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(Entry::Table).collect(),
        Some(Item::Value(Value::Array(array))) => {
            array.iter().filter_map(Value::as_inline_table).map(Entry::Inline).collect()
        }
        _ => Vec::new(),
    }
}

/// Where a key stands with its value, or the first of its dotted ones.
pub(super) fn key_of(text: &str, table: &Table, key: &str) -> Option<Range<usize>> {
    let values = table.get_values();
    let mut named = values.iter().filter(|(path, _)| path.first().is_some_and(|first| first.get() == key));
    named.find_map(|(path, value)| whole_key(text, path, value))
}

/// Where each key of a table stands with its value, dotted ones too, in the order of the text.
pub(super) fn keys(text: &str, table: &dyn TableLike) -> Vec<Range<usize>> {
    let values = table.get_values();
    let mut ranges: Vec<_> = values.iter().filter_map(|(path, value)| whole_key(text, path, value)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// The first part of a dotted key knows only where it stood first: this one begins where its line or brace does.
fn whole_key(text: &str, path: &[&Key], value: &Value) -> Option<Range<usize>> {
    let leaf = path.last()?.span()?.start;
    let start = if path.len() == 1 {
        leaf
    } else {
        let before = text.get(..leaf)?;
        let edge = before.rfind(['\n', ',', '{']).map_or(0, |at| at + 1);
        edge + before.get(edge..).map_or(0, |part| part.len() - part.trim_start().len())
    };
    Some(start..value.span()?.end)
}
