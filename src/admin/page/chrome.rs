//! The bar at the top of every page: which list is in force, how it got there, and how the token server does.

use std::sync::PoisonError;

use maud::{Markup, html};

use super::Room;
use super::guest::Guest;
use super::time::time;
use super::upstream::{Counted, Health};
use crate::admin::ground::{Hands, View};
use crate::domain::clock::Timestamp;
use crate::domain::spoken::count;

/// What the bar says.
pub(super) struct Chrome {
    now: Timestamp,
    generation: u64,
    hash: u64,
    reloaded: Option<Timestamp>,
    /// Why the list on disk is not the one in force.
    refused: Option<String>,
    upstream: Health,
    csrf: String,
    who: String,
}

impl Chrome {
    pub(super) fn of(room: &Room, guest: &Guest, view: &View) -> Self {
        let (reloaded, refused, upstream) = match &room.ground.hands {
            Hands::Instance(instance) => {
                let reload = &instance.metrics.reload;
                let watch = room.watch.lock().unwrap_or_else(PoisonError::into_inner);
                let health = watch.health(Counted::of(&instance.metrics));
                (Some(Timestamp::from_seconds(reload.last_success.get())), reload.why(), health)
            }
            Hands::Files(_) => (None, None, Health::Idle),
        };
        Self {
            now: view.now,
            generation: view.snapshot.generation,
            hash: view.snapshot.hash,
            reloaded,
            refused,
            upstream,
            csrf: guest.visit.csrf.to_string(),
            who: guest.visit.opener.to_string(),
        }
    }

    pub(super) fn bar(&self) -> Markup {
        html! {
            header.bar {
                a.brand href="/" { span.mark aria-hidden="true" {} "relatch" }
                dl.facts {
                    div { dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) } }
                    div { dt { "List" } dd { "generation " (self.generation) ", " code { (format!("{:012x}", self.hash)) } } }
                    div { dt { "Loaded" } dd { (self.reload()) } }
                    div { dt { "Token server" } dd { (self.health()) } }
                }
                form.logout method="post" action="/logout" {
                    input type="hidden" name="csrf" value=(self.csrf);
                    button type="submit" title=(format!("Logged in as {}", self.who)) { "Log out" }
                }
            }
            @if let Some(why) = &self.refused {
                div.alarm role="status" {
                    strong { "The list on disk is not in force. " }
                    "The one before goes on working. "
                    span.why { (why.trim()) }
                }
            }
        }
    }

    fn reload(&self) -> Markup {
        html! {
            @match (&self.refused, self.reloaded) {
                (Some(_), Some(at)) => span.state.bad { "refused; last good " (time(at, self.now)) },
                (Some(_), None) => span.state.bad { "refused" },
                (None, Some(at)) => span.state.good { (time(at, self.now)) },
                (None, None) => "-",
            }
        }
    }

    fn health(&self) -> Markup {
        html! {
            @match self.upstream {
                Health::Idle => span.state { "not asked lately" },
                Health::Answers => span.state.good { "answers" },
                Health::Fails(failures, calls) => span.state.bad {
                    (count(failures)) " of " (count(calls)) " calls failed"
                },
            }
        }
    }
}
