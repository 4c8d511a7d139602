//! What is done with a secret that is there: disabled, enabled, revoked. One page asks, and tells who would be hit.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header;
use maud::{Markup, html};
use serde::Deserialize;

use super::chrome::Chrome;
use super::client::{Whom, crumbs, fields, find, link, record};
use super::csrf::Posted;
use super::guest::Guest;
use super::query::Queried;
use super::sorry::{Sorry, alert, asking, first_line};
use super::time::{time, time_or};
use super::{Room, layout};
use crate::admin::answer::Fault;
use crate::admin::etag::{Tag, Tagged};
use crate::admin::ground::View;
use crate::admin::wish::Guard;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::spoken::count;
use crate::lifecycle::{Action, QUIET_FOR, Refused, Usage, decide};
use crate::registry::Client;
use crate::registry::cells::Sighting;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Revoke,
    Disable,
    Enable,
}

impl Verb {
    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "revoke" => Ok(Self::Revoke),
            "disable" => Ok(Self::Disable),
            "enable" => Ok(Self::Enable),
            _ => Err(Fault::not_found("there is no such page".to_owned())),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "Revoke",
            Self::Disable => "Disable",
            Self::Enable => "Enable",
        }
    }

    const fn means(self) -> &'static str {
        match self {
            Self::Revoke => "It is refused from then on, for good: a revoked secret never comes back.",
            Self::Disable => {
                "It is refused until somebody enables it again: the step before revoking that can be undone."
            }
            Self::Enable => "It is accepted again.",
        }
    }

    const fn action(self, secret: SecretId) -> Action {
        match self {
            Self::Revoke => Action::Revoke(secret),
            Self::Disable => Action::Disable(secret),
            Self::Enable => Action::Enable(secret),
        }
    }
}

/// What the form says.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// The ETag of the client that the form shows,
    #[serde(default)]
    tag: String,
    /// ... and the code of the guard that it shows: no other is overruled by it.
    #[serde(default)]
    shown: String,
    /// The client's id or name, typed by who does it all the same.
    #[serde(default)]
    typed: String,
    #[serde(default)]
    quiet_for: String,
    /// Somebody has it who should not.
    #[serde(default)]
    compromised: String,
    #[serde(flatten)]
    whom: Whom,
}

impl Wanted {
    fn quiet_for(&self) -> Option<String> {
        Some(self.quiet_for.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Whether who does it all the same has said whose secret it is.
    fn is_typed(&self, client: &Client) -> Result<bool, Fault> {
        let typed = self.typed.trim();
        if typed.is_empty() && self.compromised.is_empty() {
            return Ok(false);
        }
        if !typed.is_empty() && [client.key.id.as_str(), client.name.trim()].contains(&typed) {
            return Ok(true);
        }
        let message = match typed {
            "" => "type the client's id too: who still uses the secret is cut off at once\n  Nothing was changed.",
            _ => "what was typed is not the client's id, nor its name\n  Nothing was changed.",
        };
        Err(Fault::refused("not_typed", message.to_owned()))
    }

    /// How strict the guard is, where this one stands against it as strict as it is by itself. It is loosened by the typed
    /// word alone, as far as the form says.
    fn guard(&self, client: &Client, stands: Option<&Refused>) -> Result<Guard, Fault> {
        let (typed, quiet_for) = (self.is_typed(client)?, self.quiet_for());
        match stands {
            None => Ok(Guard { force: false, quiet_for }),
            Some(_) if !typed => Ok(Guard::default()),
            Some(stands) if self.shown != stands.code() => Err(Fault::changed_meanwhile()),
            Some(_) => Ok(Guard { force: quiet_for.is_none(), quiet_for }),
        }
    }
}

/// Asks.
pub(super) async fn confirm(
    State(room): State<Arc<Room>>,
    guest: Guest,
    Path(verb): Path<String>,
    Queried(whom): Queried<Whom>,
) -> Result<Response, Sorry> {
    guest.must_change()?;
    let (verb, key, secret) = (Verb::parse(&verb)?, whom.key()?, secret(&whom)?);
    asked(&room, &guest, verb, &key, &secret, None).await
}

/// Does it, by the same rules as every other door.
pub(super) async fn change(
    State(room): State<Arc<Room>>,
    guest: Guest,
    Path(verb): Path<String>,
    Posted(wanted): Posted<Wanted>,
) -> Result<Response, Sorry> {
    guest.must_change()?;
    let (verb, key, secret) = (Verb::parse(&verb)?, wanted.whom.key()?, secret(&wanted.whom)?);
    match done(&room, verb, &key, &secret, &wanted).await {
        Ok(()) => Ok(Redirect::to(&link("/client", &key, None)).into_response()),
        Err(fault) if fault.is_of_the_form() => asked(&room, &guest, verb, &key, &secret, Some(&fault)).await,
        Err(fault) => Err(fault.into()),
    }
}

async fn done(room: &Room, verb: Verb, key: &ClientKey, secret: &SecretId, wanted: &Wanted) -> Result<(), Fault> {
    let ground = &room.ground;
    let action = match verb {
        Verb::Revoke if !wanted.compromised.is_empty() => Action::RevokeCompromised(secret.clone()),
        verb => verb.action(secret.clone()),
    };
    let quiet_for = Guard { force: false, quiet_for: wanted.quiet_for() }.quiet_for()?;
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view_back(Some(key), quiet_for.max(QUIET_FOR)).await;
    let unchanged = |view: &View| match find(view, key)? {
        client if wanted.tag == etag(client) => Ok(()),
        _ => Err(Fault::changed_meanwhile()),
    };
    unchanged(&view)?;
    let client = find(&view, key)?;
    let stands = refused(&view, client, action.clone())?.filter(is_guard);
    let guard = wanted.guard(client, stands.as_ref())?;
    ground.change_one(&view, key, action, guard, None, unchanged).await
}

/// What stands against it, by the rules as they are when nobody asks for others.
fn refused(view: &View, client: &Client, action: Action) -> Result<Option<Refused>, Fault> {
    let policy = Guard::default().policy(view.now)?;
    Ok(decide(&client.key, Some(&view.holder(client)), action, &policy).err())
}

/// A person may overrule a guard, and no other rule.
fn is_guard(refused: &Refused) -> bool {
    use Refused::{LastUsable, NotObserved, RecentlyUsed, UseUnknown};
    matches!(refused, LastUsable { .. } | RecentlyUsed { .. } | NotObserved { .. } | UseUnknown { .. })
}

/// The ETag of a client as the API answers it, without the quotes.
fn etag(client: &Client) -> String {
    let answer = Tagged(Tag::of_client(client), ()).into_response();
    let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    tag.unwrap_or_default().trim_matches('"').to_owned()
}

fn secret(whom: &Whom) -> Result<SecretId, Fault> {
    // What stands there may be the secret itself: it is not quoted.
    SecretId::parse(&whom.secret).ok_or_else(|| Fault::not_found("that is no secret id".to_owned()))
}

async fn asked(
    room: &Room,
    guest: &Guest,
    verb: Verb,
    key: &ClientKey,
    secret: &SecretId,
    fault: Option<&Fault>,
) -> Result<Response, Sorry> {
    let view = room.ground.view(Some(key)).await;
    let client = find(&view, key)?;
    let name = record(client, secret)?.name();
    let refused = refused(&view, client, verb.action(secret.clone()))?;
    let guarded = refused.as_ref().is_some_and(is_guard);
    let told = fault.zip(refused.as_ref()).is_some_and(|(fault, refused)| fault.code == refused.code());
    let title = format!("{} {}", verb.as_str(), secret);
    let content = html! {
        (crumbs(key, Some(&title)))
        section.notice {
            h1 { (title) @if !name.is_empty() { " " span.sub { "(" (name) ")" } } "?" }
            @if let Some(fault) = fault { (alert(fault)) }
            p { (verb.means()) }
            @if verb != Verb::Enable { (who(&view, key, secret)) }
            @match (&refused, guarded) {
                (Some(refused), false) => {
                    @if !told { p.alert { (first_line(refused)) "." } }
                    a.button href=(link("/client", key, None)) { "Back" }
                }
                _ => (form(guest, verb, client, secret, refused.as_ref(), told)),
            }
        }
    };
    Ok(asking(layout::document(&title, Some(&Chrome::of(room, guest, &view)), &content), fault))
}

/// Who uses it, by address and program.
fn who(view: &View, key: &ClientKey, secret: &SecretId) -> Markup {
    let now = view.now;
    html! {
        @match view.usage_of(key, secret) {
            Usage::Unknown(why) => p { "Whether anybody uses it is not known: " (why) "." },
            Usage::Seen { tracking_since, last_used, uses, from, .. } => {
                dl.pairs {
                    div { dt { "Last used" } dd { (time_or(last_used, now, "not seen")) } }
                    div { dt { "Uses" } dd { (count(uses)) } }
                    div { dt { "Watched since" } dd { (time(tracking_since, now)) } }
                }
                @if !from.is_empty() {
                    table.callers {
                        caption { "Who used it last" }
                        thead { tr { th scope="col" { "Address" } th scope="col" { "Program" } th scope="col" { "When" } } }
                        tbody { @for sighting in &from { (caller(sighting, now)) } }
                    }
                }
            }
        }
    }
}

fn caller(sighting: &Sighting, now: crate::domain::clock::Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" { code { (sighting.address) } }
            td { @if sighting.user_agent.is_empty() { span.none { "not said" } } @else { (sighting.user_agent) } }
            td { (time(sighting.at, now)) }
        }
    }
}

fn form(
    guest: &Guest,
    verb: Verb,
    client: &Client,
    secret: &SecretId,
    refused: Option<&Refused>,
    told: bool,
) -> Markup {
    let (key, name) = (&client.key, client.name.trim());
    let typed = |what: &str| {
        html! {
            label.field {
                span { (what) code { (key.id.as_str()) } @if !name.is_empty() { ", or its name: " code { (name) } } }
                input name="typed" maxlength="512" spellcheck="false" autocapitalize="none";
            }
        }
    };
    html! {
        form method="post" action=(format!("/client/{}", verb.as_str().to_ascii_lowercase())) autocomplete="off" {
            (fields(key, Some(secret)))
            input type="hidden" name="csrf" value=(*guest.visit.csrf);
            input type="hidden" name="tag" value=(etag(client));
            @if let Some(refused) = refused {
                input type="hidden" name="shown" value=(refused.code());
                @if !told { p.alert { strong { "Careful: " } (first_line(refused)) "." } }
                (typed("To do it all the same, type the client's id: "))
                @if !matches!(refused, Refused::LastUsable { .. } | Refused::UseUnknown { .. }) {
                    details {
                        summary { "Call less than 24 hours quiet" }
                        label.field { span { "Quiet for (with the id typed above)" } input name="quiet_for" placeholder="24h" maxlength="16"; }
                    }
                }
            }
            @if verb == Verb::Revoke {
                details {
                    summary { "Somebody has it who should not" }
                    @if refused.is_none() { (typed("Type the client's id: ")) }
                    label.check { input type="checkbox" name="compromised" value="1"; span { "Revoke it as compromised, whoever uses it" } }
                }
            }
            div.buttons {
                button type="submit" class=(if verb == Verb::Enable { "primary" } else { "danger" }) { (verb.as_str()) }
                a.button href=(link("/client", key, None)) { "Back" }
            }
        }
    }
}
