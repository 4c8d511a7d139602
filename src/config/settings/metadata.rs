//! `[metadata]`: which documents of the authorization server are passed through, and our address in them.

use http::Uri;

use super::endpoint::{self, Endpoint};
use super::path::PathTemplate;
use super::upstream::{HostPolicy, Upstream};
use crate::config::reader::Section;
use crate::domain::host::is_host;
use crate::from_text;

/// `[metadata]`
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// The paths of the documents, the same at the upstream; none: nothing is passed.
    pub paths: Vec<PathTemplate>,
    /// Which upstream: 0 is `[upstream]`, the others follow in the order of their tables.
    pub upstream: usize,
    /// Where callers reach us; default: as the caller did.
    pub base: Option<BaseUrl>,
}

/// Where callers reach us: what stands before the path of an endpoint, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);
from_text!(BaseUrl, "an http or https URL without query, such as \"https://login.example.com\"", BaseUrl::parse);

impl BaseUrl {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let known = matches!(uri.scheme_str()?, "http" | "https") && is_host(uri.authority()?.as_str().as_bytes());
        // What is a path here is one in the middle of an endpoint's URL too.
        let plain = PathTemplate::parse(uri.path()).is_ok_and(|path| !path.has_tenant());
        let bare = uri.query().is_none() && !text.contains('#');
        (known && plain && bare).then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Metadata {
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        endpoints: &[Endpoint],
        upstream: &Option<Upstream>,
        named: &[Option<Upstream>],
    ) -> Self {
        let written: Vec<String> =
            section.or("paths", "Documents that are passed through, our endpoints' URLs in them", Vec::new());
        let told = |text: &String| PathTemplate::parse(text).map_err(|why| section.error("paths", why)).ok();
        let paths: Vec<_> = written.iter().filter_map(told).collect();
        let name: Option<String> = section.take("upstream", "Which [upstreams.NAME] has them; default: [upstream]");
        let names: Vec<_> = named.iter().map(|one| one.as_ref().map_or("", |one| &one.name)).collect();
        let at = name.map_or(0, |name| endpoint::find(&name, &names, section));
        let base = section.take("base", "Where callers reach us; default: scheme and Host of the caller");
        for (index, path) in paths.iter().enumerate() {
            let served = endpoints.iter().map(|endpoint| &endpoint.path);
            if let Some(other) = served.chain(paths.iter().take(index)).find(|other| other.rivals(path)) {
                section.error("paths", format!("one request could be for {other} and for {path}: keep one"));
            }
        }
        let of = std::iter::once(upstream).chain(named).nth(at).and_then(Option::as_ref);
        if let Some(of) = of.filter(|of| !paths.is_empty() && base.is_none() && of.allowed_hosts.is_empty()) {
            let or = match of.host {
                HostPolicy::Preserve => format!(", or list our names in [{}] allowed_hosts", of.key()),
                HostPolicy::Upstream | HostPolicy::Fixed(_) => String::new(),
            };
            let why = "is missing: our address in the document would be the Host that a caller sends, anybody can send \
                       any, and caches keep the answer";
            section.error("base", format!("{why}; write base = \"https://...\"{or}"));
        }
        Self { paths, upstream: at, base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_address_and_perhaps_a_path() {
        for (text, base) in [
            ("https://login.example.com", "https://login.example.com"),
            ("https://login.example.com/", "https://login.example.com"),
            ("http://[::1]:8080/auth/", "http://[::1]:8080/auth"),
        ] {
            assert_eq!(BaseUrl::parse(text).as_ref().map(BaseUrl::as_str), Some(base));
        }
        for bad in [
            "",
            "login.example.com",
            "//login.example.com",
            "ftp://a",
            "https://",
            "https://u@a",
            "https://a?b",
            "https://a#b",
            "https://a b",
            "https://a/{tenant}",
            "https://a/\"",
        ] {
            assert_eq!(BaseUrl::parse(bad), None, "{bad}");
        }
    }
}
