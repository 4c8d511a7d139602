//! What the authorization server says of itself, passed through: a public document, in which the endpoints that we stand
//! before get our address. Nothing of it goes over the main path.

use std::rc::Rc;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::Proxy;
use super::report::Notes;
use super::respond::Failure;
use super::route::Found;
use crate::config::settings::Endpoint;
use crate::domain::oauth::Refusal;
use crate::forwarded::Caller;
use crate::head::Head;
use crate::message::fields::Value;
use crate::message::name::Name;
use crate::message::request::Request;
use crate::metadata::Origin;
use crate::metadata::published::Ours;
use crate::net::conn::Conn;
use crate::rewrite::{Original, document, preflight};
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, AnswerBody, exchange};

/// Documents have some 10 KiB.
const MOST: usize = 256 << 10;

/// What is said of the bytes that the upstream sent, and not of ours.
const OF_THE_BYTES: [Name; 5] = [Name::Etag, Name::ContentMd5, Name::Digest, Name::ContentDigest, Name::ReprDigest];

impl Proxy {
    /// Asks the upstream for the document, and gives it with our address in it.
    pub(super) async fn metadata(
        &self,
        (route, tenant): Found<'_>,
        conn: &Rc<Conn>,
        request: &Request,
        head: &Head<'_>,
        notes: &mut Notes,
    ) -> Result<Answer, Failure> {
        let settings = &self.shared.settings;
        let pool = self.pools.of(route.endpoint.upstream);
        let caller = conn.caller(&settings.proxy.trusted_proxies, &request.fields, head.host);
        notes.peer = caller.address;
        route.check_host(head.host.map(Value::bytes))?;
        route.check_host(caller.host().map(str::as_bytes))?;
        let base = match &settings.metadata.base {
            Some(base) => base.as_str().to_owned(),
            None => {
                route.check_exact_host(caller.host())?;
                as_called(&caller)?
            }
        };
        let target = route.upstream_target(tenant, None);
        let original = Original {
            target: &target,
            head,
            fields: &request.fields,
            caller: &caller,
            request_id: self.reporter.request_id(notes),
            cors: true,
        };
        pool.begin(conn);
        if request.method == Method::OPTIONS {
            return Ok(exchange(pool, conn, preflight(&original, pool.rules())).await?);
        }
        // For HEAD too: the length of ours is known only from the whole.
        let answer = exchange(pool, conn, document(&original, pool.rules())).await?;
        if answer.status != StatusCode::OK {
            // Nobody would read it to its end.
            let body = if request.method == Method::HEAD { AnswerBody::Whole(Bytes::new()) } else { answer.body };
            return Ok(Answer { body, ..answer });
        }
        // Some write the Host into it by which they were asked, or that they are told of.
        let called = caller.host().into_iter().flat_map(Origin::called);
        let known = Origin::of(&pool.rules().target).into_iter().chain(called).collect();
        let leads_there = |endpoint: &&Endpoint| endpoint.upstream == route.endpoint.upstream;
        let endpoints = settings.endpoints.iter().filter(leads_there).collect();
        Ok(publish(answer, &Ours { endpoints, known, base: &base, tenant }).await?)
    }
}

/// Our address as the caller wrote it.
fn as_called(caller: &Caller) -> Result<String, Refusal> {
    let host = caller.host().ok_or(Refusal::Misdirected)?;
    Ok(format!("{}://{host}", caller.proto()))
}

async fn publish(answer: Answer, ours: &Ours<'_>) -> Result<Answer, UpstreamError> {
    let Answer { status, mut fields, body } = answer;
    let body = match body {
        AnswerBody::Whole(body) => AnswerBody::Whole(body),
        AnswerBody::Coming(coming) => coming.collect(MOST).await?,
    };
    let AnswerBody::Whole(theirs) = body else { return Err(UpstreamError::NoMetadata) };
    if theirs.len() > MOST {
        return Err(UpstreamError::NoMetadata);
    }
    let body = match ours.publish(&theirs).map_err(|_| UpstreamError::NoMetadata)? {
        None => theirs,
        Some(written) => {
            fields.retain(|field| !OF_THE_BYTES.contains(&field.name));
            written.into()
        }
    };
    // Said even where the upstream said none: an answer to HEAD has no body to count.
    fields.retain(|field| field.name != Name::ContentLength);
    fields
        .extend(Value::of(itoa::Buffer::new().format(body.len()).as_bytes()).map(|value| (Name::ContentLength, value)));
    Ok(Answer { status, fields, body: AnswerBody::Whole(body) })
}
