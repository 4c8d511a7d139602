//! One more secret: asked for on one page, shown on the next, and never again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::chrome::Chrome;
use super::client::{Whom, crumbs, fields, find, link};
use super::csrf::Posted;
use super::guest::Guest;
use super::query::Queried;
use super::sorry::{Sorry, alert, asking, first_line};
use super::{Room, layout};
use crate::admin::answer::Fault;
use crate::admin::ground::View;
use crate::admin::routes::text;
use crate::admin::wish::{Guard, Made, SecretWish};
use crate::domain::ids::{ClientKey, SecretId};
use crate::lifecycle::Action;

/// What the form says.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Good for sending it once.
    once: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    expires_in: String,
    #[serde(flatten)]
    whom: Whom,
}

/// Asks.
pub(super) async fn confirm(
    State(room): State<Arc<Room>>,
    guest: Guest,
    Queried(whom): Queried<Whom>,
) -> Result<Response, Sorry> {
    guest.must_change()?;
    let key = whom.key()?;
    let view = room.ground.view(Some(&key)).await;
    asked(&room, &guest, &view, &key, None)
}

fn asked(room: &Room, guest: &Guest, view: &View, key: &ClientKey, refused: Option<&Fault>) -> Result<Response, Sorry> {
    let client = find(view, key)?;
    let holder = view.holder(client);
    let full = holder.room().err();
    let once = room.ground.sessions.form(&guest.visit.session)?;
    let month: String = view.now.rfc3339().chars().take(7).collect();
    let content = html! {
        (crumbs(key, Some("Generate new secret")))
        section.notice {
            h1 { "Generate a new secret for " (key.id.as_str()) "?" }
            @if let Some(fault) = refused { (alert(fault)) }
            @match full {
                Some(full) => {
                    p { "At the limit: " (first_line(&full)) ". Revoke one first." }
                    (back(key))
                }
                None => {
                    p { "It will be shown once. The secrets that are there go on working: nothing breaks by this." }
                    form method="post" action="/client/generate" autocomplete="off" {
                        (fields(key, None))
                        input type="hidden" name="csrf" value=(*guest.visit.csrf);
                        input type="hidden" name="once" value=(*once);
                        label.field { span { "Name" } input name="name" value=(month) maxlength="64"; }
                        label.field { span { "Ends after (empty: never)" } input name="expires_in" placeholder="90d" maxlength="16"; }
                        div.buttons {
                            button.primary type="submit" { "Generate new secret" }
                            (back(key))
                        }
                    }
                }
            }
        }
    };
    Ok(asking(layout::document("Generate new secret", Some(&Chrome::of(room, guest, view)), &content), refused))
}

/// Makes it, by the same way as the API.
pub(super) async fn generate(
    State(room): State<Arc<Room>>,
    guest: Guest,
    Posted(wanted): Posted<Wanted>,
) -> Result<Response, Sorry> {
    guest.must_change()?;
    let key = wanted.whom.key()?;
    if !room.ground.sessions.spend(&guest.visit.session, &wanted.once) {
        return Err(Fault::sent_before().into());
    }
    let said = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let wish = SecretWish { name: said(wanted.name), expires_in: said(wanted.expires_in), ..SecretWish::default() };
    match make(&room, &key, &wish).await {
        Ok((id, plain)) => {
            let view = room.ground.view(Some(&key)).await;
            let content = shown(&key, &id, &plain);
            let chrome = Chrome::of(&room, &guest, &view);
            let page = layout::document_with_script("New secret", &chrome, &content);
            Ok(layout::answer_with_script(StatusCode::OK, page))
        }
        Err(fault) if fault.is_of_the_form() => {
            let view = room.ground.view(Some(&key)).await;
            asked(&room, &guest, &view, &key, Some(&fault))
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn make(room: &Room, key: &ClientKey, wish: &SecretWish) -> Result<(SecretId, Zeroizing<String>), Fault> {
    let ground = &room.ground;
    let _turn = ground.turn().await?;
    ground.catch_up().await?;
    let view = ground.view(Some(key)).await;
    let Made { secret, plain, given } = ground.make(wish, view.now).await?;
    let id = secret.id.clone();
    ground.change_one(&view, key, Action::Add(secret), Guard::default(), given, |_| Ok(())).await?;
    Ok((id, Zeroizing::new(plain.as_ref().and_then(text).unwrap_or_default())))
}

fn shown(key: &ClientKey, id: &SecretId, plain: &str) -> Markup {
    html! {
        (crumbs(key, Some("New secret")))
        section.notice.once {
            h1 { "Your new secret for " (key.id.as_str()) }
            p { "This is the only time it is shown. Put it where " (key.id.as_str()) " finds it, then come back: the next page tells when it is used first." }
            div.secret {
                code #secret { (plain) }
                button #copy type="button" hidden { "Copy" }
            }
            p #copied role="status" {}
            p.sub { "Its id is " code { (id.as_str()) } ". That is no secret: it names this one in lists and logs." }
            a.button.primary href=(link("/client", key, None)) { "I have stored it" }
        }
    }
}

fn back(key: &ClientKey) -> Markup {
    html! { a.button href=(link("/client", key, None)) { "Back" } }
}
