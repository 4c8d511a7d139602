//! A client as the server behind knows it: its one secret, and how the server wants to be told.

use super::secrets::vschars_from;
use super::server::Kind;
use crate::support::setup::Setup;
use crate::support::toml_text::quote;

/// What stands in `[client.upstream]`, and at the server.
pub(super) struct Identity {
    /// The id at the server, another than on relatch.
    pub(super) id: String,
    /// The secret at the server.
    pub(super) secret: String,
    method: &'static str,
    encoding: &'static str,
}

impl Identity {
    /// Sent by the method that the caller chose, with the hardest secret that this server understands in Basic:
    /// oidc-provider does all that is form-encoded, Authlib all that is raw but for `%` and two hex digits.
    pub(super) fn same(kind: Kind, id: &str) -> Self {
        let encoding = match kind {
            Kind::OidcProvider => "rfc6749",
            Kind::Authlib => "raw",
        };
        Self { id: id.to_owned(), secret: vschars_from('H'), method: "same", encoding }
    }

    /// Always sent in Basic. Form-encoded, which both servers undo where no space is in it.
    pub(super) fn basic(id: &str) -> Self {
        Self { id: id.to_owned(), secret: "u%42p%2Bq+r".to_owned(), method: "basic", encoding: "rfc6749" }
    }

    /// Always sent in the body, where both servers understand everything.
    pub(super) fn post(id: &str) -> Self {
        let secret = vschars_from('0').replace('%', "%43");
        Self { id: id.to_owned(), secret, method: "post", encoding: "rfc6749" }
    }

    /// Writes the file that relatch reads the secret from.
    pub(super) fn given_to(&self, setup: Setup) -> Setup {
        setup.file(&self.file(), &format!("{}\n", self.secret))
    }

    /// The lines of `[client.upstream]`.
    pub(super) fn section(&self) -> String {
        let Self { id, method, encoding, .. } = self;
        let (id, file) = (quote(id), self.file());
        format!("id = {id}\nmethod = \"{method}\"\nbasic_encoding = \"{encoding}\"\nsecret_file = \"@DIR@/{file}\"")
    }

    fn file(&self) -> String {
        format!("{}.secret", self.id)
    }
}
