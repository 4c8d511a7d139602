//! A hundred and one lists, made up from a seed: secrets come, are disabled and
//! enabled, revoked, taken out; clients are switched off and on, or leave.

use crate::reload::list::{MARK, written};
use crate::support::http::{Method, token_request};

/// How many lists there are: the first, and a hundred reloads.
pub(super) const LISTS: usize = 101;

/// Clients of the list. The last few leave it now and then, and lose their counters.
const CLIENTS: usize = 50;
const LASTING: usize = 46;

/// Changes from one list to the next.
const CHANGES: usize = 8;

/// What a request presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// A secret that some list has.
    Secret(usize),
    /// A client of the list with a secret that no list has.
    Wrong(usize),
    /// A client that no list has.
    Stranger,
}

/// A secret that stands in some list.
struct Secret {
    client: usize,
    id: String,
    /// Whether it is accepted, for each list.
    valid: [bool; LISTS],
    /// Whether it stands there at all.
    listed: [bool; LISTS],
    /// The request that presents it, by each method.
    requests: [Vec<u8>; 2],
}

/// Everything that was and will be.
pub(super) struct History {
    names: Vec<String>,
    secrets: Vec<Secret>,
    texts: Vec<String>,
    /// For each list the secrets that it accepts, and those that come to or go from it.
    accepted: Vec<Vec<usize>>,
    changed: Vec<Vec<usize>>,
    wrong: Vec<Vec<u8>>,
    stranger: Vec<u8>,
}

/// A client as it stands in the list that is being made up.
#[derive(Clone)]
struct Client {
    listed: bool,
    enabled: bool,
    /// Which secret, and its status.
    records: Vec<(usize, &'static str)>,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let names: Vec<String> = (0..CLIENTS).map(|n| format!("client-{n}")).collect();
        let mut history = Self {
            wrong: names.iter().map(|id| request(Method::Basic, id, &format!("wrong{MARK}"))).collect(),
            stranger: request(Method::Post, "stranger", &format!("wrong{MARK}")),
            names,
            secrets: Vec::new(),
            texts: Vec::new(),
            accepted: Vec::new(),
            changed: Vec::new(),
        };
        let mut dice = Dice::new(seed);
        let mut state = vec![Client { listed: true, enabled: true, records: Vec::new() }; CLIENTS];
        for (number, client) in state.iter_mut().enumerate() {
            client.records.push((history.mint(number), "active"));
        }
        for list in 0..LISTS {
            if list > 0 {
                state.iter_mut().for_each(|client| client.listed = true);
                for _ in 0..CHANGES {
                    history.change(&mut state, &mut dice);
                }
            }
            history.write(list, &state);
        }
        history
    }

    /// A secret that was never there before.
    fn mint(&mut self, client: usize) -> usize {
        let number = self.secrets.len();
        let (name, value) = (&self.names[client], secret_value(number));
        self.secrets.push(Secret {
            client,
            id: format!("s{number}"),
            valid: [false; LISTS],
            listed: [false; LISTS],
            requests: [Method::Basic, Method::Post].map(|method| request(method, name, &value)),
        });
        number
    }

    /// One change to one client. Revoked records are never brought back: such a list would be refused.
    fn change(&mut self, state: &mut [Client], dice: &mut Dice) {
        let number = dice.below(CLIENTS);
        let client = &mut state[number];
        let with = |status: &str, client: &Client| -> Vec<usize> {
            (0..client.records.len()).filter(|at| client.records[*at].1 == status).collect()
        };
        let (active, disabled) = (with("active", client), with("disabled", client));
        let mut pick = |from: &[usize]| from.get(dice.below(from.len())).copied();
        match pick(&[0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6]).unwrap_or_default() {
            0 if active.len() < 4 => {
                let record = self.mint(number);
                client.records.push((record, "active"));
            }
            1 if active.len() > 1 => client.records[active[0]].1 = "revoked",
            2 if active.len() > 1 => client.records[pick(&active).unwrap()].1 = "disabled",
            3 if !disabled.is_empty() => client.records[pick(&disabled).unwrap()].1 = "active",
            4 if client.records.len() > 2 && active.len() > 1 => {
                let all: Vec<usize> = (0..client.records.len()).collect();
                client.records.remove(pick(&all).unwrap());
            }
            5 => client.enabled = !client.enabled,
            6 if number >= LASTING => client.listed = false,
            _ => {}
        }
    }

    fn write(&mut self, list: usize, state: &[Client]) {
        let mut lines = Vec::new();
        for (name, client) in self.names.iter().zip(state).filter(|(_, client)| client.listed) {
            let mut line = format!("{name} +max_active_secrets=8 +upstream=up.secret +enabled={}", client.enabled);
            for (record, status) in &client.records {
                let secret = &mut self.secrets[*record];
                secret.listed[list] = true;
                secret.valid[list] = client.enabled && *status == "active";
                line += &format!(" {}={},{status}", secret.id, secret_value(*record));
            }
            lines.push(line);
        }
        lines.push("end".to_owned());
        self.texts.push(written(&lines, "clients.toml"));
        let valid = |secret: &&usize, list: usize| self.secrets[**secret].valid[list];
        let all: Vec<usize> = (0..self.secrets.len()).collect();
        self.accepted.push(all.iter().filter(|secret| valid(secret, list)).copied().collect());
        let before = list.saturating_sub(1);
        self.changed.push(all.iter().filter(|s| valid(s, list) != valid(s, before)).copied().collect());
    }

    /// The text of a list.
    pub(super) fn list(&self, list: usize) -> &str {
        &self.texts[list]
    }

    /// Something to present while `list` is in force: mostly what it accepts, often
    /// what the next one changes, and a good part of what nobody should accept.
    pub(super) fn aim(&self, list: usize, dice: &mut Dice) -> Aim {
        let any = |from: &[usize], dice: &mut Dice| from.get(dice.below(from.len())).copied().map(Aim::Secret);
        let aim = match dice.below(100) {
            0..66 => any(&self.accepted[list], dice),
            66..70 => any(&self.changed[(list + 1).min(LISTS - 1)], dice),
            70..74 => any(&self.changed[list], dice),
            74..90 => Some(Aim::Secret(dice.below(self.secrets.len()))),
            90..97 => None,
            _ => Some(Aim::Stranger),
        };
        aim.unwrap_or_else(|| Aim::Wrong(dice.below(CLIENTS)))
    }

    /// The request that presents it.
    pub(super) fn request(&self, aim: Aim, dice: &mut Dice) -> &[u8] {
        match aim {
            Aim::Secret(secret) => &self.secrets[secret].requests[dice.below(2)],
            Aim::Wrong(client) => &self.wrong[client],
            Aim::Stranger => &self.stranger,
        }
    }

    /// Whether a list accepts it.
    pub(super) fn accepts(&self, list: usize, aim: Aim) -> bool {
        matches!(aim, Aim::Secret(secret) if self.secrets[secret].valid[list])
    }

    /// The client it names; empty for the stranger, as in the metrics.
    pub(super) fn client_of(&self, aim: Aim) -> &str {
        match aim {
            Aim::Secret(secret) => &self.names[self.secrets[secret].client],
            Aim::Wrong(client) => &self.names[client],
            Aim::Stranger => "",
        }
    }

    /// Whether the client leaves the list now and then. What is asked of it meanwhile
    /// counts as a stranger's, so the stranger belongs to them.
    pub(super) fn comes_and_goes(&self, client: &str) -> bool {
        !self.names[..LASTING].iter().any(|name| name == client)
    }

    /// The secrets that stand in every list since they came, with their client and id.
    pub(super) fn lasting(&self) -> impl Iterator<Item = (usize, (&str, &str))> {
        self.secrets.iter().enumerate().filter_map(|(number, secret)| {
            let since = secret.listed.iter().position(|listed| *listed)?;
            let name = (self.names[secret.client].as_str(), secret.id.as_str());
            secret.listed[since..].iter().all(|listed| *listed).then_some((number, name))
        })
    }

    /// Some of the secrets.
    pub(super) fn canaries(&self, count: usize) -> Vec<String> {
        (0..count).map(|number| secret_value(number * self.secrets.len() / count)).collect()
    }
}

/// Hard on encodings too: each has a character that a form must escape.
fn secret_value(number: usize) -> String {
    format!("st&rm%{number}+{}{MARK}", number * 7919)
}

fn request(method: Method, id: &str, secret: &str) -> Vec<u8> {
    token_request(method, id, secret, "")
}

/// A small generator: the same seed, the same storm.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % bound.max(1)
    }
}
