//! A token request in JSON, as some providers take it besides the form: one object of strings, turned into the form that it
//! stands for and read as such from then on. The form's own rules follow there: names, look-alikes, number of parameters.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::{Unreadable, percent};

/// The form of a JSON body, encoded. Anything but a single object of strings is malformed, and so is a name that stands
/// twice, `resource` too: readers of JSON take the first, the last or none of them. Nothing nested is ever descended into.
/// The parser keeps strings with escapes in them in memory of its own, which is freed and not wiped.
pub fn to_form(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    // Each byte becomes three at most; where nothing grows, no copy of a secret is left behind.
    let mut form = Zeroizing::new(Vec::with_capacity(body.len() * 3));
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_map(Members(&mut form)).and_then(|()| json.end());
    read.map(|()| form).map_err(|_| Unreadable::Malformed)
}

struct Members<'f>(&'f mut Vec<u8>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        // Encoded names, by their place in the form: few, or the form is refused for their number.
        let mut names: Vec<std::ops::Range<usize>> = Vec::new();
        loop {
            let start = self.0.len();
            if start > 0 {
                self.0.push(b'&');
            }
            let name = self.0.len();
            if members.next_key_seed(Encoded(self.0))?.is_none() {
                self.0.truncate(start);
                return Ok(());
            }
            let name = name..self.0.len();
            let known = |earlier: &std::ops::Range<usize>| self.0.get(earlier.clone()) == self.0.get(name.clone());
            if names.len() == super::form::MOST_PARAMS || names.iter().any(known) {
                return Err(A::Error::custom("too many members, or one twice"));
            }
            names.push(name);
            self.0.push(b'=');
            members.next_value_seed(Encoded(self.0))?;
        }
    }
}

/// A string, written to the form. Everything else is an error, before it is looked into.
struct Encoded<'f>(&'f mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Encoded<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Encoded<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        percent::encode(text.as_bytes(), self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_object_of_strings_is_a_form() {
        for (json, form) in [
            ("{}", ""),
            (" {\t\"a\" :\r\n\"1\" , \"b\":\"\" } ", "a=1&b="),
            (r#"{"a b":"x&y=z+%41"}"#, "a+b=x%26y%3Dz%2B%2541"),
            (r#"{"a":"\u00e9\n\ud834\udd1e\/"}"#, "a=%C3%A9%0A%F0%9D%84%9E%2F"),
            (r#"{"grant_type":"x","client_secret":"s+\"1"}"#, "grant_type=x&client_secret=s%2B%221"),
        ] {
            let read = to_form(json.as_bytes()).unwrap();
            assert_eq!(std::str::from_utf8(&read).unwrap(), form, "{json}");
        }
    }

    #[test]
    fn what_else_there_is_in_json_is_malformed() {
        let deep = format!("{{\"a\":{}", "[".repeat(60_000));
        let many = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"p{i}\":\"\"")).collect::<Vec<_>>().join(","));
        assert!(to_form(many(100).as_bytes()).is_ok());
        for json in [
            "",
            "null",
            "[]",
            "\"a\"",
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":true}"#,
            r#"{"a":["x"]}"#,
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":"1","a":"1"}"#,
            r#"{"resource":"1","resource":"2"}"#,
            r#"{"a":"1","\u0061":"2"}"#,
            r#"{"a":"1"} {}"#,
            r#"{"a":"1"}x"#,
            r#"{"a":"1",}"#,
            r#"{'a':"1"}"#,
            r#"{a:"1"}"#,
            r#"{"a":"1" /* c */}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\x41"}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"1\"",
            "\u{feff}{}",
            &deep,
            &many(101),
        ] {
            assert_eq!(
                to_form(json.as_bytes()).err(),
                Some(Unreadable::Malformed),
                "{}",
                json.get(..40).unwrap_or(json)
            );
        }
        assert!(to_form(b"{\"a\":\"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_means_what_was_sent(body: Vec<u8>, pairs in proptest::collection::btree_map(".{1,8}", ".{0,12}", 0..8)) {
            let _whatever = to_form(&body);
            let json = serde_json::to_vec(&pairs).unwrap();
            let read: Vec<(String, String)> = serde_urlencoded::from_bytes(&to_form(&json).unwrap()).unwrap();
            prop_assert_eq!(read, pairs.into_iter().collect::<Vec<_>>());
        }
    }
}
