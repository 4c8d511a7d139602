//! Records whose hash is slow, at the wire. The hashes were made with Python's bcrypt.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::http::{Method, Wire, token_post, token_request};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

const SECRET: &str = "the-right-one-4711";
/// Of [`SECRET`], at the cost that most systems use.
const BCRYPT: &str = "$2b$10$KLo2L6A8PidXbJCcGC2fsOeN5G9evGjJg.9/8MvcEovjeZ7YXAlSq";
/// Of [`SECRET`] too.
const OTHER_BCRYPT: &str = "$2b$08$LzNrikYQcv/NPsTVNJTJXeYY/qYHMXXMp3MqXk8LoCwomerIjwZBa";

/// The owner of a slow record, and a client with a fast one.
fn list(hash: &str, status: &str) -> String {
    format!(
        "[[client]]\nid = \"c1\"\n[[client.secret]]\nid = \"slow\"\nhash = \"{hash}\"\nstatus = \"{status}\"\n\
         [[client]]\nid = \"c2\"\n[[client.secret]]\nid = \"fast\"\nhash = \"@SHA256(fast-s3cr3t)@\"\n"
    )
}

fn setup(upstream: &Upstream) -> Setup {
    let setup = Sidecar::guard().clients_text(&list(BCRYPT, "active")).upstream(upstream);
    setup.canary(SECRET).canary("fast-s3cr3t").canary(BCRYPT)
}

fn sidecar(upstream: &Upstream) -> Sidecar {
    setup(upstream).start()
}

fn ask(sidecar: &Sidecar, id: &str, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, id, secret).status
}

/// Asks from another address of this machine: the status, and whether it says when to come back.
fn ask_from(address: SocketAddr, source: u8, id: &str, secret: &str) -> (u16, bool) {
    let mut wire = Wire::connect_from(source, address);
    wire.send(&token_request(Method::Post, id, secret, ""));
    let reply = wire.read_reply(false, PATIENCE).reply();
    (reply.status, reply.header("retry-after").is_some())
}

/// How long the answers of that status took, in microseconds, as the log has it.
fn took(sidecar: &Sidecar, status: u64) -> Vec<u64> {
    let lines = sidecar.log_lines();
    lines.iter().filter(|line| line["status"] == status).filter_map(|line| line["duration_us"].as_u64()).collect()
}

fn computed(sidecar: &Sidecar) -> f64 {
    let wrong = [("client_id", "c1"), ("result", "invalid_secret")];
    sidecar.metric("relatch_client_authentications_total", &wrong).unwrap_or_default()
}

#[test]
fn a_bcrypt_client_is_served_without_a_new_secret_and_its_use_is_counted() {
    let upstream = Upstream::start();
    let sidecar = sidecar(&upstream);
    assert_eq!(ask(&sidecar, "c1", "the-wrong-one-4711"), 401);
    assert_eq!(ask(&sidecar, "c1", BCRYPT), 401, "what stands in the list opens nothing");
    let timed = || {
        let began = Instant::now();
        assert_eq!(ask(&sidecar, "c1", SECRET), 200);
        began.elapsed()
    };
    let first = timed();
    let second = (0..5).map(|_| timed()).min().unwrap();
    assert!(second < Duration::from_millis(20) && second < first / 3, "first {first:?}, then {second:?}");
    assert_eq!(ask(&sidecar, "c1", "the-wrong-one-4711"), 401, "and a wrong one is as wrong as before");
    assert_eq!(ask(&sidecar, "c1", BCRYPT), 401);
    let uses = [("client_id", "c1"), ("secret_id", "slow")];
    sidecar.wait_metric("relatch_client_secret_uses_total", &uses, |uses| uses == 6.0);
    assert_eq!(computed(&sidecar), 4.0);
    assert_eq!(upstream.count(), 6);
    sidecar.finish(&upstream);
}

#[test]
fn a_proof_dies_with_its_record() {
    let upstream = Upstream::start();
    let sidecar = sidecar(&upstream);
    assert_eq!(ask(&sidecar, "c1", SECRET), 200);
    let reload = |list: &str| {
        let generation = || sidecar.metric("relatch_config_generation", &[]).unwrap();
        let before = generation();
        sidecar.write_clients(list);
        sidecar.signal(Signal::HUP);
        assert!(poll(PATIENCE, || (generation() > before).then_some(())).is_some(), "not taken over");
    };
    // Another hash under the same id, of another secret; the first request after it is refused.
    let edited = BCRYPT.replace("$10$KLo2", "$10$KLo3");
    reload(&list(&edited, "active"));
    assert_eq!(ask(&sidecar, "c1", SECRET), 401);
    reload(&list(OTHER_BCRYPT, "active"));
    assert_eq!([ask(&sidecar, "c1", SECRET), ask(&sidecar, "c1", SECRET)], [200, 200]);
    reload(&list(OTHER_BCRYPT, "disabled"));
    assert_eq!(ask(&sidecar, "c1", SECRET), 401);
    reload(&list(OTHER_BCRYPT, "active"));
    assert_eq!(ask(&sidecar, "c1", SECRET), 200);
    reload(&list(OTHER_BCRYPT, "revoked"));
    assert_eq!(ask(&sidecar, "c1", SECRET), 401);
    let revoked = [("client_id", "c1"), ("result", "revoked_secret")];
    sidecar.wait_metric("relatch_client_authentications_total", &revoked, |count| count == 1.0);
    sidecar.finish(&upstream);
}

#[test]
fn fifty_at_a_cold_start_with_the_right_secret_are_all_served() {
    let upstream = Upstream::start();
    let sidecar = sidecar(&upstream);
    let address = sidecar.proxy();
    let callers: Vec<_> =
        (0..50).map(|_| thread::spawn(move || token_post(address, Method::Post, "c1", SECRET).status)).collect();
    let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(answers, [200; 50]);
    sidecar.finish(&upstream);
}

#[test]
fn who_guesses_is_told_to_wait_and_nobody_else_notices() {
    let upstream = Upstream::start();
    // Windows begin with the minute of the clock on the wall, and each has its own ten: none may begin while this runs.
    let sidecar = setup(&upstream).config("throttle.per = \"24h\"").start();
    let address = sidecar.proxy();
    let (stop, throttled) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (spent, guesses, owner, others) = thread::scope(|scope| {
        let (stop, throttled) = (&stop, &throttled);
        let guess = |caller: usize| {
            let mut seen = Vec::new();
            for number in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                let answer = ask_from(address, 2, "c1", &format!("guess-{caller}-{number}"));
                throttled.fetch_add(usize::from(answer.0 == 429), Relaxed);
                seen.push(answer);
                // A flood, and not a test of who gets the two cores of this machine.
                thread::sleep(Duration::from_millis(10));
            }
            seen
        };
        let guessers: Vec<_> = (0..16).map(|caller| scope.spawn(move || guess(caller))).collect();
        let spent = poll(3 * PATIENCE, || (throttled.load(Relaxed) >= 100).then_some(()));
        let began = Instant::now();
        let others: Vec<_> = (0..20).map(|_| ask_from(address, 3, "c2", "fast-s3cr3t")).collect();
        let others = (others, began.elapsed());
        let owner: Vec<_> = (0..5).map(|_| ask_from(address, 4, "c1", SECRET)).collect();
        stop.store(true, Relaxed);
        let guesses: Vec<_> = guessers.into_iter().flat_map(|guesser| guesser.join().unwrap()).collect();
        (spent, guesses, owner, others)
    });
    assert!(spent.is_some(), "nobody was told to wait");
    let mut took = took(&sidecar, 429);
    took.sort_unstable();
    assert!(took[took.len() / 2] < 30_000, "guesses go on to be computed: {took:?}");
    assert_eq!(owner, [(200, false); 5]);
    assert_eq!(others.0, [(200, false); 20]);
    assert!(others.1 < Duration::from_secs(2), "{:?} for twenty fast ones", others.1);
    assert!(guesses.len() > 50, "{}", guesses.len());
    let answered = |status: u16| guesses.iter().filter(|(answered, _)| *answered == status).count();
    // Failures that the throttle answers plainly, and what was on its way when the last of them was counted.
    assert!((1..=10).contains(&answered(401)), "{}", answered(401));
    assert_eq!(answered(401) + answered(429) + answered(503), guesses.len());
    assert!(answered(429) > answered(401));
    assert!(guesses.iter().all(|(status, retry)| *retry == (*status != 401)), "Retry-After");
    sidecar.finish(&upstream);
}

#[test]
fn a_hash_that_is_not_verified_is_named_and_hurts_nobody() {
    let upstream = Upstream::start();
    let unknown =
        "$6$salt-s3cr3t$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.";
    let dear = "$2b$31$KLo2L6A8PidXbJCcGC2fsOeN5G9evGjJg.9/8MvcEovjeZ7YXAlSq";
    let text = list(unknown, "active") + "[[client.secret]]\nid = \"dear\"\nhash = \"" + dear + "\"\n";
    let sidecar = Sidecar::guard().clients_text(&text).canary(unknown).canary(dear).upstream(&upstream).start();
    for (id, why) in [("c1", "SHA-512-crypt"), ("c2", "cost of 31")] {
        sidecar.wait_log(|line| {
            let line = line.to_string();
            line.contains(id) && line.contains("is refused") && line.contains(why)
        });
    }
    assert_eq!(ask(&sidecar, "c2", "fast-s3cr3t"), 200);
    assert_eq!((ask(&sidecar, "c1", unknown), ask(&sidecar, "c2", dear)), (401, 401));
    sidecar.finish(&upstream);
}
