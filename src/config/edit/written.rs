//! How new entries and values are written in TOML: under headers, or in braces.

use super::{NewClient, Scalar};

pub(super) fn client_tables(new: &NewClient, eol: &str) -> String {
    let lines = |keys: &[(&str, Scalar)]| keys.iter().map(|(key, value)| pair(key, value) + eol).collect::<String>();
    let mut text = format!("[[client]]{eol}{}", lines(&new.keys()));
    if let Some(files) = upstream_key(new) {
        text += &format!("{eol}[client.upstream]{eol}{files}{eol}");
    }
    for secret in &new.secrets {
        text += &format!("{eol}[[client.secret]]{eol}{}", lines(&secret.keys()));
    }
    text
}

pub(super) fn client_inline(new: &NewClient) -> String {
    let mut parts: Vec<String> = new.keys().iter().map(|(key, value)| pair(key, value)).collect();
    parts.extend(upstream_key(new).map(|files| format!("upstream = {{ {files} }}")));
    if !new.secrets.is_empty() {
        let secrets: Vec<_> = new.secrets.iter().map(|secret| braces(&secret.keys())).collect();
        parts.push(format!("secret = [{}]", secrets.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn upstream_key(new: &NewClient) -> Option<String> {
    match new.upstream_secret_files.as_slice() {
        [] => None,
        [one] => Some(format!("secret_file = {}", quoted(one))),
        several => Some(pair("secret_files", &Scalar::List(several.to_vec()))),
    }
}

pub(super) fn braces(keys: &[(&str, Scalar)]) -> String {
    format!("{{ {} }}", keys.iter().map(|(key, value)| pair(key, value)).collect::<Vec<_>>().join(", "))
}

pub(super) fn pair(key: &str, value: &Scalar) -> String {
    format!("{key} = {}", written(value))
}

pub(super) fn written(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => quoted(text),
        Scalar::Bool(bool) => bool.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::List(texts) => format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
    }
}

/// A basic string on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
