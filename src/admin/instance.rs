//! The instance itself: how it stands, what it was told, and telling it more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::Fault;
use super::body::Body;
use super::etag::{Tag, unless_known};
use super::ground::{Ground, Hands, Instance};
use super::object::StatusObject;
use super::tokens::TokenObject;
use super::words::{Nothing, Words};
use super::{document, status};
use crate::config::settings::kinds::LogLevel;
use crate::reload::{Outcome, Trigger};

/// `POST /-/reload`
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadWish {
    /// Apply a list that was held because it drops so much.
    #[serde(default)]
    allow_shrink: bool,
}

/// What a reload did.
#[derive(Serialize, ToSchema)]
pub(super) struct ReloadObject {
    /// `success`, or `unchanged` where the list was in force already.
    result: &'static str,
    /// Number of lists published since the start.
    generation: u64,
    /// First 48 bits of the SHA-256 of its content, hexadecimal.
    hash: String,
    /// How many clients.
    clients: usize,
    /// How many secrets, dead ones included.
    secrets: usize,
}

/// Reload
///
/// Reads the list again, and answers when it is in force or refused.
#[utoipa::path(
    post,
    path = "/-/reload",
    operation_id = "reload",
    tag = "instance",
    request_body = ReloadWish,
    responses((status = 200, description = "The list in force.", body = ReloadObject))
)]
pub(super) async fn reload(
    State(ground): State<Arc<Ground>>,
    Words(Nothing {}): Words<Nothing>,
    Body(wish): Body<ReloadWish>,
) -> Result<Json<ReloadObject>, Fault> {
    let trigger = Trigger::Command { allow_shrink: wish.allow_shrink, written: false };
    let outcome = ground.reload(trigger).await?;
    let snapshot = ground.snapshot.load();
    let result = match &*outcome {
        Outcome::Published => "success",
        Outcome::Unchanged => "unchanged",
        Outcome::Refused(errors) => {
            let message = format!("the list is refused, the one in force stays\n  Nothing was changed.\n{errors}");
            return Err(Fault::conflict("list_refused", message));
        }
        Outcome::StillRefused => {
            let message = "the list is refused as before, the one in force stays\n  Nothing was changed. `relatch config \
                           check` says what is wrong with it.";
            return Err(Fault::conflict("list_refused", message.to_owned()));
        }
        Outcome::Held(why) => {
            let message = format!(
                "the list is held, the one in force stays: {why}\n  Nothing was changed but that its revocations are \
                 in force. If this is meant: `relatch reload --allow-shrink`."
            );
            return Err(Fault::conflict("list_held", message));
        }
    };
    Ok(Json(ReloadObject {
        result,
        generation: snapshot.generation,
        hash: format!("{:012x}", snapshot.hash),
        clients: snapshot.clients.len(),
        secrets: snapshot.secrets(),
    }))
}

/// Show the status
///
/// The instance, the list in force, and the clients whose rotation wants something done.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    operation_id = "showStatus",
    tag = "instance",
    responses((status = 200, description = "The status.", body = StatusObject))
)]
pub(super) async fn show_status(
    State(ground): State<Arc<Ground>>,
    Words(Nothing {}): Words<Nothing>,
) -> Json<StatusObject> {
    let view = ground.view(None).await;
    Json(status::of(&ground, &view))
}

/// Show the settings
///
/// Those in force, defaults included, as relatch.toml would say them: names of files, and nothing that stands in them.
#[utoipa::path(
    get,
    path = "/api/v1/config",
    operation_id = "showConfig",
    tag = "instance",
    responses((status = 200, description = "The settings.", body = serde_json::Value))
)]
pub(super) async fn show_config(
    State(ground): State<Arc<Ground>>,
    method: Method,
    headers: HeaderMap,
    Words(Nothing {}): Words<Nothing>,
) -> Response {
    let shown = &ground.settings.shown;
    unless_known(&method, &headers, &Tag::over(&shown.to_string()), Json(shown))
}

/// The words of `[log] level`.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// How much is logged.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogLevelObject {
    /// The least level that is written.
    level: Level,
}

/// Until when a level is in force.
#[derive(Serialize, ToSchema)]
pub(super) struct LogLevelInForce {
    /// The least level that is written.
    level: Level,
    /// What the next start takes: `[log] level`.
    at_start: Level,
}

/// Show the log level
#[utoipa::path(
    get,
    path = "/api/v1/log-level",
    operation_id = "showLogLevel",
    tag = "instance",
    responses((status = 200, description = "The level in force.", body = LogLevelInForce))
)]
pub(super) async fn show_log_level(
    State(ground): State<Arc<Ground>>,
    Words(Nothing {}): Words<Nothing>,
) -> Result<Json<LogLevelInForce>, Fault> {
    Ok(Json(ground.log_level(ground.running()?)))
}

/// Change the log level
///
/// At once, and until the next start: it stands in no file.
#[utoipa::path(
    put,
    path = "/api/v1/log-level",
    operation_id = "changeLogLevel",
    tag = "instance",
    request_body = LogLevelObject,
    responses((status = 200, description = "The level in force.", body = LogLevelInForce))
)]
pub(super) async fn set_log_level(
    State(ground): State<Arc<Ground>>,
    Words(Nothing {}): Words<Nothing>,
    Body(wish): Body<Option<LogLevelObject>>,
) -> Result<Json<LogLevelInForce>, Fault> {
    let instance = ground.running()?;
    let wish = wish.ok_or_else(|| Fault::invalid("the body says no level\n  Nothing was changed.".to_owned()))?;
    let (before, level) = (instance.log.level(), LogLevel::from(wish.level));
    // Told at the level of the two that writes it.
    instance.log.set_level(before.min(level));
    let until = "the next start";
    instance.log.info("log level", &[("least", &level.as_str()), ("before", &before.as_str()), ("until", &until)]);
    instance.log.set_level(level);
    Ok(Json(ground.log_level(instance)))
}

/// List the tokens
///
/// Those in force, with the last use of each since the instance started.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    operation_id = "listTokens",
    tag = "instance",
    responses((status = 200, description = "The tokens.", body = Vec<TokenObject>))
)]
pub(super) async fn list_tokens(
    State(ground): State<Arc<Ground>>,
    Words(Nothing {}): Words<Nothing>,
) -> Result<Json<Vec<TokenObject>>, Fault> {
    let tokens = ground.running()?.tokens.as_ref();
    Ok(Json(tokens.map(|tokens| tokens.objects()).unwrap_or_default()))
}

/// Show this description
///
/// OpenAPI, made from the routes themselves.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "describe",
    tag = "instance",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value))
)]
pub(super) async fn describe(method: Method, headers: HeaderMap, Words(Nothing {}): Words<Nothing>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let (tag, text) = &*document::DOCUMENT;
    unless_known(&method, &headers, tag, (json, text.as_str()))
}

impl Ground {
    fn log_level(&self, instance: &Instance) -> LogLevelInForce {
        LogLevelInForce { level: instance.log.level().into(), at_start: self.settings.log.level.into() }
    }

    /// The instance, where one runs.
    pub(super) fn running(&self) -> Result<&Instance, Fault> {
        match &self.hands {
            Hands::Instance(instance) => Ok(instance),
            Hands::Files(_) => {
                Err(Fault::conflict("no_instance", "no instance runs\n  Nothing was changed.".to_owned()))
            }
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}
