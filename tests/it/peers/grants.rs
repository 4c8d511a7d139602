//! One-use refresh tokens, introspection and revocation through a rotation: nothing is spent twice, and nothing by a
//! caller who was refused.

use std::collections::BTreeMap;

use super::caller::{self, Caller, Credentials, METHODS, Told, Wish};
use super::identity::Identity;
use super::line::Line;
use super::secrets::{Phase, Rotating};
use super::server::Kind;
use crate::support::http::Method;
use crate::support::leak;

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_chain_of_refresh_tokens_outlives_a_rotation_in_front_of_oidc_provider() {
    refresh(Kind::OidcProvider);
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn a_chain_of_refresh_tokens_outlives_a_rotation_in_front_of_the_authlib_server() {
    refresh(Kind::Authlib);
}

#[track_caller]
fn refresh(kind: Kind) {
    let client = Rotating::hard();
    let identity = Identity::same(kind, "upstream-1");
    let list = |phase| client.entry(phase, &identity.section());
    let line = Line::start(kind, |setup| {
        let setup = setup.canary(&client.old).canary(&client.new);
        identity.given_to(setup).clients_text(&list(Phase::Before))
    });
    line.server.client(&identity.id, &identity.secret);
    let chain =
        |(caller, method)| Chain::begin(&line, &client, caller, method, line.server.refresh_token(&identity.id));
    let callers = caller::ALL.into_iter().flat_map(|caller| METHODS.map(|method| (caller, method)));
    let mut chains: Vec<Chain<'_>> = callers.map(chain).collect();

    all_at_once(&mut chains, Chain::before);
    line.rewrite(&list(Phase::During));
    all_at_once(&mut chains, Chain::during);
    line.rewrite(&list(Phase::After));
    all_at_once(&mut chains, Chain::after);
    all_at_once(&mut chains, Chain::introspect_and_revoke);

    let mut deliveries: BTreeMap<String, usize> = BTreeMap::new();
    for token in line.tap.seen().iter().filter_map(|seen| seen.param("refresh_token")) {
        *deliveries.entry(token).or_default() += 1;
    }
    for chain in &mut chains {
        for spent in &chain.spent {
            assert_eq!(deliveries.remove(spent), Some(1), "{chain:?}: deliveries of one refresh token");
        }
        chain.replay();
    }
    assert!(deliveries.is_empty(), "tokens that nobody asked with: {deliveries:?}");

    let tokens: Vec<String> =
        chains.iter().flat_map(|chain| chain.spent.iter().chain([&chain.current])).cloned().collect();
    let spilt = leak::spills("the log", line.relatch.log().as_bytes(), &tokens);
    assert!(spilt.is_empty(), "{spilt:?}");
    drop(chains);
    line.finish(&[client.old, client.new]);
}

/// One caller's way from refresh token to refresh token.
struct Chain<'a> {
    line: &'a Line,
    client: &'a Rotating,
    caller: Caller,
    method: Method,
    current: String,
    spent: Vec<String>,
}

impl<'a> Chain<'a> {
    fn begin(line: &'a Line, client: &'a Rotating, caller: Caller, method: Method, current: String) -> Self {
        Self { line, client, caller, method, current, spent: Vec::new() }
    }

    fn before(&mut self) {
        self.refreshes_with(&self.client.old);
    }

    fn during(&mut self) {
        self.refreshes_with(&self.client.new);
        self.refreshes_with(&self.client.old);
    }

    fn after(&mut self) {
        let told = self.ask(&self.client.old, Wish::Refresh(&self.current));
        assert!(told.refused(), "{self:?}: the revoked secret: {told:?}");
        // Whoever was refused has spent nothing.
        self.refreshes_with(&self.client.new);
    }

    fn introspect_and_revoke(&mut self) {
        let Rotating { old, new, .. } = self.client;
        let token = self.ask(new, Wish::Token).access_token.unwrap_or_else(|| panic!("{self:?}: no token"));
        self.is_active(&token, true);
        for wish in [Wish::Introspect(&token), Wish::Revoke(&token)] {
            let told = self.eyes(wish).ask(&self.line.endpoints(), self.with(old), wish);
            assert!(told.refused(), "{self:?}: {wish:?} with the revoked secret: {told:?}");
        }
        self.is_active(&token, true);
        let told = self.ask(new, Wish::Revoke(&token));
        assert_eq!(told.status, Some(200), "{self:?}: revocation: {told:?}");
        self.is_active(&token, false);
    }

    /// A spent token is the server's to refuse, and its words come through.
    fn replay(&mut self) {
        let told = self.ask(&self.client.new, Wish::Refresh(self.spent.last().unwrap()));
        let (status, error) = (told.status, told.error.as_deref());
        assert_eq!((status, error), (Some(400), Some("invalid_grant")), "{self:?}: a spent token: {told:?}");
    }

    #[track_caller]
    fn refreshes_with(&mut self, secret: &str) {
        let told = self.ask(secret, Wish::Refresh(&self.current));
        let next = told.refresh_token.clone().filter(|next| told.granted() && *next != self.current);
        let next = next.unwrap_or_else(|| panic!("{self:?}: refresh: {told:?}"));
        self.spent.push(std::mem::replace(&mut self.current, next));
    }

    #[track_caller]
    fn is_active(&self, token: &str, active: bool) {
        let wish = Wish::Introspect(token);
        let told = self.eyes(wish).ask(&self.line.endpoints(), self.with(&self.client.new), wish);
        assert_eq!((told.status, told.active), (Some(200), Some(active)), "{self:?}: introspection: {told:?}");
    }

    /// Who does it: curl for a library that cannot.
    fn eyes(&self, wish: Wish<'_>) -> Caller {
        let able = self.caller.introspects() || !matches!(wish, Wish::Introspect(_));
        if able { self.caller } else { Caller::Curl }
    }

    fn ask(&self, secret: &str, wish: Wish<'_>) -> Told {
        self.caller.ask(&self.line.endpoints(), self.with(secret), wish)
    }

    fn with<'s>(&'s self, secret: &'s str) -> Credentials<'s> {
        Credentials { id: self.client.id, secret, method: self.method }
    }
}

impl std::fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} by {:?}, link {}", self.caller, self.method, self.spent.len() + 1)
    }
}

/// Takes every chain on by one step.
fn all_at_once<'a>(chains: &mut [Chain<'a>], step: impl Fn(&mut Chain<'a>) + Copy + Send) {
    std::thread::scope(|scope| {
        for chain in chains {
            scope.spawn(move || step(chain));
        }
    });
}
