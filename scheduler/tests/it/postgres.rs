//! Several schedulers on one database: one leads, another takes over, and who lost the lead can append nothing. A database
//! that does not answer ends its scheduler within a stated time.

#![allow(clippy::disallowed_methods, reason = "a real server takes a moment to start and to stop")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use protocol::{Client, ExperimentState, Report, Submission};
use rustix::process::{Pid, Signal, kill_process};
use scheduler::{Ask, Config, Handle, JournalAt, OpenError, SchedulerError, Sweep, SweepOutcome, Sweeps};
use spec::{Span, WorkerId};

use super::{registration, submission, sweeps};

/// Longest time of a stop while the database does not answer: the wait for an append, that for the thread of the snapshot, and
/// some seconds for a slow machine.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Longest wait for what a test is about to see.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of its own on a socket in a folder of its own.
struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

/// The folder with `initdb`: of the variable that the project's own set-up prints, of the path, or of a distribution.
fn bin() -> PathBuf {
    let named = std::env::var_os("TRADEWIND_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = named.into_iter().chain(std::env::split_paths(&path)).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = places.into_iter().find(|place| place.join("initdb").is_file());
    found.expect("no PostgreSQL server: `python3 scripts/postgres.py` installs one")
}

impl Server {
    fn start() -> Self {
        let bin = bin();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // The server refuses to be run by the superuser of a machine.
        let is_root = rustix::process::getuid().is_root();
        if is_root {
            let owner = Command::new("chown").arg("nobody").arg(folder.path()).status().unwrap();
            assert!(owner.success(), "there is no account `nobody` to run it");
        }
        let run = |program: &str| {
            let mut command = Command::new(if is_root { Path::new("setpriv") } else { Path::new("env") });
            if is_root {
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
            }
            command.arg(bin.join(program)).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = run("initdb").arg("-D").arg(&data).args(["-U", "tradewind", "-A", "trust", "-N"]).status().unwrap();
        assert!(made.success(), "initdb failed");
        let process = run("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses="])
            .spawn()
            .unwrap();
        let server = Self { folder, process };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.query("SELECT 1").is_none() {
            assert!(Instant::now() < deadline, "the server did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn url(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://tradewind@{folder}/postgres")
    }

    /// One answer, as text. The client blocks, so it has a thread of its own.
    fn query(&self, sql: &str) -> Option<String> {
        let ask = || {
            let mut client = postgres::Client::connect(&self.url(), postgres::NoTls).ok()?;
            let answer = client.simple_query(sql).ok()?;
            answer.into_iter().find_map(|message| {
                if let postgres::SimpleQueryMessage::Row(row) = message { row.get(0).map(str::to_owned) } else { None }
            })
        };
        std::thread::scope(|scope| scope.spawn(ask).join().unwrap())
    }

    /// Cuts the connection of whoever leads.
    fn depose(&self) {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted";
        assert_eq!(self.query(cut).as_deref(), Some("1"), "one leads");
    }

    /// Holds the table of events, as somebody who changes it does, until what comes back is dropped.
    fn hold_events(&self) -> Sender<()> {
        let url = self.url();
        let (held, holds) = channel::<()>();
        let (release, released) = channel::<()>();
        std::thread::spawn(move || {
            let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
            client.batch_execute("BEGIN; LOCK TABLE tradewind_events IN ACCESS EXCLUSIVE MODE").unwrap();
            held.send(()).unwrap();
            // Errs once the other end is dropped: nothing is ever sent.
            let _ = released.recv();
        });
        holds.recv().unwrap();
        release
    }

    /// The server's process for the one who leads, once that waits for a table that another than `known` waited for.
    async fn waits(&self, known: Option<&str>) -> String {
        let waiting = "SELECT waits.pid FROM pg_locks AS waits JOIN pg_locks AS leads USING (pid) \
                       WHERE NOT waits.granted AND leads.granted AND leads.locktype = 'advisory' LIMIT 1";
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Some(pid) = self.query(waiting).filter(|pid| known != Some(pid.as_str())) {
                return pid;
            }
            assert!(Instant::now() < patience, "nobody who leads waits for a table");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Halts the server and its process for the leader, so that nobody is answered and nothing is cancelled either.
    fn freeze(&self) -> Frozen {
        let leader = self.query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted").unwrap();
        let leader = Pid::from_raw(leader.parse().unwrap()).unwrap();
        let frozen = Frozen([Pid::from_child(&self.process), leader]);
        frozen.send(Signal::STOP);
        frozen
    }
}

/// Processes that are halted until this is dropped: a server with a halted child would not end.
struct Frozen([Pid; 2]);

impl Frozen {
    fn send(&self, signal: Signal) {
        self.0.iter().for_each(|pid| kill_process(*pid, signal).unwrap());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send(Signal::CONT);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Interrupted, it ends its own children.
        let _ = kill_process(Pid::from_child(&self.process), Signal::INT);
        let _ = self.process.wait();
    }
}

fn config(home: &Path, server: &Server) -> Config {
    Config { journal: JournalAt::Postgres(server.url()), grace: Span::from_millis(1), ..Config::new(home) }
}

async fn lead(home: &Path, server: &Server) -> Handle {
    scheduler::start(config(home, server), sweeps(), None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_within_seconds_and_goes_on_where_the_leader_was() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let mut first = lead(home.path(), &server).await;
    let dead = first.url().to_owned();
    let client = first.client().await.unwrap();
    client.submit(submission("4")).await.unwrap();
    let worker: WorkerId = "w".parse().unwrap();
    client.register(registration("w")).await.unwrap();
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    client.finish(&worker, assignment.attempt, Report::Succeeded(b"one".to_vec())).await.unwrap();

    let standby = tokio::spawn(scheduler::start(config(home.path(), &server), sweeps(), None));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!standby.is_finished(), "two lead");

    server.depose();
    let deposed = Instant::now();
    let second = standby.await.unwrap().unwrap();
    assert!(deposed.elapsed() < Duration::from_secs(10), "took {:?}", deposed.elapsed());
    // The first still believes that it leads, until it wants to decide something.
    let late = client.lease(&worker).await;
    assert!(late.is_err(), "a deposed leader gave an attempt out: {late:?}");
    let ended = first.wait().await.unwrap_err();
    assert!(matches!(&ended, SchedulerError::Journal(error) if !error.to_string().contains("tradewind@")), "{ended}");

    // A client that was told of both finds who leads.
    let client =
        Client::connect(&format!("{},{}", dead, second.url()), second.token(), Span::from_secs(5)).await.unwrap();
    let detail = client.show(&"pairs".parse().unwrap()).await.unwrap();
    assert_eq!(detail.experiment.trials.succeeded, 1);
    assert_eq!(detail.trials[assignment.trial.index as usize].outcome.as_deref(), Some(&b"one"[..]));
    client.register(registration("w")).await.unwrap();
    for _ in 0..3 {
        let assignment = client.lease(&worker).await.unwrap().unwrap();
        client.finish(&worker, assignment.attempt, Report::Succeeded(Vec::new())).await.unwrap();
    }
    let ended = client.show(&"pairs".parse().unwrap()).await.unwrap();
    assert_eq!(ended.experiment.state, ExperimentState::Succeeded);
    drop(client);
    second.stop().await.unwrap();
    let changed = server.query("UPDATE tradewind_events SET at = 0 WHERE sequence = 1 RETURNING at");
    assert_eq!(changed, None, "the journal is append-only");
}

/// Another experiment than that of [`submission`].
fn other() -> Submission {
    Submission { experiment: "other".parse().unwrap(), name: "other".parse().unwrap(), ..submission("2") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_table_is_locked_ends_and_loses_nothing_that_it_acknowledged() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let first = lead(home.path(), &server).await;
    let client = first.client().await.unwrap();
    client.submit(submission("2")).await.unwrap();
    let held = server.hold_events();
    let asked = Instant::now();
    let refused = client.submit(other()).await;
    assert!(refused.is_err(), "acknowledged and not durable: {refused:?}");
    let ended = first.stop().await.unwrap_err();
    assert!(asked.elapsed() < STOP_MAX, "took {:?}", asked.elapsed());
    assert!(ended.to_string().contains("lock timeout"), "{ended}");

    drop(held);
    let second = lead(home.path(), &server).await;
    let listed = second.client().await.unwrap().list().await.unwrap();
    let there: Vec<_> = listed.iter().map(|view| (view.experiment.as_str(), view.trials.pending)).collect();
    assert_eq!(there, [("pairs", 2)], "what was cancelled is not in the journal");
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_finds_the_table_locked_waits_and_leads_once_the_lock_is_gone() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let first = lead(home.path(), &server).await;
    first.client().await.unwrap().submit(submission("2")).await.unwrap();
    let standby = tokio::spawn(scheduler::start(config(home.path(), &server), sweeps(), None));
    let held = server.hold_events();
    server.depose();
    // Told to wait no longer for the table, it lets go of the lead and tries again.
    let once = server.waits(None).await;
    server.waits(Some(&once)).await;
    assert!(!standby.is_finished(), "it gave up, or leads without its journal");
    drop(held);
    let second = standby.await.unwrap().unwrap();
    let detail = second.client().await.unwrap().show(&"pairs".parse().unwrap()).await.unwrap();
    assert_eq!(detail.experiment.trials.pending, 2);
    second.stop().await.unwrap();
    drop(first);
}

/// Asks once, for [`LARGE`] trials of [`TRIAL_BYTES`] each.
struct Large {
    left: u32,
    open: u32,
}

/// Three statements' worth of trials.
const LARGE: u32 = 40;

/// Bytes of each of them.
const TRIAL_BYTES: usize = 512 << 10;

impl Sweep for Large {
    fn ask(&mut self) -> Ask {
        let asked = std::mem::take(&mut self.left);
        self.open += asked;
        match (asked, self.open) {
            (1.., _) => Ask::Batch(vec![vec![7; TRIAL_BYTES]; asked as usize]),
            (0, 1..) => Ask::Waiting,
            (0, 0) => Ask::Done,
        }
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {
        self.open -= 1;
    }
}

fn large() -> Box<dyn Sweeps> {
    Box::new(|_: &Submission| -> Result<Box<dyn Sweep>, OpenError> { Ok(Box::new(Large { left: LARGE, open: 0 })) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_larger_than_a_statement_is_journalled_whole_and_read_again() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let first = scheduler::start(config(home.path(), &server), large(), None).await.unwrap();
    first.client().await.unwrap().submit(submission("large")).await.unwrap();
    first.stop().await.unwrap();
    let written = "SELECT count(DISTINCT xmin::text) || ' ' || max(sequence) || ' ' || sum(octet_length(bytes)) \
                   FROM tradewind_events";
    let whole = LARGE as usize * TRIAL_BYTES + "large".len();
    assert_eq!(server.query(written), Some(format!("1 {} {whole}", LARGE + 1)), "one transaction has it all");

    let second = scheduler::start(config(home.path(), &server), large(), None).await.unwrap();
    let listed = second.client().await.unwrap().list().await.unwrap();
    assert_eq!(listed.iter().map(|view| view.trials.pending).collect::<Vec<_>>(), [LARGE]);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_database_that_no_longer_answers() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let first = lead(home.path(), &server).await;
    let client = first.client().await.unwrap();
    client.submit(submission("2")).await.unwrap();
    // The table is held so that the append is seen to wait, and is on its way for certain when the server stops to
    // answer.
    let held = server.hold_events();
    let unanswered = tokio::spawn(async move { client.submit(other()).await });
    server.waits(None).await;
    let frozen = server.freeze();
    let asked = Instant::now();
    let ended = first.stop().await.unwrap_err();
    assert!(asked.elapsed() < STOP_MAX, "took {:?}", asked.elapsed());
    assert!(ended.to_string().contains("did not answer"), "{ended}");
    let answer = unanswered.await.unwrap();
    assert!(answer.is_err(), "acknowledged before it was durable: {answer:?}");

    // What was on its way when the database went on may be in the journal or not; what was acknowledged is.
    drop(frozen);
    drop(held);
    let second = lead(home.path(), &server).await;
    let detail = second.client().await.unwrap().show(&"pairs".parse().unwrap()).await.unwrap();
    assert_eq!(detail.experiment.trials.pending, 2);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_goes_on_from_a_snapshot_and_does_not_read_what_lies_before_it() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let first = lead(home.path(), &server).await;
    first.client().await.unwrap().submit(submission("2")).await.unwrap();
    first.stop().await.unwrap();
    let written = home.path().join("postgres.snapshot");
    assert!(!written.try_exists().unwrap(), "a short journal needs none");
    let long = "INSERT INTO tradewind_events SELECT last + step, 0, \
                '{\"cordoned\":{\"target\":{\"worker\":\"w9\"},\"cordon\":\"finish\"}}', NULL \
                FROM (SELECT max(sequence) AS last FROM tradewind_events) AS events, generate_series(1, 60000) AS step";
    server.query(&format!("{long} RETURNING 1")).expect("the journal grows");

    let second = lead(home.path(), &server).await;
    let patience = Instant::now() + Duration::from_secs(30);
    while !written.try_exists().unwrap() {
        assert!(Instant::now() < patience, "no snapshot is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.stop().await.unwrap();

    // Nobody looks there any more.
    server.query("DROP TRIGGER tradewind_events_stay ON tradewind_events");
    let spoilt = "UPDATE tradewind_events SET body = '{}' WHERE sequence = 1 RETURNING 1";
    assert_eq!(server.query(spoilt).as_deref(), Some("1"));
    let third = lead(home.path(), &server).await;
    let detail = third.client().await.unwrap().show(&"pairs".parse().unwrap()).await.unwrap();
    assert_eq!(detail.experiment.trials.pending, 2);
    third.stop().await.unwrap();
    // Without it the whole journal is read, and found damaged.
    std::fs::remove_file(&written).unwrap();
    let damaged = scheduler::start(config(home.path(), &server), sweeps(), None).await.err().expect("it is damaged");
    assert!(damaged.to_string().contains("is damaged at record 1"), "{damaged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_or_of_another_machine_is_refused_without_its_password() {
    let home = tempfile::tempdir().unwrap();
    for url in ["postgres://u:s3cret@db.example/x", "mysql://u:s3cret@localhost/x", "postgres://u:s3cret@localhost:x/y"]
    {
        let config = Config { journal: JournalAt::Postgres(url.to_owned()), ..Config::new(home.path()) };
        let shown = format!("{config:?}");
        let error = scheduler::start(config, sweeps(), None).await.err().expect("it is refused");
        assert!(!format!("{error} {error:?} {shown}").contains("s3cret"), "{error}");
    }
}
