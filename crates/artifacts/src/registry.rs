//! Models, their versions and aliases, and the log of who moved what when on which evidence.
//!
//! Aliases move by compare-and-swap. The log is append-only: the database itself refuses to change or delete a line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use market::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use spec::{BundleId, Digest, ModelName, TrialId};

use crate::gate::Validated;

/// How long a writer waits for another.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Processes that may open a new registry at the same moment.
const OPENERS_MAX: usize = 100;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS version (
    model TEXT NOT NULL, number INTEGER NOT NULL, bundle TEXT NOT NULL, trial TEXT NOT NULL,
    registered INTEGER NOT NULL, PRIMARY KEY (model, number), UNIQUE (model, bundle)
) STRICT;
CREATE TABLE IF NOT EXISTS alias (
    model TEXT NOT NULL, alias TEXT NOT NULL, bundle TEXT NOT NULL, PRIMARY KEY (model, alias)
) STRICT;
CREATE TABLE IF NOT EXISTS alias_log (
    entry INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, model TEXT NOT NULL, alias TEXT NOT NULL,
    before TEXT, after TEXT NOT NULL, actor TEXT NOT NULL, evidence TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS ledger (
    data TEXT NOT NULL, run TEXT NOT NULL, trials INTEGER NOT NULL, PRIMARY KEY (data, run)
) STRICT;
CREATE TRIGGER IF NOT EXISTS alias_log_keeps_lines BEFORE DELETE ON alias_log
    BEGIN SELECT RAISE(ABORT, 'the alias log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS alias_log_keeps_words BEFORE UPDATE ON alias_log
    BEGIN SELECT RAISE(ABORT, 'the alias log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS alias_log_keeps_numbers BEFORE INSERT ON alias_log
    WHEN EXISTS (SELECT 1 FROM alias_log WHERE entry = NEW.entry)
    BEGIN SELECT RAISE(ABORT, 'the alias log is append-only'); END;
";

/// A pointer to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alias {
    /// Passed every gate: may trade with a real broker.
    Champion,
    /// Registered: may trade on paper.
    Challenger,
}

impl Alias {
    /// As text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Alias {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Champion, Self::Challenger]
            .into_iter()
            .find(|alias| alias.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not an alias: write champion or challenger"))
    }
}

/// The number of a version within its model, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A registered bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEntry {
    /// Its number.
    pub version: Version,
    /// The artifact.
    pub bundle: BundleId,
    /// The trial that made it.
    pub trial: TrialId,
    /// When it was registered.
    pub registered: Timestamp,
}

/// A model with its versions and aliases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Its name.
    pub model: ModelName,
    /// Newest last.
    pub versions: Vec<VersionEntry>,
    /// Where each alias points.
    pub aliases: Vec<(Alias, BundleId)>,
}

/// A line of the alias log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasMove {
    /// When.
    pub at: Timestamp,
    /// Which alias.
    pub alias: Alias,
    /// Where it pointed; `None`: nowhere.
    pub from: Option<BundleId>,
    /// Where it points since.
    pub to: BundleId,
    /// Who moved it.
    pub actor: String,
    /// Digest of the evidence it was moved on.
    pub evidence: Digest,
}

/// Who moves an alias, when, and on what.
#[derive(Clone, Debug)]
pub struct Moved<'a> {
    /// The pointer's present target as the mover knows it.
    pub expected: Option<BundleId>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: &'a str,
    /// Digest of the evidence.
    pub evidence: Digest,
}

/// Why the registry does not do something.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Somebody moved the alias first.
    #[error("{model}@{alias} points at {}, not at {}: look again before moving it", shown(.actual), shown(.expected))]
    Conflict {
        /// Which model.
        model: ModelName,
        /// Which alias.
        alias: Alias,
        /// What the mover expected.
        expected: Option<BundleId>,
        /// What is so.
        actual: Option<BundleId>,
    },
    /// An alias can point only at a registered version.
    #[error("bundle {bundle} is no version of {model}: register it first")]
    Unregistered {
        /// Which model.
        model: ModelName,
        /// Which bundle.
        bundle: BundleId,
    },
    /// The reference names nothing.
    #[error("{reference} names no registered version: `tradewind models` lists what there is")]
    NotFound {
        /// What was asked for.
        reference: String,
    },
    /// The reference has the wrong form.
    #[error("`{reference}` is no model reference: write NAME@champion, NAME@challenger or NAME@VERSION")]
    Reference {
        /// What was asked for.
        reference: String,
    },
    /// The database fails.
    #[error("registry {path}: {action} failed")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A row holds what this build cannot have written.
    #[error("registry {path}: a row is damaged: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

fn shown(bundle: &Option<BundleId>) -> String {
    bundle.map_or_else(|| "nothing".to_owned(), |bundle| bundle.short())
}

/// Turns a new file to write-ahead logging. Where several do so at once, SQLite refuses all but one without the wait that it
/// grants elsewhere; an empty exclusive transaction is granted it.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let turn = || connection.pragma_update(None, "journal_mode", "WAL");
    for _ in 0..OPENERS_MAX {
        match turn() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
            }
            result => return result,
        }
    }
    turn()
}

/// The registry file. Several processes may have it open.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    connection: Connection,
}

type Result<T> = std::result::Result<T, RegistryError>;

impl Registry {
    /// Opens a registry, made where missing.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| RegistryError::Database { path: path.to_owned(), action: "opening", source };
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_WAIT).map_err(failed)?;
        write_ahead(&connection).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.execute_batch(&format!("BEGIN IMMEDIATE;{SCHEMA}COMMIT;")).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Gives a bundle a version number; one that has one keeps it.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn register(&mut self, model: &ModelName, bundle: BundleId, trial: &TrialId, at: Timestamp) -> Result<Version> {
        self.transact("registering a version", |transaction| {
            if let Some(number) = number_of(transaction, model, bundle)? {
                return Ok(Ok(Version(number)));
            }
            let number: u32 = transaction.query_row(
                "SELECT coalesce(max(number), 0) + 1 FROM version WHERE model = ?1",
                params![model.as_str()],
                |row| row.get(0),
            )?;
            transaction.execute(
                "INSERT INTO version (model, number, bundle, trial, registered) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![model.as_str(), number, bundle.to_string(), trial.to_string(), at.micros()],
            )?;
            Ok(Ok(Version(number)))
        })
    }

    /// Points `challenger` at a registered bundle. Needs no proof: a challenger trades on paper only.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when it points elsewhere than expected, [`RegistryError::Unregistered`].
    pub fn challenge(&mut self, model: &ModelName, bundle: BundleId, moved: &Moved<'_>) -> Result<()> {
        self.move_alias(model, Alias::Challenger, bundle, moved)
    }

    /// Points `champion` at a bundle that passed every gate.
    ///
    /// # Errors
    /// As [`Registry::challenge`].
    pub fn promote(&mut self, model: &ModelName, bundle: &Validated<BundleId>, moved: &Moved<'_>) -> Result<()> {
        self.move_alias(model, Alias::Champion, *bundle.get(), moved)
    }

    fn move_alias(&mut self, model: &ModelName, alias: Alias, to: BundleId, moved: &Moved<'_>) -> Result<()> {
        let conflict = |actual: Option<BundleId>| {
            Err(RegistryError::Conflict { model: model.clone(), alias, expected: moved.expected, actual })
        };
        let path = self.path.clone();
        self.transact("moving an alias", |transaction| {
            let actual = match pointed(transaction, model, alias)?.map(|text| parse(&path, &text)).transpose() {
                Ok(actual) => actual,
                Err(damaged) => return Ok(Err(damaged)),
            };
            if actual != moved.expected {
                return Ok(conflict(actual));
            }
            if number_of(transaction, model, to)?.is_none() {
                return Ok(Err(RegistryError::Unregistered { model: model.clone(), bundle: to }));
            }
            transaction.execute(
                "INSERT INTO alias (model, alias, bundle) VALUES (?1, ?2, ?3)
                 ON CONFLICT (model, alias) DO UPDATE SET bundle = excluded.bundle",
                params![model.as_str(), alias.as_str(), to.to_string()],
            )?;
            transaction.execute(
                "INSERT INTO alias_log (at, model, alias, before, after, actor, evidence)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    moved.at.micros(),
                    model.as_str(),
                    alias.as_str(),
                    actual.map(|bundle| bundle.to_string()),
                    to.to_string(),
                    moved.actor,
                    moved.evidence.to_string()
                ],
            )?;
            Ok(Ok(()))
        })
    }

    /// Where an alias points.
    ///
    /// # Errors
    /// [`RegistryError::Database`], [`RegistryError::Damaged`].
    pub fn alias(&self, model: &ModelName, alias: Alias) -> Result<Option<BundleId>> {
        let text = pointed(&self.connection, model, alias).map_err(self.failed("reading an alias"))?;
        text.map(|text| parse(&self.path, &text)).transpose()
    }

    /// The bundle that `NAME@champion`, `NAME@challenger` or `NAME@VERSION` names now.
    ///
    /// # Errors
    /// [`RegistryError::Reference`], [`RegistryError::NotFound`].
    pub fn resolve(&self, reference: &str) -> Result<(ModelName, BundleId)> {
        let malformed = || RegistryError::Reference { reference: reference.to_owned() };
        let (name, what) = reference.split_once('@').ok_or_else(malformed)?;
        let model: ModelName = name.parse().map_err(|_| malformed())?;
        let found = if let Ok(alias) = what.parse() {
            self.alias(&model, alias)?
        } else {
            let number: u32 = what.parse().map_err(|_| malformed())?;
            self.versions(&model)?.into_iter().find(|entry| entry.version.0 == number).map(|entry| entry.bundle)
        };
        match found {
            Some(bundle) => Ok((model, bundle)),
            None => Err(RegistryError::NotFound { reference: reference.to_owned() }),
        }
    }

    /// Every model, by name.
    ///
    /// # Errors
    /// [`RegistryError::Database`], [`RegistryError::Damaged`].
    pub fn models(&self) -> Result<Vec<ModelEntry>> {
        let names: Vec<String> =
            self.rows("SELECT DISTINCT model FROM version ORDER BY model", params![], |row| row.get(0))?;
        names
            .into_iter()
            .map(|name| {
                let model: ModelName = parse(&self.path, &name)?;
                let mut aliases = Vec::new();
                for alias in [Alias::Champion, Alias::Challenger] {
                    aliases.extend(self.alias(&model, alias)?.map(|bundle| (alias, bundle)));
                }
                Ok(ModelEntry { versions: self.versions(&model)?, aliases, model })
            })
            .collect()
    }

    /// Whether a bundle is or ever was the champion of a model, whatever it is called by.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn was_champion(&self, bundle: BundleId) -> Result<bool> {
        let moves: Vec<i64> = self.rows(
            "SELECT entry FROM alias_log WHERE alias = ?1 AND after = ?2 LIMIT 1",
            params![Alias::Champion.as_str(), bundle.to_string()],
            |row| row.get(0),
        )?;
        Ok(!moves.is_empty())
    }

    /// The versions of a model, oldest first.
    ///
    /// # Errors
    /// [`RegistryError::Database`], [`RegistryError::Damaged`].
    pub fn versions(&self, model: &ModelName) -> Result<Vec<VersionEntry>> {
        let rows: Vec<(u32, String, String, i64)> = self.rows(
            "SELECT number, bundle, trial, registered FROM version WHERE model = ?1 ORDER BY number",
            params![model.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        rows.into_iter()
            .map(|(number, bundle, trial, registered)| {
                Ok(VersionEntry {
                    version: Version(number),
                    bundle: parse(&self.path, &bundle)?,
                    trial: parse(&self.path, &trial)?,
                    registered: Timestamp::from_micros(registered),
                })
            })
            .collect()
    }

    /// Every move of a model's aliases, oldest first.
    ///
    /// # Errors
    /// [`RegistryError::Database`], [`RegistryError::Damaged`].
    pub fn history(&self, model: &ModelName) -> Result<Vec<AliasMove>> {
        type Row = (i64, String, Option<String>, String, String, String);
        let rows: Vec<Row> = self.rows(
            "SELECT at, alias, before, after, actor, evidence FROM alias_log WHERE model = ?1 ORDER BY entry",
            params![model.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )?;
        rows.into_iter()
            .map(|(at, alias, before, after, actor, evidence)| {
                Ok(AliasMove {
                    at: Timestamp::from_micros(at),
                    alias: parse(&self.path, &alias)?,
                    from: before.map(|text| parse(&self.path, &text)).transpose()?,
                    to: parse(&self.path, &after)?,
                    actor,
                    evidence: parse(&self.path, &evidence)?,
                })
            })
            .collect()
    }

    /// Which bundle an alias pointed at at a moment: "which model was live at 14:03:05Z".
    ///
    /// # Errors
    /// [`RegistryError::Database`], [`RegistryError::Damaged`].
    pub fn at(&self, model: &ModelName, alias: Alias, moment: Timestamp) -> Result<Option<AliasMove>> {
        let history = self.history(model)?;
        Ok(history.into_iter().rfind(|entry| entry.alias == alias && entry.at <= moment))
    }

    /// Notes that a run tried `trials` trials on some data, and returns how many were ever tried on them. Noting a run
    /// again keeps the larger number: a run counts once, and a resumed one is not a new one.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn count_trials(&mut self, data: Digest, run: Digest, trials: u32) -> Result<u64> {
        self.transact("counting trials", |transaction| {
            transaction.execute(
                "INSERT INTO ledger (data, run, trials) VALUES (?1, ?2, ?3)
                 ON CONFLICT (data, run) DO UPDATE SET trials = max(trials, excluded.trials)",
                params![data.to_string(), run.to_string(), trials],
            )?;
            let total: i64 = transaction.query_row(
                "SELECT sum(trials) FROM ledger WHERE data = ?1",
                params![data.to_string()],
                |row| row.get(0),
            )?;
            Ok(Ok(total.unsigned_abs()))
        })
    }

    /// Runs `work` in an immediate transaction; a refusal rolls back.
    fn transact<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T>>,
    ) -> Result<T> {
        let failed = |source| RegistryError::Database { path: self.path.clone(), action, source };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let done = work(&transaction).map_err(failed)??;
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    fn rows<T>(
        &self,
        query: &'static str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare(query).map_err(self.failed("reading"))?;
        let rows = statement.query_map(parameters, read).map_err(self.failed("reading"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(self.failed("reading"))
    }

    fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> RegistryError {
        let path = self.path.clone();
        move |source| RegistryError::Database { path: path.clone(), action, source }
    }
}

fn number_of(connection: &Connection, model: &ModelName, bundle: BundleId) -> rusqlite::Result<Option<u32>> {
    connection
        .query_row(
            "SELECT number FROM version WHERE model = ?1 AND bundle = ?2",
            params![model.as_str(), bundle.to_string()],
            |row| row.get(0),
        )
        .optional()
}

fn pointed(connection: &Connection, model: &ModelName, alias: Alias) -> rusqlite::Result<Option<String>> {
    connection
        .query_row(
            "SELECT bundle FROM alias WHERE model = ?1 AND alias = ?2",
            params![model.as_str(), alias.as_str()],
            |row| row.get(0),
        )
        .optional()
}

fn parse<T: FromStr<Err: fmt::Display>>(path: &Path, text: &str) -> Result<T> {
    text.parse().map_err(|error: T::Err| RegistryError::Damaged { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests;
