//! Argon2 version 1.3 (RFC 9106) in the PHC string format: `$argon2id$v=19$m=..,t=..,p=..$salt$key`.

use argon2::{Algorithm, Argon2 as Context, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::slow::{Scheme, Slow};
use super::{Kept, Unreadable, number};

/// Memory of one verification, in KiB: 512 MiB. Each thread of the pool may need that much at once.
const MOST_MEMORY: u32 = 512 << 10;
/// Memory times passes: about two seconds of work.
const MOST_WORK: u64 = 2 << 20;
/// Lanes are computed one after the other, so more of them cost nothing; but no writer uses more.
const MOST_LANES: u32 = 64;

pub(super) struct Argon2 {
    algorithm: Algorithm,
    params: Params,
    salt: Vec<u8>,
}

/// Reads a PHC string. Version 16, and a string that names none, are of a draft and unsupported.
pub(super) fn read(text: &str) -> Result<Kept, Unreadable> {
    let mut fields = text.strip_prefix('$').unwrap_or(text).split('$');
    let mut field = || fields.next().ok_or(Unreadable::Malformed);
    let algorithm = match field()? {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        "argon2d" => Algorithm::Argon2d,
        _ => return Err(Unreadable::Malformed),
    };
    let version = field()?;
    if version == "v=16" || version.starts_with("m=") {
        return Err(Unreadable::Unsupported("an argon2 hash of the version before 1.3"));
    }
    let costs = (version == "v=19").then(&mut field).ok_or(Unreadable::Malformed)??;
    let (memory, passes, lanes) = read_costs(costs).ok_or(Unreadable::Malformed)?;
    let (salt, key) = (decode(field()?, 8..=64)?, decode(field()?, 16..=64)?);
    if fields.next().is_some() {
        return Err(Unreadable::Malformed);
    }
    if memory > MOST_MEMORY || u64::from(memory) * u64::from(passes) > MOST_WORK || lanes > MOST_LANES {
        let most = "512 MiB of memory and, over all passes, 2 GiB are the most";
        return Err(Unreadable::TooCostly(format!("argon2 with m={memory}, t={passes}, p={lanes}; {most}")));
    }
    let params = Params::new(memory, passes, lanes, Some(key.len())).map_err(|_| Unreadable::Malformed)?;
    Ok(Slow::kept(Scheme::Argon2(Argon2 { algorithm, params, salt }), key))
}

/// `m=..,t=..,p=..`, in that order and nothing beside.
fn read_costs(text: &str) -> Option<(u32, u32, u32)> {
    let mut costs = text.split(',');
    let mut cost = |name| costs.next()?.strip_prefix(name).and_then(number);
    let read = (cost("m=")?, cost("t=")?, cost("p=")?);
    costs.next().is_none().then_some(read)
}

fn decode(text: &str, length: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, Unreadable> {
    STANDARD_NO_PAD.decode(text).ok().filter(|bytes| length.contains(&bytes.len())).ok_or(Unreadable::Malformed)
}

impl Argon2 {
    pub(super) fn derive(&self, presented: &[u8], out: &mut [u8]) -> Option<()> {
        let context = Context::new(self.algorithm, Version::V0x13, self.params.clone());
        context.hash_password_into(presented, &self.salt, out).ok()
    }

    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        let costs = [self.params.m_cost(), self.params.t_cost(), self.params.p_cost()];
        vec![
            self.algorithm.as_str().as_bytes().to_vec(),
            costs.iter().flat_map(|cost| cost.to_be_bytes()).collect(),
            self.salt.clone(),
        ]
    }
}
