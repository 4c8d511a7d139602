//! What the shapes have done, by the ways that the routes of our own go.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::About;
use crate::admin::answer::Fault;
use crate::admin::caller::Caller;
use crate::admin::change::Wish;
use crate::admin::ground::{Ground, View};
use crate::admin::journal::Journal;
use crate::admin::object::SecretObject;
use crate::admin::wish::{Made, RotateWish, SecretWish};
use crate::domain::ids::{ClientKey, SecretId};
use crate::lifecycle::{Action, Policy, Refused, decide};

impl Ground {
    /// Does one thing to one client, as far as the rules allow it; `action` is what is to be done by what stands there then.
    /// How things stand after it.
    pub(super) async fn wish(
        self: &Arc<Self>,
        about: &About,
        action: impl FnOnce(&View) -> Result<Action, Fault>,
    ) -> Result<Arc<View>, Fault> {
        let About { client, guard, .. } = about;
        let _turn = self.turn().await?;
        self.catch_up().await?;
        let view = self.view_back(Some(client), guard.quiet_for()?).await;
        let action = action(&view)?;
        // Who asks again for what was done holds the state before it.
        let (asked, policy) = (action.clone(), guard.policy(view.now)?);
        let wanted = |view: &View| if view.stands_so(client, &asked, &policy) { Ok(()) } else { about.holds(view) };
        wanted(&view)?;
        self.change_one(&view, client, action, guard.clone(), None, wanted).await?;
        Ok(self.view(Some(client)).await)
    }

    /// A new secret of our making; for who asks again the one that it was given, unless it is to be another one `anew`.
    pub(super) async fn renew(
        self: &Arc<Self>,
        caller: &Caller,
        about: &About,
        grace: Option<String>,
        anew: bool,
    ) -> Result<SecretObject, Fault> {
        let About { client, guard, .. } = about;
        let (force, quiet_for) = (guard.force, guard.quiet_for.clone());
        let wish = RotateWish { grace, force, quiet_for, anew, ..RotateWish::default() };
        let made = self.rotate(caller, vec![client.clone()], &wish, |view| about.holds(view)).await?.into_iter().next();
        made.map_or_else(|| Err(Refused::NoClient(client.clone()).into()), |(_, made)| made)
    }

    /// A secret that a caller made itself becomes the newest of a client, where it is not that already: who asks again is
    /// told that it was done.
    pub(super) async fn take(
        self: &Arc<Self>,
        about: &About,
        text: Zeroizing<String>,
        grace: Option<Duration>,
    ) -> Result<SecretId, Fault> {
        let About { client, guard, .. } = about;
        let _turn = self.turn().await?;
        self.catch_up().await?;
        let view = self.view_back(Some(client), guard.quiet_for()?).await;
        let Made { secret, given, .. } = self.make(&given(Some(text)), view.now).await?;
        let current = view.snapshot.client(client).and_then(|client| client.current(view.now)).map(|record| &record.id);
        // A client with slow hashes has it computed by each of them.
        let (seen, whose, hash) = (view.clone(), client.clone(), secret.hash.clone());
        let compared = self.aside(move || {
            let same = seen.same_secret(&whose, &hash, given.as_ref()).map(|record| record.id.clone());
            (same, given)
        });
        let (same, given) = compared.await?;
        if let Some(same) = same.filter(|same| current == Some(same)) {
            Journal::current(self).stands(client, &same);
            return Ok(same);
        }
        about.holds(&view)?;
        let id = secret.id.clone();
        let action = Action::Rotate { secret, grace };
        let wish = Wish { client: client.clone(), action, policy: guard.policy(view.now)?, given };
        match self.change(&view, vec![wish], |view| about.holds(view)).await?.into_iter().next() {
            Some(Err(refused)) => Err(refused.into()),
            Some(Ok(_)) | None => Ok(id),
        }
    }
}

impl View {
    /// Whether everything stands already as an action would have it.
    fn stands_so(&self, client: &ClientKey, action: &Action, policy: &Policy) -> bool {
        let holder = self.snapshot.client(client).map(|client| self.holder(client));
        decide(client, holder.as_ref(), action.clone(), policy).is_ok_and(|plan| plan.edits.is_empty())
    }
}

/// The wish for a secret that was made elsewhere, where it was.
pub(super) fn given(text: Option<Zeroizing<String>>) -> SecretWish {
    SecretWish { client_secret: text, ..SecretWish::default() }
}
