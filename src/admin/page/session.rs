//! Who comes in by the page: login links that work once, and the sessions they open. In memory only, and of every link,
//! session and form only the digest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::admin::answer::Fault;
use crate::admin::caller::Opener;
use crate::admin::wish::no_random;
use crate::domain::clock::Timestamp;
use crate::domain::secret::{Digest, Secret};
use crate::hash;

/// How long a link waits for its one use.
pub(in crate::admin) const LINK: Duration = Duration::from_secs(5 * 60);
/// A session ends when nobody has looked for so long,
const IDLE: Duration = Duration::from_secs(30 * 60);
/// ... and at the end of a day's work whatever is done in it.
const LONGEST: Duration = Duration::from_secs(8 * 3600);
/// Links, and sessions, of one opener at once. One more takes the place of its own that is left alone for the longest.
const MOST_OF_ONE: usize = 8;
/// Of all together: one more is refused, and takes nobody's place.
const MOST: usize = 1024;
/// Forms of one session that wait to be sent: one more takes the place of the oldest.
const MOST_FORMS: usize = 16;

/// The links and sessions of an instance.
#[derive(Default)]
pub(in crate::admin) struct Sessions(Mutex<Book>);

#[derive(Default)]
struct Book {
    links: Vec<Link>,
    sessions: Vec<Session>,
}

struct Link {
    code: Digest,
    opener: Opener,
    made: Timestamp,
}

struct Session {
    id: Digest,
    csrf: Secret,
    opener: Opener,
    began: Timestamp,
    seen: Timestamp,
    forms: VecDeque<Digest>,
}

/// A session as a request finds it.
#[derive(Clone)]
pub(in crate::admin) struct Visit {
    /// The digest of its id.
    pub(in crate::admin) session: Digest,
    /// What every form of it carries.
    pub(in crate::admin) csrf: Zeroizing<String>,
    /// Who asked for the link that opened it.
    pub(in crate::admin) opener: Opener,
}

/// For one more of this opener: nobody makes room by ending what is another's.
fn make_room<T>(all: &mut Vec<T>, opener: &Opener, of: fn(&T) -> (&Opener, Timestamp)) -> Result<(), Fault> {
    let own = || all.iter().enumerate().map(|(at, one)| (at, of(one))).filter(|(_, (owner, _))| *owner == opener);
    if own().count() >= MOST_OF_ONE {
        let idle = own().min_by_key(|(_, (_, seen))| *seen).map(|(at, _)| at);
        idle.map(|at| all.swap_remove(at));
    }
    if all.len() < MOST { Ok(()) } else { Err(Fault::too_many_sessions()) }
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.seen) >= IDLE || now.since(self.began) >= LONGEST
    }
}

impl Sessions {
    /// A link for whoever asks for one: its code, which is kept nowhere.
    pub(in crate::admin) fn link(&self, opener: Opener, now: Timestamp) -> Result<Zeroizing<String>, Fault> {
        let code = random()?;
        let mut book = self.lock();
        book.sweep(now);
        make_room(&mut book.links, &opener, |link| (&link.opener, link.made))?;
        book.links.push(Link { code: digest(&code), opener, made: now });
        Ok(code)
    }

    /// Whether a link would open a session. It is not used up by that: what follows links on its own only looks.
    pub(super) fn is_open(&self, code: &str, now: Timestamp) -> bool {
        let code = digest(code);
        let mut book = self.lock();
        book.sweep(now);
        book.links.iter().fold(false, |found, link| found | bool::from(link.code.matches(&code)))
    }

    /// Opens a session by a link, which is used up. A new id each time: none that was known before is taken over.
    pub(super) fn open(&self, code: &str, now: Timestamp) -> Result<Option<(Zeroizing<String>, Opener)>, Fault> {
        let (id, csrf, code) = (random()?, random()?, digest(code));
        let mut book = self.lock();
        book.sweep(now);
        let mut links = book.links.iter().enumerate();
        let Some((at, link)) = links.find(|(_, link)| link.code.matches(&code).into()) else { return Ok(None) };
        let opener = link.opener.clone();
        make_room(&mut book.sessions, &opener, |session| (&session.opener, session.seen))?;
        book.links.swap_remove(at);
        book.sessions.push(Session {
            id: digest(&id),
            csrf: Secret::new(csrf.as_bytes().to_vec()),
            opener: opener.clone(),
            began: now,
            seen: now,
            forms: VecDeque::new(),
        });
        Ok(Some((id, opener)))
    }

    /// The session of an id, which is in use again.
    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<Visit> {
        let id = digest(id);
        let mut book = self.lock();
        book.sweep(now);
        let session = book.session(&id)?;
        session.seen = now;
        Some(Visit {
            session: session.id,
            csrf: Zeroizing::new(std::str::from_utf8(session.csrf.expose()).unwrap_or_default().to_owned()),
            opener: session.opener.clone(),
        })
    }

    /// Ends a session.
    pub(super) fn close(&self, id: &Digest) {
        self.lock().sessions.retain(|session| !bool::from(session.id.matches(id)));
    }

    /// A form that may be sent once.
    pub(super) fn form(&self, id: &Digest) -> Result<Zeroizing<String>, Fault> {
        let token = random()?;
        if let Some(session) = self.lock().session(id) {
            if session.forms.len() >= MOST_FORMS {
                session.forms.pop_front();
            }
            session.forms.push_back(digest(&token));
        }
        Ok(token)
    }

    /// Whether a form may be sent. It may not be sent again.
    pub(super) fn spend(&self, id: &Digest, token: &str) -> bool {
        let token = digest(token);
        let mut book = self.lock();
        let Some(session) = book.session(id) else { return false };
        let at = session.forms.iter().position(|form| form.matches(&token).into());
        at.and_then(|at| session.forms.remove(at)).is_some()
    }

    /// Forgets what is over.
    pub(in crate::admin) fn sweep(&self, now: Timestamp) {
        self.lock().sweep(now);
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn sweep(&mut self, now: Timestamp) {
        self.links.retain(|link| now.since(link.made) < LINK);
        self.sessions.retain(|session| !session.is_over(now));
    }

    fn session(&mut self, id: &Digest) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id.matches(id).into())
    }
}

impl Visit {
    /// Whether a form carries what the forms of this session carry.
    pub(super) fn has_sent(&self, csrf: &str) -> bool {
        digest(&self.csrf).matches(&digest(csrf)).into()
    }
}

fn digest(text: &str) -> Digest {
    hash::sha256(text.as_bytes())
}

/// 256 bits that nobody guesses.
fn random() -> Result<Zeroizing<String>, Fault> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| no_random())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + seconds * 1000)
    }

    fn opened_by(user: u32, sessions: &Sessions, now: Timestamp) -> Result<String, Fault> {
        let code = sessions.link(Opener::User(user), now)?;
        Ok(sessions.open(&code, now)?.unwrap().0.to_string())
    }

    fn opened(sessions: &Sessions, now: Timestamp) -> String {
        opened_by(7, sessions, now).unwrap()
    }

    #[test]
    fn a_link_opens_one_session_within_its_time_however_often_it_is_looked_at() {
        let sessions = Sessions::default();
        let code = sessions.link(Opener::User(7), at(0)).unwrap();
        for _ in 0..3 {
            assert!(sessions.is_open(&code, at(1)));
        }
        assert!(!sessions.is_open("", at(1)) && !sessions.is_open(&code[1..], at(1)));
        let id = sessions.open(&code, at(2)).unwrap().unwrap().0;
        assert!(sessions.open(&code, at(2)).unwrap().is_none(), "used up");
        assert!(sessions.find(&id, at(3)).is_some());
        assert!(sessions.find(&code, at(3)).is_none(), "a code is no session");

        let late = sessions.link(Opener::User(7), at(10)).unwrap();
        assert!(sessions.open(&late, at(10).plus(LINK)).unwrap().is_none(), "too late");
    }

    #[test]
    fn a_session_ends_when_it_is_left_alone_at_the_end_of_the_day_and_when_it_is_closed() {
        let sessions = Sessions::default();
        let id = opened(&sessions, at(0));
        assert!(sessions.find(&id, at(IDLE.as_secs() - 1)).is_some());
        assert!(sessions.find(&id, at(2 * IDLE.as_secs() - 1)).is_none(), "left alone");
        let id = opened(&sessions, at(0));
        for quarter in 1..32 {
            assert!(sessions.find(&id, at(quarter * 900)).is_some());
        }
        assert!(sessions.find(&id, at(LONGEST.as_secs())).is_none(), "the day is over");
        let id = opened(&sessions, at(0));
        let visit = sessions.find(&id, at(1)).unwrap();
        sessions.close(&visit.session);
        assert!(sessions.find(&id, at(1)).is_none());
    }

    #[test]
    fn a_form_is_sent_once_and_in_its_own_session() {
        let sessions = Sessions::default();
        let [one, other] = [0, 0].map(|seconds| sessions.find(&opened(&sessions, at(seconds)), at(1)).unwrap());
        let form = sessions.form(&one.session).unwrap();
        assert!(!sessions.spend(&other.session, &form) && !sessions.spend(&one.session, ""));
        assert!(sessions.spend(&one.session, &form));
        assert!(!sessions.spend(&one.session, &form), "again");
        assert!(one.has_sent(&one.csrf) && !one.has_sent(&other.csrf) && !one.has_sent(""));
    }

    #[test]
    fn no_stranger_and_no_habit_grows_the_book() {
        let sessions = Sessions::default();
        let first = opened(&sessions, at(0));
        for number in 1..100 {
            let id = opened(&sessions, at(number));
            let visit = sessions.find(&id, at(number)).unwrap();
            (0..100).for_each(|_| drop(sessions.form(&visit.session).unwrap()));
            drop(sessions.link(Opener::User(7), at(number)).unwrap());
        }
        assert!(sessions.find(&first, at(100)).is_none(), "it was left alone for the longest");
        let book = sessions.lock();
        assert_eq!((book.links.len(), book.sessions.len()), (MOST_OF_ONE, MOST_OF_ONE));
        assert!(book.sessions.iter().all(|session| session.forms.len() <= MOST_FORMS));
    }

    #[test]
    fn nobody_is_logged_out_by_another() {
        let sessions = Sessions::default();
        let (theirs, link) = (opened(&sessions, at(0)), sessions.link(Opener::User(7), at(0)).unwrap());
        let mut own = (0..100).map(|number| opened_by(8, &sessions, at(1 + number)).unwrap());
        let (first, last) = (own.next().unwrap(), own.last().unwrap());
        assert!(sessions.find(&first, at(100)).is_none() && sessions.find(&last, at(100)).is_some());
        assert!(sessions.find(&theirs, at(100)).is_some() && sessions.is_open(&link, at(100)));

        // When all places are taken, one more is refused; whoever has some may have others in their place.
        let many = (0..9999).take_while(|number| opened_by(1000 + number, &sessions, at(100)).is_ok()).count();
        assert_eq!(many, MOST - MOST_OF_ONE - 1);
        let late = sessions.link(Opener::User(9), at(101)).unwrap();
        let refused = sessions.open(&late, at(101)).unwrap_err();
        assert_eq!(refused.code, "too_many_sessions");
        assert!(sessions.is_open(&late, at(101)), "it is not used up by that");
        assert!(sessions.find(&theirs, at(101)).is_some() && opened_by(8, &sessions, at(101)).is_ok());
        let mut links = 0..2 * u32::try_from(MOST).unwrap();
        assert!(links.any(|number| sessions.link(Opener::User(5000 + number), at(101)).is_err()));
    }
}
