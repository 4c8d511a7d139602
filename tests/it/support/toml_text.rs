//! TOML out of TOML: lays one table over another and writes the result, so that
//! a test states only the settings it is about.

use std::fmt::Write as _;

use toml::{Table, Value};

/// Lays `over` on `base`: tables merge key by key, everything else replaces.
pub(crate) fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The table as a file: sections for tables, `[[..]]` for lists of tables.
pub(crate) fn write(table: &Table) -> String {
    let mut out = String::new();
    section(&mut out, "", table);
    out
}

/// A string as TOML writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => _ = write!(out, "\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn section(out: &mut String, path: &str, table: &Table) {
    let below = |key: &str| {
        if path.is_empty() { quote(key) } else { format!("{path}.{}", quote(key)) }
    };
    // Plain keys first: after a section header they would belong to it.
    for (key, value) in table {
        if !is_section(value) {
            _ = writeln!(out, "{} = {}", quote(key), inline(value));
        }
    }
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                _ = writeln!(out, "\n[{}]", below(key));
                section(out, &below(key), inner);
            }
            Value::Array(list) if is_section(value) => {
                for inner in list.iter().filter_map(Value::as_table) {
                    _ = writeln!(out, "\n[[{}]]", below(key));
                    section(out, &below(key), inner);
                }
            }
            _ => {}
        }
    }
}

fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(list) => !list.is_empty() && list.iter().all(Value::is_table),
        _ => false,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(when) => when.to_string(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let pair = |(key, value): (&String, &Value)| format!("{} = {}", quote(key), inline(value));
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}
