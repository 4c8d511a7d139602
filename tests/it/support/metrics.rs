//! A scrape, read strictly enough to notice a line that Prometheus would refuse.

/// One sample line.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Metric name.
    pub(crate) name: String,
    /// Labels in order, values unescaped.
    pub(crate) labels: Vec<(String, String)>,
    /// The value.
    pub(crate) value: f64,
}

impl Sample {
    /// True if this sample has the name and carries all these labels.
    pub(crate) fn matches(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let carries = |(key, value): &(&str, &str)| self.labels.iter().any(|(k, v)| k == key && v == value);
        self.name == name && labels.iter().all(carries)
    }
}

/// Every sample of a scrape; stops the test at a line that is not one.
#[track_caller]
pub(crate) fn samples(text: &str) -> Vec<Sample> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample line: {line:?}")))
        .collect()
}

/// The value of the first sample with this name and these labels.
pub(crate) fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples(text).into_iter().find(|s| s.matches(name, labels)).map(|s| s.value)
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((key.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Reads to the closing quote; `\\`, `\"` and `\n` are the only escapes there are.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    None
}
