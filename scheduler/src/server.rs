//! The rim: port, threads and their ends. Turns calls of the protocol into calls of the core, with no decision in it.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::{Client, ClientError, Credentials, Refusals, Token};
use spec::{Digest, Span, WorkerId};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::{self, Config, JournalAt, SchedulerError, Transport};
use crate::core::{CALLS_WAITING_MAX, Call, Core};
use crate::engine::{Engine, Fleet};
use crate::journal::{Journal, JournalError, PostgresJournal, SqliteJournal};
use crate::ledger::Ledger;
use crate::side_log::{self, SideLog};
use crate::snapshot::{self, Snapshot};
use crate::sweep::Sweeps;

mod service;
mod trail;

use service::Rim;
use trail::Trail;

/// How often the engine looks after its workers.
const TEND: Duration = Duration::from_millis(50);

/// Longest wait of a stop for the thread that keeps the snapshot: enough for it to read some two million records, and a
/// database that does not answer does not hold the stop.
const KEEPER_END_MAX: Duration = Duration::from_secs(5);

/// A running scheduler.
pub struct Handle {
    url: String,
    token: Token,
    credentials: Credentials,
    calls: mpsc::Sender<Call>,
    refusals: Refusals,
    /// `None` once it was waited for.
    supervisor: Option<tokio::task::JoinHandle<Result<(), SchedulerError>>>,
}

impl Handle {
    /// Where its own machine reaches it: `http://127.0.0.1:PORT`, by TLS `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token of its home, which callers in plain text need.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// How often it refused a call, by reason.
    #[must_use]
    pub const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// A client of it, as its home.
    ///
    /// # Errors
    /// [`ClientError`] when it ended meanwhile.
    pub async fn client(&self) -> Result<Client, ClientError> {
        Client::connect(&self.url, &self.credentials, Span::from_secs(5)).await
    }

    /// Waits until it ends: asked to by a client, or by a failure. The reason is told once.
    ///
    /// # Errors
    /// [`SchedulerError`], most likely of its journal.
    pub async fn wait(&mut self) -> Result<(), SchedulerError> {
        let Some(supervisor) = &mut self.supervisor else { return Ok(()) };
        let ended = supervisor.await.unwrap_or(Err(SchedulerError::Defect));
        self.supervisor = None;
        ended
    }

    /// Stops it: no lease is given any more, running attempts get the grace time to keep a checkpoint, then its workers
    /// end. What was not finished goes on at the next start.
    ///
    /// # Errors
    /// [`SchedulerError`] when it had failed before.
    pub async fn stop(mut self) -> Result<(), SchedulerError> {
        let (answer, answered) = oneshot::channel();
        // Both err only when it has ended already.
        let _ = self.calls.send(Call::Stop(answer)).await;
        let _ = answered.await;
        self.wait().await
    }
}

/// A handle that is dropped stops its scheduler, without waiting for the end.
impl Drop for Handle {
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        // Errs only when it has ended already.
        let _ = self.calls.try_send(Call::Stop(answer));
    }
}

/// Starts a scheduler: waits until it leads, replays its journal, goes on where it ended, listens, and lets `engine` start workers.
///
/// # Errors
/// [`SchedulerError`]; nothing was started then.
pub async fn start(
    config: Config,
    sweeps: Box<dyn Sweeps>,
    engine: Option<Box<dyn Engine>>,
) -> Result<Handle, SchedulerError> {
    if config.transport == Transport::Plain && !config.listen.ip().is_loopback() {
        return Err(SchedulerError::NotLoopback(config.listen));
    }
    config::make_folder(&config.home)?;
    let token = config::token(&config.home)?;
    let journal = open(&config).await?;
    let (listener, address) = listen(config.listen).await?;
    let url = format!("{}://{}", config.transport.scheme(), from_here(address));
    let Snapshot { ledger, last, .. } = snapshot::resume(&config::snapshot_path(&config), &*journal)?;
    let clock = Clock::start(last);
    // Read only now that this scheduler leads: another may have led until then, and taken members in.
    let access = Arc::new(config::access(&config, &token, clock)?);
    let credentials = config::credentials(&config.home, &url)?;
    let mut options = config.options.clone();
    options.largest = options.largest.or_else(|| engine.as_ref().and_then(|engine| engine.largest()));
    let cluster = Cluster::recover(clock.now(), ledger, sweeps, options)?;
    let side_log = SideLog::new(side_log::folder(&config.home));
    let core = Core::new(cluster, journal, side_log, clock, config.grace);
    config::write_address(&config.home, &url)?;

    let (calls, received) = mpsc::channel(CALLS_WAITING_MAX);
    let core_end = spawn_core(core, received)?;
    let keeper = spawn_keeper(&config, &calls)?;
    let engine_end = engine.map(|engine| spawn_engine(engine, &url, clock, calls.clone())).transpose()?;
    let (stop_server, server_stops) = oneshot::channel::<()>();
    let refusals = Refusals::default();
    let rim = Rim::new(calls.clone(), Trail::new(config.tracer.clone(), clock));
    let server = protocol::serve(listener, access, refusals.clone(), rim, async move {
        // Errs once the supervisor drops it: nothing is ever sent.
        let _ = server_stops.await;
    });
    let server = tokio::spawn(server);
    let supervisor = tokio::spawn(async move {
        let ended = core_end.await.unwrap_or(Err(SchedulerError::Defect));
        if let Some(engine_end) = engine_end {
            let _ = engine_end.await;
        }
        let kept = end_keeper(keeper).await;
        drop(stop_server);
        let served = server.await.map_err(|_| SchedulerError::Defect)?;
        config::forget_address(&config.home);
        ended.and(kept).and_then(|()| served.map_err(Into::into))
    });
    Ok(Handle { url, token, credentials, calls, refusals, supervisor: Some(supervisor) })
}

/// Runs a scheduler until `stop` resolves, a client asks it to stop, or it fails.
///
/// # Errors
/// As [`start`] and [`Handle::wait`].
pub async fn serve(
    config: Config,
    sweeps: Box<dyn Sweeps>,
    engine: Option<Box<dyn Engine>>,
    stop: impl Future<Output = ()>,
) -> Result<(), SchedulerError> {
    let mut handle = start(config, sweeps, engine).await?;
    tracing::info!(url = handle.url(), "scheduler listens");
    tokio::select! {
        ended = handle.wait() => return ended,
        () = stop => {}
    }
    handle.stop().await
}

/// What the journal of `home` tells, read beside a scheduler that may be running.
///
/// # Errors
/// [`SchedulerError::Journal`]. A home without a journal has an empty ledger.
pub fn history(home: &Path) -> Result<Ledger, SchedulerError> {
    let mut history = History::of(home);
    history.look()?;
    Ok(history.known.ledger)
}

/// What the journal of a home tells, looked at again and again: each look reads what was journalled since the last.
#[derive(Debug)]
pub struct History {
    home: PathBuf,
    known: Snapshot,
}

impl History {
    /// Of this home; nothing is read yet.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        Self { home: home.to_owned(), known: Snapshot::default() }
    }

    /// What it tells now, read beside a scheduler that may be running.
    ///
    /// # Errors
    /// As [`history`]; the next look begins anew then.
    pub fn look(&mut self) -> Result<&Ledger, SchedulerError> {
        let known = std::mem::take(&mut self.known);
        let Some(journal) = recorded(&self.home)? else { return Ok(&self.known.ledger) };
        let followed = if known.records == 0 { None } else { known.follow(&journal)? };
        self.known = match followed {
            Some(followed) => followed,
            None => snapshot::resume(&snapshot::beside(&config::journal_path(&self.home)), &journal)?,
        };
        Ok(&self.known.ledger)
    }
}

/// Checkpoints that no trial in the journal of `home` can need any more, read beside a scheduler that may be running.
///
/// # Errors
/// As [`history`].
pub fn surplus(home: &Path) -> Result<BTreeSet<Digest>, SchedulerError> {
    recorded(home)?.map_or(Ok(BTreeSet::new()), |journal| Ok(crate::surplus::checkpoints(&journal)?))
}

fn recorded(home: &Path) -> Result<Option<SqliteJournal>, SchedulerError> {
    let path = config::journal_path(home);
    let exists = path.try_exists().map_err(|why| SchedulerError::Home { path: path.clone(), why })?;
    if !exists {
        return Ok(None);
    }
    match SqliteJournal::open_read_only(&path) {
        Ok(journal) => Ok(Some(journal)),
        // Its scheduler ended while it made it: nothing had happened yet.
        Err(JournalError::Format { found: 0, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The journal, once this scheduler may write it.
async fn open(config: &Config) -> Result<Box<dyn Journal>, SchedulerError> {
    match config.journal.clone() {
        JournalAt::Home => Ok(Box::new(SqliteJournal::open(&config::journal_path(&config.home))?)),
        JournalAt::Postgres(url) => {
            let (leads, led) = oneshot::channel();
            // A standby waits here for as long as another leads, in a thread that nobody waits for if it is given up.
            let wait = move || {
                let journal = PostgresJournal::lead(&url, || !leads.is_closed());
                // Errs only when it was given up.
                let _ = leads.send(journal);
            };
            std::thread::Builder::new()
                .name("standby".to_owned())
                .spawn(wait)
                .map_err(|why| SchedulerError::Home { path: "standby thread".into(), why })?;
            let journal = led.await.map_err(|_| SchedulerError::Defect)??;
            Ok(Box::new(journal.ok_or(SchedulerError::Defect)?))
        }
    }
}

/// The journal, to be read beside the scheduler that writes it.
fn open_beside(config: &Config) -> impl Fn() -> Result<Box<dyn Journal>, JournalError> + Send + use<> {
    let (at, path) = (config.journal.clone(), config::journal_path(&config.home));
    move || -> Result<Box<dyn Journal>, JournalError> {
        Ok(match &at {
            JournalAt::Home => Box::new(SqliteJournal::open_read_only(&path)?),
            JournalAt::Postgres(url) => Box::new(PostgresJournal::open_read_only(url)?),
        })
    }
}

/// The thread that keeps the snapshot.
struct Keeper {
    thread: std::thread::Thread,
    end: End<()>,
}

/// The snapshot is kept by a thread that looks whether the core still takes calls.
fn spawn_keeper(config: &Config, calls: &mpsc::Sender<Call>) -> Result<Keeper, SchedulerError> {
    let (path, open, calls) = (config::snapshot_path(config), open_beside(config), calls.downgrade());
    let over = move || calls.upgrade().is_none_or(|calls| calls.is_closed());
    let (ended, end) = oneshot::channel();
    let keep = move || {
        snapshot::keep(&path, open, over);
        // Errs only when it was waited for long enough.
        let _ = ended.send(());
    };
    let spawned = std::thread::Builder::new().name("snapshot".to_owned()).spawn(keep);
    let thread = spawned.map_err(|why| SchedulerError::Home { path: "snapshot thread".into(), why })?.thread().clone();
    Ok(Keeper { thread, end })
}

/// Waits until the thread that keeps the snapshot has ended: who stopped a scheduler may delete its home, or start
/// another on it. Not joined, and for no longer than [`KEEPER_END_MAX`]: where it waits for a database, the stop goes
/// on without it. It asks once more before it gives a file its name, so all that may come after the stop is one that it
/// was just naming: a whole snapshot of this journal, which a scheduler that starts meanwhile can use or passes over;
/// in a home that was deleted there is no place for it.
async fn end_keeper(keeper: Keeper) -> Result<(), SchedulerError> {
    keeper.thread.unpark();
    match tokio::time::timeout(KEEPER_END_MAX, keeper.end).await {
        // Ended without a word: by a panic.
        Ok(ended) => ended.map_err(|_| SchedulerError::Defect),
        Err(_) => {
            let waited = KEEPER_END_MAX.as_secs();
            tracing::warn!(waited, "the journal is still being read for a snapshot, the stop goes on without it");
            Ok(())
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SchedulerError> {
    let failed = |why| SchedulerError::Port { address, why };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Where this machine reaches `address`, which may stand for all of its addresses.
fn from_here(address: SocketAddr) -> SocketAddr {
    let here: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    if address.ip().is_unspecified() { SocketAddr::new(here, address.port()) } else { address }
}

type End<T> = oneshot::Receiver<T>;

/// The core has a thread of its own: a commit blocks it, and must block nothing else.
fn spawn_core(core: Core, received: mpsc::Receiver<Call>) -> Result<End<Result<(), SchedulerError>>, SchedulerError> {
    let (ended, end) = oneshot::channel();
    let failed = |why| SchedulerError::Home { path: "scheduler thread".into(), why };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("scheduler".to_owned())
        .spawn(move || drop(ended.send(runtime.block_on(core.run(received)))))
        .map_err(failed)?;
    Ok(end)
}

/// Workers die with the thread that starts them (`PR_SET_PDEATHSIG`), so it lives until the core ends.
fn spawn_engine(
    engine: Box<dyn Engine>,
    url: &str,
    clock: Clock,
    calls: mpsc::Sender<Call>,
) -> Result<End<()>, SchedulerError> {
    tracing::info!(%engine, "engine starts");
    // The time keeps names apart when process ids come round again.
    let prefix = format!("local-{}-{:x}", std::process::id(), clock.now().millis());
    let mut fleet = Fleet::new(engine, url, prefix);
    let (ended, end) = oneshot::channel();
    let tend = move || {
        while !calls.is_closed() {
            match fleet.tend(clock.elapsed()) {
                Ok(exits) => exits.into_iter().for_each(|exit| {
                    tracing::warn!(worker = %exit.worker, how = exit.how, "worker ended");
                    report(&calls, exit.worker);
                }),
                Err(error) => {
                    // Errs only when the core has ended.
                    let _ = calls.blocking_send(Call::EngineFailed(error));
                    break;
                }
            }
            std::thread::park_timeout(TEND);
        }
        fleet.end();
        drop(ended);
    };
    std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(tend)
        .map_err(|why| SchedulerError::Home { path: "engine thread".into(), why })?;
    Ok(end)
}

fn report(calls: &mpsc::Sender<Call>, worker: WorkerId) {
    // Errs only when the core has ended.
    let _ = calls.blocking_send(Call::WorkerGone(worker));
}
