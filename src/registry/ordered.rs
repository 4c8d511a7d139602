//! Clients in the order of their keys, for whoever goes through a long list page by page: a page begins behind a key, be
//! its client still there or not. Made when it is first asked for, or put in force: a request for a token never waits for it.

use std::sync::OnceLock;

use super::{Client, Snapshot};
use crate::domain::ids::{ClientKey, Tenant};

/// Where in the list each client stands, in the order of their keys.
#[derive(Clone, Default)]
pub(super) struct ByKey(OnceLock<Box<[u32]>>);

impl Snapshot {
    /// The clients, by tenant and then by id, those behind a key.
    pub fn behind(&self, tenant: &Tenant, id: &str) -> impl Iterator<Item = &Client> + use<'_> {
        self.from(self.first_not(|client| text(client) <= (tenant.as_str(), id)))
    }

    /// The clients, by tenant and then by id, from the first of a tenant on.
    pub fn from_tenant(&self, tenant: &Tenant) -> impl Iterator<Item = &Client> + use<'_> {
        self.from(self.first_not(|client| client.tenant.as_str() < tenant.as_str()))
    }

    /// The clients that are any tenant's.
    pub fn of_tenants(&self) -> impl Iterator<Item = &Client> + use<'_> {
        self.from(self.first_not(|client| client.tenant.is_empty()))
    }

    /// Makes the order now, so that whoever asks for the first page does not wait for it.
    pub fn put_in_order(&self) {
        self.in_order();
    }

    /// How many clients of the order come before what is looked for.
    fn first_not(&self, before: impl Fn(&ClientKey) -> bool) -> usize {
        self.in_order().partition_point(|place| self.at(*place).is_some_and(|client| before(&client.key)))
    }

    fn from(&self, first: usize) -> impl Iterator<Item = &Client> + use<'_> {
        self.in_order().iter().skip(first).filter_map(|place| self.at(*place))
    }

    fn in_order(&self) -> &[u32] {
        self.by_key.0.get_or_init(|| self.ordered())
    }

    fn at(&self, place: u32) -> Option<&Client> {
        self.clients.get(usize::try_from(place).ok()?)
    }

    fn ordered(&self) -> Box<[u32]> {
        let mut clients: Vec<(u32, &Client)> = (0..).zip(&self.clients).collect();
        // Of a list that is in order but for its end, the sort sees that.
        clients.sort_by(|(_, a), (_, b)| text(&a.key).cmp(&text(&b.key)));
        clients.into_iter().map(|(place, _)| place).collect()
    }
}

fn text(key: &ClientKey) -> (&str, &str) {
    (key.tenant.as_str(), key.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::config::clients::ClientList;
    use crate::config::tree::{Doc, Language};
    use crate::domain::clock::Timestamp;
    use crate::registry::build::{Ground, SecretFiles, build};

    fn snapshot(text: &str) -> Snapshot {
        let list = ClientList::parse(Doc { name: "c.toml", text }, Language::Toml, 0).0.unwrap();
        let ground = Ground {
            files: &SecretFiles::new(),
            previous: None,
            forwards: false,
            endpoints: &[],
            keep_revoked: Duration::ZERO,
            now: Timestamp::from_millis(1),
        };
        build(list.clients, &ground, 0, Vec::new()).0.unwrap()
    }

    #[test]
    fn a_page_begins_behind_a_key_whether_its_client_is_there_or_not() {
        let of = |(tenant, id)| format!("[[client]]\nid = \"{id}\"\ntenant = \"{tenant}\"\n");
        let list: String = [("t", "a"), ("", "z"), ("", "b"), ("s", "é"), ("t", "Z"), ("s", "b")].map(of).concat();
        let snapshot = snapshot(&list);
        let names = |clients: &mut dyn Iterator<Item = &Client>| {
            clients.map(|client| format!("{}/{}", client.key.tenant, client.key.id)).collect::<Vec<_>>()
        };
        let all = ["/b", "/z", "s/b", "s/é", "t/Z", "t/a"];
        for (behind, left) in [
            (("", ""), 0),
            (("", "a"), 0),
            (("", "b"), 1),
            (("", "zz"), 2),
            (("s", "c"), 3),
            (("t", "a"), 6),
            (("x", ""), 6),
        ] {
            let tenant = Tenant::parse(behind.0).unwrap();
            assert_eq!(names(&mut snapshot.behind(&tenant, behind.1)), all[left..], "{behind:?}");
        }
        assert_eq!(names(&mut snapshot.of_tenants()), all[2..]);
        for (tenant, left) in [("", 0), ("r", 2), ("s", 2), ("t", 4), ("u", 6)] {
            assert_eq!(names(&mut snapshot.from_tenant(&Tenant::parse(tenant).unwrap())), all[left..], "{tenant}");
        }
    }
}
