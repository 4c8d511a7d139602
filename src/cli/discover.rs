//! `relatch config check --discover`: asks each token server for its metadata, over the link that requests take, and holds
//! the endpoints in it against the configuration. Whatever comes of it, the configuration stays as good as it was.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use tokio::time::timeout;

use super::setup::Ready;
use super::{harmless, say, talk};
use crate::config::settings::Settings;
use crate::config::settings::kinds::UnknownClients;
use crate::config::settings::upstream::{HostPolicy, Upstream};
use crate::domain::spoken::plural;
use crate::management::base::Base;
use crate::management::link::{Link, Undelivered};
use crate::metadata::discovery::{Described, Surveyed, Unrouted, places, places_of};
use crate::metadata::{Origin, Url};

/// For a connection: a person waits.
const CONNECT: Duration = Duration::from_secs(5);
/// For all that is asked of one server.
const WHOLE: Duration = Duration::from_secs(10);

/// Asks every server that an endpoint names; with an issuer, the one at the issuer's address, else `[upstream]`.
pub(super) fn run(ready: &Ready, issuer: Option<&Uri>) -> anyhow::Result<()> {
    let settings = &ready.settings;
    let origins: Vec<_> = settings.all_upstreams().map(|upstream| Origin::of(&upstream.target)).collect();
    let issued = issuer.and_then(|issuer| Url::parse(&issuer.to_string()));
    let only = issued.map(|url| origins.iter().position(|origin| origin.as_ref() == Some(&url.origin)).unwrap_or(0));
    let tenants = ready.loaded.snapshot.clients.iter().map(|client| client.key.tenant.as_str());
    let tenant = tenants.clone().find(|tenant| !tenant.is_empty()).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (at, upstream) in settings.all_upstreams().enumerate().filter(|(at, _)| only.is_none_or(|only| only == *at)) {
        let places = issuer.map_or_else(|| guessed(settings, at, tenant), |issuer| places_of(issuer.path()).to_vec());
        if places.is_empty() {
            continue;
        }
        let (key, target) = (upstream.key(), &upstream.target);
        match runtime.block_on(find(upstream, issuer, &places)) {
            Ok((place, described)) => {
                let (named, methods) = (&described.issuer, described.methods.join(", "));
                say(&harmless(&format!("{key}: metadata of {target} at {place}, issuer {named}\n")))?;
                say(&harmless(&format!("{key}: clients authenticate by {methods}\n")))?;
                let host = host(upstream, issuer);
                let called = host.as_ref().and_then(|host| host.to_str().ok()).into_iter().flat_map(Origin::called);
                let surveyed = Surveyed {
                    endpoints: &settings.endpoints,
                    origins: origins.clone(),
                    called: called.collect(),
                    upstream: at,
                    name: &upstream.name,
                    tenant,
                };
                tell(&key, settings, &surveyed, &described);
            }
            Err(why) => talk(&format!(
                "{key}: no metadata of {target} ({why}): whether an endpoint is missing is not known; --issuer URL says \
                 where it is\n"
            )),
        }
    }
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    Ok(())
}

/// An issuer as an argument.
pub(super) fn issuer(text: &str) -> Result<Uri, String> {
    let uri = Url::parse(text).and_then(|url| url.query.is_none().then(|| text.parse().ok())?);
    uri.ok_or_else(|| {
        "expected an http or https URL without query, such as https://login.example.com/realms/shop".to_owned()
    })
}

/// Where the document of a server may be, by its endpoints; nowhere for one that has none.
fn guessed(settings: &Settings, upstream: usize, tenant: &str) -> Vec<String> {
    let own = settings.endpoints.iter().filter(|endpoint| endpoint.upstream == upstream);
    let known = own.map(|endpoint| &endpoint.upstream_path).filter(|path| !path.has_tenant() || !tenant.is_empty());
    let paths: Vec<_> = known.map(|path| path.of(tenant).into_owned()).collect();
    if settings.endpoints.iter().any(|endpoint| endpoint.upstream == upstream) { places(&paths) } else { Vec::new() }
}

/// Asks one place after the other for a document.
async fn find(upstream: &Upstream, issuer: Option<&Uri>, places: &[String]) -> Result<(String, Described), String> {
    let base = Base::parse(&upstream.target.to_string()).ok_or("it is no address")?;
    let tls = upstream.tls.clone().unwrap_or_default();
    let link = Link::secured(base, &tls, CONNECT).map_err(|unusable| unusable.to_string())?;
    let host = host(upstream, issuer);
    let asked = async {
        let mut last = String::new();
        for place in places {
            let mut request = Request::new(Bytes::new());
            request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
            request.headers_mut().extend(host.clone().map(|host| (header::HOST, host)));
            last = match link.send(place, request).await {
                Ok(answer) if answer.status == StatusCode::OK => match Described::read(&answer.body) {
                    Some(described) => return Ok((place.clone(), described)),
                    None => format!("{place}: 200, and no JSON object with an issuer"),
                },
                Ok(answer) => format!("{place}: {}", answer.status),
                // Nor will there be for the others.
                Err(why @ Undelivered::Unsent(_)) => return Err(why.to_string()),
                Err(why @ Undelivered::Lost(_)) => format!("{place}: {why}"),
            };
        }
        Err(format!("{} asked, last {last}", plural(places.len(), "path")))
    };
    timeout(WHOLE, asked).await.unwrap_or_else(|_| Err(format!("nothing within {} s", WHOLE.as_secs())))
}

/// The Host by which callers make the server speak of itself.
fn host(upstream: &Upstream, issuer: Option<&Uri>) -> Option<HeaderValue> {
    let called = || issuer.and_then(Uri::authority).map(http::uri::Authority::as_str);
    let name = match &upstream.host {
        HostPolicy::Fixed(name) => return Some(name.clone()),
        HostPolicy::Preserve => called().or(upstream.allowed_hosts.first().map(String::as_str)),
        HostPolicy::Upstream => None,
    };
    name.and_then(|name| HeaderValue::from_str(name).ok())
}

/// What the operator should know.
fn tell(key: &str, settings: &Settings, surveyed: &Surveyed<'_>, described: &Described) {
    for Unrouted { member, url, lines } in surveyed.unrouted(described) {
        let what = format!("warning: {key}: no [[endpoint]] leads to {member} ({url})");
        talk(&match lines {
            Some(lines) => format!("{what}; these lines do:\n\n{lines}\n"),
            None => format!(
                "{what}: it is at another server, or at a path that no [[endpoint]] can have; where clients authenticate there with a secret, give that one an \
                 [upstreams.NAME], and an [[endpoint]] with upstream = \"NAME\"\n"
            ),
        });
    }
    if let Some((path, signed)) = surveyed.signed(described)
        && settings.clients.unknown == UnknownClients::Refuse
    {
        let signed = signed.join(" and ");
        talk(&format!(
            "warning: {key}: the server takes {signed}, and [[endpoint]] {path} has auth = \"required\": a client that \
             signs presents no secret and gets 401 there; auth = \"optional\" passes it\n"
        ));
    }
}
