//! Who is asking: the user at the other end of the socket, or who has a token.

use std::fmt;
use std::net::IpAddr;

use crate::config::tokens::{Scope, Token, TokenName};
use crate::domain::secret::Digest;
use crate::event::entry::Who;

/// Who is asking.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The user id on the other side of the socket: our own user or root, who may do everything.
    User(u32),
    /// Who presented a token.
    Bearer(Bearer),
    /// Who came in by the page.
    Visitor(Visitor),
}

/// Who presented a token, and from where.
#[derive(Clone, Debug)]
pub struct Bearer {
    name: TokenName,
    digest: Digest,
    scopes: Vec<Scope>,
    from: IpAddr,
}

impl Bearer {
    /// Of a token that was presented from this address.
    pub(super) fn of(token: Token, from: IpAddr) -> Self {
        Self { name: token.name, digest: token.digest, scopes: token.scopes, from }
    }
}

/// Who asked for a login link: the session that it opens may do no more, and ends with the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    User(u32),
    Token(TokenName, Digest),
}

/// Who came in by the page, and from where.
#[derive(Clone, Debug)]
pub struct Visitor {
    opener: Opener,
    scopes: Vec<Scope>,
    session: Digest,
    from: IpAddr,
}

impl Visitor {
    /// In a session of one who has these scopes now.
    pub(super) const fn of(opener: Opener, scopes: Vec<Scope>, session: Digest, from: IpAddr) -> Self {
        Self { opener, scopes, session, from }
    }
}

/// What tells one caller from another, wherever it calls from. A token that took over the name of another is not it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    User(u32),
    Token(TokenName, Digest),
    Session(Digest),
}

impl Caller {
    /// Whether it may do what needs this scope.
    pub(super) fn may(&self, scope: Scope) -> bool {
        match self {
            Self::User(_) => true,
            Self::Bearer(bearer) => scope.is_in(&bearer.scopes),
            Self::Visitor(visitor) => scope.is_in(&visitor.scopes),
        }
    }

    /// As the audit log names it.
    pub(super) fn who(&self) -> Who {
        match self {
            Self::User(user) => Who::user(*user),
            Self::Bearer(Bearer { name, from, .. }) => Who::token(name.as_str(), *from),
            Self::Visitor(Visitor { opener, from, .. }) => Who::session(opener, *from),
        }
    }

    /// Who it is.
    pub(super) fn identity(&self) -> Identity {
        match self {
            Self::User(user) => Identity::User(*user),
            Self::Bearer(bearer) => Identity::Token(bearer.name.clone(), bearer.digest),
            Self::Visitor(visitor) => Identity::Session(visitor.session),
        }
    }

    /// Who may open a session as itself; a session opens no other.
    pub(super) fn opener(&self) -> Option<Opener> {
        match self {
            Self::User(user) => Some(Opener::User(*user)),
            Self::Bearer(bearer) => Some(Opener::Token(bearer.name.clone(), bearer.digest)),
            Self::Visitor(_) => None,
        }
    }
}

/// For the log.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "unix:{user}"),
            Self::Bearer(Bearer { name, from, .. }) => write!(f, "token:{name} from {from}"),
            Self::Visitor(Visitor { opener, from, .. }) => write!(f, "session:{opener} from {from}"),
        }
    }
}

impl fmt::Display for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "unix:{user}"),
            Self::Token(name, _) => write!(f, "token:{name}"),
        }
    }
}
