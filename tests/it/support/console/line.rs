//! When two lines say the same: one of a document, one of a run.

/// An id or a secret, which is another in every run.
pub(super) fn name(word: &str) -> Option<String> {
    let secret = |rest: &str| rest.len() == 49 || rest.ends_with("...");
    let is_name = match (word.strip_prefix("sec_"), word.strip_prefix("rls_")) {
        (Some(rest), _) => rest.len() == 10,
        (_, Some(rest)) => secret(rest),
        _ => false,
    };
    is_name.then(|| word.to_owned())
}

/// A line as it is in every run: columns of any width, and a word for what differs.
pub(super) fn plain(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let row = words.first().is_some_and(|word| word.starts_with("sec_"));
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b',');
        let ago = words.get(at + 2).is_some_and(|ago| ago.trim_end_matches('.') == "ago");
        if *word == "just" && words.get(at + 1).is_some_and(|now| now.trim_end_matches([',', '.', ';']) == "now") {
            out.push("TIME".to_owned());
            at += 2;
            continue;
        }
        if number(word) && ago {
            out.push("TIME".to_owned());
            at += 3;
            continue;
        }
        at += 1;
        let core = word.trim_matches(|c: char| "()`,;:\"".contains(c));
        let core = core.strip_suffix('.').filter(|rest| !rest.ends_with('.')).unwrap_or(core);
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let as_word = match core {
            _ if core.parse::<std::net::IpAddr>().is_ok() => "ADDRESS",
            _ if core.starts_with("rls_") => "SECRET",
            _ if core.starts_with("sec_") => "ID",
            _ if core.len() >= 20 && core.ends_with('Z') && core.contains('T') => "TIME",
            _ if core.len() == 7 && core.split_once('-').is_some_and(|(y, m)| digits(y) && digits(m)) => "MONTH",
            _ if core.len() == 8 && core.bytes().all(|b| b.is_ascii_hexdigit()) => "HASH",
            _ if row && number(core) => "COUNT",
            _ if core
                .split_once('.')
                .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && digits(a) && digits(b)) =>
            {
                "NUMBER"
            }
            _ if row && core.starts_with("...") => "...",
            _ => core,
        };
        out.push(if core.is_empty() { (*word).to_owned() } else { word.replacen(core, as_word, 1) });
    }
    out.join(" ")
}

/// Whether a text is what a pattern says, where `...` stands for anything.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once("...") {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| fits(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_compared_as_such_and_the_rest_exactly() {
        let same = |a: &str, b: &str| fits(&plain(a), &plain(b));
        assert!(same(
            "Secret sec_2d9x4k7m1q (2026-11): rls_9s...",
            &format!("Secret sec_a (2027-01): rls_{}", "x".repeat(49))
        ));
        assert!(same(
            "sec_a 2026-11 previous active 6 mo ago never 1 min ago 8,123 10.0.3.7 ...x9Qf",
            "sec_b     2027-01  previous active 2026-11-21T01:30:00Z never just now 1 10.0.3.7  ...AAAA"
        ));
        assert!(same("Revoked sec_a. In force after 0.2 s.", "Revoked sec_b. In force after 0.0 s."));
        assert!(!same("2 of 2 active.", "1 of 2 active."));
        assert!(!same("Client billing added.", "Client billing gone."));
        assert!(same("a ... z", "a b c z") && !same("a ... z", "a b c"));
    }
}
