//! Several schedulers on one database: one leads, another takes over, and who lost the lead can append nothing. A database
//! that does not answer ends its scheduler within a stated time.

#![allow(clippy::disallowed_methods, reason = "a real server takes a moment to start and to stop")]

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use protocol::{Client, ExperimentState, Report, Submission};
use rustix::process::{Pid, Signal, kill_process};
use scheduler::{Ask, Config, Handle, JournalAt, OpenError, SchedulerError, Sweep, SweepOutcome, Sweeps};
use spec::{Span, WorkerId};
use tokio::task::JoinHandle;

use super::{registration, submission, sweeps};

mod server;

use server::Server;

/// Longest time of a stop while the database does not answer: the wait for an append, that for the thread of the snapshot, and
/// some seconds for a slow machine.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Longest wait for what a test is about to see.
const PATIENCE: Duration = Duration::from_secs(30);

impl Server {
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
        let frozen = Frozen([Pid::from_child(self.process.as_ref().unwrap()), leader]);
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

/// A database and a home, for schedulers that stand by for one another.
struct Site {
    server: Server,
    home: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self { server: Server::start(), home: tempfile::tempdir().unwrap() }
    }

    /// One with a scheduler that leads and has acknowledged an experiment of so many trials, and a client of it.
    async fn at_work(trials: &str) -> (Self, Handle, Client) {
        let site = Self::new();
        let first = site.lead(sweeps()).await;
        let client = first.client().await.unwrap();
        client.submit(submission(trials)).await.unwrap();
        (site, first, client)
    }

    fn config(&self) -> Config {
        let journal = JournalAt::Postgres(self.server.url());
        Config { journal, grace: Span::from_millis(1), ..Config::new(self.home.path()) }
    }

    async fn lead(&self, sweeps: Box<dyn Sweeps>) -> Handle {
        scheduler::start(self.config(), sweeps, None).await.unwrap()
    }

    fn stand_by(&self) -> JoinHandle<Result<Handle, SchedulerError>> {
        tokio::spawn(scheduler::start(self.config(), sweeps(), None))
    }
}

/// Stops a scheduler that goes on where an experiment of two trials had been acknowledged.
async fn stop_with_two_pending(scheduler: Handle) {
    let detail = scheduler.client().await.unwrap().show(&"pairs".parse().unwrap()).await.unwrap();
    assert_eq!(detail.experiment.trials.pending, 2);
    scheduler.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_within_seconds_and_goes_on_where_the_leader_was() {
    let (site, mut first, client) = Site::at_work("4").await;
    let dead = first.url().to_owned();
    let worker: WorkerId = "w".parse().unwrap();
    client.register(registration("w")).await.unwrap();
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    client.finish(&worker, assignment.attempt, Report::Succeeded(b"one".to_vec())).await.unwrap();

    let standby = site.stand_by();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!standby.is_finished(), "two lead");

    site.server.depose();
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
    let changed = site.server.query("UPDATE tradewind_events SET at = 0 WHERE sequence = 1 RETURNING at");
    assert_eq!(changed, None, "the journal is append-only");
}

/// Another experiment than that of [`submission`].
fn other() -> Submission {
    Submission { experiment: "other".parse().unwrap(), name: "other".parse().unwrap(), ..submission("2") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_table_is_locked_ends_and_loses_nothing_that_it_acknowledged() {
    let (site, first, client) = Site::at_work("2").await;
    let held = site.server.hold_events();
    let asked = Instant::now();
    let refused = client.submit(other()).await;
    assert!(refused.is_err(), "acknowledged and not durable: {refused:?}");
    let ended = first.stop().await.unwrap_err();
    assert!(asked.elapsed() < STOP_MAX, "took {:?}", asked.elapsed());
    assert!(ended.to_string().contains("lock timeout"), "{ended}");

    drop(held);
    let second = site.lead(sweeps()).await;
    let listed = second.client().await.unwrap().list().await.unwrap();
    let there: Vec<_> = listed.iter().map(|view| (view.experiment.as_str(), view.trials.pending)).collect();
    assert_eq!(there, [("pairs", 2)], "what was cancelled is not in the journal");
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_finds_the_table_locked_waits_and_leads_once_the_lock_is_gone() {
    let (site, first, _) = Site::at_work("2").await;
    let standby = site.stand_by();
    let held = site.server.hold_events();
    site.server.depose();
    // Told to wait no longer for the table, it lets go of the lead and tries again.
    let once = site.server.waits(None).await;
    site.server.waits(Some(&once)).await;
    assert!(!standby.is_finished(), "it gave up, or leads without its journal");
    drop(held);
    stop_with_two_pending(standby.await.unwrap().unwrap()).await;
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
    let site = Site::new();
    let first = site.lead(large()).await;
    first.client().await.unwrap().submit(submission("large")).await.unwrap();
    first.stop().await.unwrap();
    let written = "SELECT count(DISTINCT xmin::text) || ' ' || max(sequence) || ' ' || sum(octet_length(bytes)) \
                   FROM tradewind_events";
    let whole = LARGE as usize * TRIAL_BYTES + "large".len();
    assert_eq!(site.server.query(written), Some(format!("1 {} {whole}", LARGE + 1)), "one transaction has it all");

    let second = site.lead(large()).await;
    let listed = second.client().await.unwrap().list().await.unwrap();
    assert_eq!(listed.iter().map(|view| view.trials.pending).collect::<Vec<_>>(), [LARGE]);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_database_that_no_longer_answers() {
    let (site, first, client) = Site::at_work("2").await;
    // The table is held so that the append is seen to wait, and is on its way for certain when the server stops to
    // answer.
    let held = site.server.hold_events();
    let unanswered = tokio::spawn(async move { client.submit(other()).await });
    site.server.waits(None).await;
    let frozen = site.server.freeze();
    let asked = Instant::now();
    let ended = first.stop().await.unwrap_err();
    assert!(asked.elapsed() < STOP_MAX, "took {:?}", asked.elapsed());
    assert!(ended.to_string().contains("did not answer"), "{ended}");
    let answer = unanswered.await.unwrap();
    assert!(answer.is_err(), "acknowledged before it was durable: {answer:?}");

    // What was on its way when the database went on may be in the journal or not; what was acknowledged is.
    drop(frozen);
    drop(held);
    stop_with_two_pending(site.lead(sweeps()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_goes_on_from_a_snapshot_and_does_not_read_what_lies_before_it() {
    let (site, first, _) = Site::at_work("2").await;
    first.stop().await.unwrap();
    let written = site.home.path().join("postgres.snapshot");
    assert!(!written.try_exists().unwrap(), "a short journal needs none");
    let long = "INSERT INTO tradewind_events SELECT last + step, 0, \
                '{\"cordoned\":{\"target\":{\"worker\":\"w9\"},\"cordon\":\"finish\"}}', NULL \
                FROM (SELECT max(sequence) AS last FROM tradewind_events) AS events, generate_series(1, 60000) AS step";
    site.server.query(&format!("{long} RETURNING 1")).expect("the journal grows");

    let second = site.lead(sweeps()).await;
    let patience = Instant::now() + PATIENCE;
    while !written.try_exists().unwrap() {
        assert!(Instant::now() < patience, "no snapshot is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.stop().await.unwrap();

    // Nobody looks there any more.
    site.server.query("DROP TRIGGER tradewind_events_stay ON tradewind_events");
    let spoilt = "UPDATE tradewind_events SET body = '{}' WHERE sequence = 1 RETURNING 1";
    assert_eq!(site.server.query(spoilt).as_deref(), Some("1"));
    stop_with_two_pending(site.lead(sweeps()).await).await;
    // Without it the whole journal is read, and found damaged.
    std::fs::remove_file(&written).unwrap();
    let damaged = scheduler::start(site.config(), sweeps(), None).await.err().expect("it is damaged");
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
