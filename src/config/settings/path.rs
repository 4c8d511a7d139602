//! The path of an endpoint: exact bytes, or a template with one variable, `{tenant}`, that stands for a whole segment.
//!
//! Nothing is decoded or resolved: what stands for the variable is the tenant byte for byte, or the path is not ours.

use std::borrow::Cow;
use std::fmt;

use crate::domain::ids::Tenant;

/// The only variable there is.
const VARIABLE: &str = "{tenant}";

/// A path, perhaps with a variable in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    /// Where the variable begins.
    variable: Option<usize>,
}

impl PathTemplate {
    /// Reads an absolute path with at most one variable; or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let variable = text.find(VARIABLE);
        let literal = text.replacen(VARIABLE, "", 1);
        if !text.starts_with('/') || !literal.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b)) {
            return Err("expected an absolute path without query or fragment, such as /oauth/token");
        }
        if literal.contains(VARIABLE) {
            return Err("has {tenant} twice: one is what a path can have");
        }
        if literal.contains(['{', '}']) {
            return Err("has a brace that is not part of {tenant}, the only variable there is");
        }
        if variable.is_some() && !text.split('/').any(|segment| segment == VARIABLE) {
            return Err(
                "has {tenant} beside other characters: it stands for a whole segment, as in /realms/{tenant}/token",
            );
        }
        Ok(Self { text: text.to_owned(), variable })
    }

    /// As it is configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has the variable.
    pub const fn has_tenant(&self) -> bool {
        self.variable.is_some()
    }

    /// The tenant that a path names, where the path is this one; empty where this one has no variable.
    pub fn tenant_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.around() else { return (path == self.text).then_some("") };
        let tenant = path.strip_prefix(before)?.strip_suffix(after)?;
        Tenant::is_segment(tenant).then_some(tenant)
    }

    /// The path of a tenant.
    pub fn of(&self, tenant: &str) -> Cow<'_, str> {
        self.around().map_or(Cow::Borrowed(&*self.text), |(before, after)| Cow::Owned([before, tenant, after].concat()))
    }

    /// Whether a path can be both, and none of the two is the more exact one.
    pub fn rivals(&self, other: &Self) -> bool {
        let fits = |a: &str, b: &str| a == b || (a == VARIABLE && Tenant::is_segment(b));
        let (ours, theirs) = (|| self.text.split('/'), || other.text.split('/'));
        self.has_tenant() == other.has_tenant()
            && ours().count() == theirs().count()
            && ours().zip(theirs()).all(|(a, b)| fits(a, b) || fits(b, a))
    }

    /// What stands before the variable, and behind it.
    fn around(&self) -> Option<(&str, &str)> {
        let (before, rest) = self.text.split_at_checked(self.variable?)?;
        Some((before, rest.strip_prefix(VARIABLE)?))
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> PathTemplate {
        PathTemplate::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_path_has_one_whole_variable_or_none() {
        for good in ["/", "/oauth/token", "/{tenant}", "/{tenant}/token", "/realms/{tenant}/t", "/a/{tenant}/", "/%7B"]
        {
            assert_eq!(template(good).as_str(), good);
        }
        for (bad, word) in [
            ("", "absolute"),
            ("token", "absolute"),
            ("{tenant}/token", "absolute"),
            ("/a?b", "absolute"),
            ("/a#b", "absolute"),
            ("/a b", "absolute"),
            ("/{tenant}/{tenant}", "twice"),
            ("/{tenant}{tenant}", "twice"),
            ("/{realm}/token", "brace"),
            ("/{}", "brace"),
            ("/{tenant", "brace"),
            ("/tenant}", "brace"),
            ("/{{tenant}}", "brace"),
            ("/{Tenant}", "brace"),
            ("/a{tenant}", "whole segment"),
            ("/{tenant}.json", "whole segment"),
        ] {
            let why = PathTemplate::parse(bad).expect_err(bad);
            assert!(why.contains(word), "{bad}: {why}");
        }
    }

    #[test]
    fn a_tenant_is_found_byte_for_byte_or_the_path_is_not_ours() {
        let realms = template("/realms/{tenant}/token");
        let long = format!("/realms/{}/token", "a".repeat(129));
        for (path, tenant) in [
            ("/realms/master/token", Some("master")),
            ("/realms/a.b~c_d-1/token", Some("a.b~c_d-1")),
            ("/realms/.../token", Some("...")),
            ("/realms/Master/token", Some("Master")),
            ("/realms//token", None),
            ("/realms/token", None),
            ("/realms/./token", None),
            ("/realms/../token", None),
            ("/realms/%6daster/token", None),
            ("/realms/%2e%2e/token", None),
            ("/realms/a/b/token", None),
            ("/realms/a;b/token", None),
            ("/realms/{tenant}/token", None),
            ("/realms/master/token/", None),
            ("/realms/master/Token", None),
            ("//realms/master/token", None),
            (&long, None),
        ] {
            assert_eq!(realms.tenant_in(path), tenant, "{path}");
        }
        assert_eq!(template("/{tenant}").tenant_in("/a"), Some("a"));
        assert_eq!(template("/t").tenant_in("/t"), Some(""));
        assert_eq!(template("/t").tenant_in("/u"), None);
    }

    #[test]
    fn the_upstream_sees_the_very_same_bytes() {
        let path = "/realms/a.b~c_d-1/token";
        let realms = template("/realms/{tenant}/token");
        assert_eq!(realms.of(realms.tenant_in(path).unwrap()), path);
        assert_eq!(template("/auth{tenant}".replace("auth", "auth/").as_str()).of("x"), "/auth/x");
        assert_eq!(template("/t").of(""), "/t");
    }

    #[test]
    fn two_paths_that_one_request_could_mean_are_rivals() {
        for (a, b, rivals) in [
            ("/t", "/t", true),
            ("/t", "/u", false),
            ("/{tenant}/t", "/{tenant}/t", true),
            ("/{tenant}/t", "/a/{tenant}", true),
            ("/{tenant}/%", "/a/{tenant}", false),
            ("/{tenant}/t", "/a/b/{tenant}", false),
            ("/{tenant}/t", "/a/t", false),
        ] {
            assert_eq!(template(a).rivals(&template(b)), rivals, "{a} {b}");
            assert_eq!(template(b).rivals(&template(a)), rivals, "{b} {a}");
        }
    }
}
