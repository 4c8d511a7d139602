//! Step 9: the request goes upstream, once as it was written, or with one upstream secret after the other until the
//! upstream takes one.

use std::rc::Rc;

use super::Proxy;
use super::respond::Failure;
use crate::attempt::answer::worth_reading;
use crate::attempt::{Said, said};
use crate::domain::clock::Timestamp;
use crate::extract::form::Form;
use crate::net::conn::Conn;
use crate::registry::{Client, UpstreamIdentity};
use crate::rewrite::{Original, Passage, rewrite};
use crate::upstream::UpstreamError;
use crate::upstream::exchange::{Answer, AnswerBody, exchange};
use crate::upstream::pool::Pool;

/// Sends a request as it is, with whatever credentials it carries or none.
pub(super) async fn once(
    pool: &Rc<Pool>,
    conn: &Rc<Conn>,
    original: &Original<'_>,
    form: &Form<'_>,
    passage: Passage<'_>,
) -> Result<Answer, Failure> {
    let outbound = rewrite(original, form, passage, None, pool.rules());
    Ok(exchange(pool, conn, outbound).await?)
}

impl Proxy {
    /// Sends a request with the client's own upstream secret, and with the next one where the upstream refuses it. Where it
    /// lately refused all of them it is not asked.
    pub(super) async fn send_replaced(
        &self,
        (pool, conn): (&Rc<Pool>, &Rc<Conn>),
        original: &Original<'_>,
        form: &Form<'_>,
        passage: Passage<'_>,
        (client, identity): (&Client, &UpstreamIdentity),
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        let standing = &identity.standing;
        let begun = standing.begin(identity.secrets.len(), now);
        let mut attempts = begun.map_err(UpstreamError::CredentialsResting)?;
        loop {
            let secret = identity.secrets.get(attempts.current());
            let outbound = rewrite(original, form, passage, secret, pool.rules());
            let (answer, said) = understood(exchange(pool, conn, outbound).await?).await?;
            match said {
                Said::Unclear => return Ok(answer),
                Said::Accepted => {
                    if let Some(moved) = standing.accepted(attempts, now) {
                        self.reporter.upstream_secret_moved(client, moved, identity.secrets.len());
                    }
                    return Ok(answer);
                }
                Said::Refused => {}
            }
            let Some(next) = attempts.next() else {
                let exhausted = standing.exhausted(attempts, self.shared.clock.now());
                if exhausted.tell {
                    self.reporter.upstream_secrets_refused(client, exhausted, identity.secrets.len());
                }
                return Err(UpstreamError::CredentialsRejected(exhausted.seconds).into());
            };
            attempts = next;
        }
    }
}

/// Reads as much of an answer as tells whether it refuses the client.
async fn understood(answer: Answer) -> Result<(Answer, Said), UpstreamError> {
    let body = match (answer.body, worth_reading(answer.status)) {
        (AnswerBody::Coming(coming), Some(most)) => coming.collect(most).await?,
        (body, _) => body,
    };
    let said = said(answer.status, if let AnswerBody::Whole(body) = &body { Some(body) } else { None });
    Ok((Answer { body, ..answer }, said))
}
