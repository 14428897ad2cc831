//! The command line, as types. Says what can be asked; asks nothing itself.

pub(crate) mod data;
mod explanations;

use std::net::SocketAddr;
use std::path::PathBuf;

use benchmarks::forecast::Planted;
use benchmarks::forecast::speed::Mode as SpeedMode;
use benchmarks::market::MarketKind;
use benchmarks::shelved::Held;
use clap::{Args, Parser, Subcommand, ValueEnum};
use envs::ClassicKind;
use envs::bench::Stepped;
use market::Symbol;
use spec::{ExperimentId, ModelName, Owner, Span, TrialId};

mod members;

pub(crate) use explanations::{BenchExplanations, ExplainPrediction, MethodKind};
pub(crate) use members::{Create, Join, Token};

/// From an experiment file to a live order, with one artifact all the way.
#[derive(Debug, Parser)]
#[command(name = "tradewind", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok · 1 failed · 2 usage or bad input · 130 interrupted")]
pub(crate) struct Cli {
    /// Folder of journal, store, registry, data and reports.
    #[arg(long, global = true, env = "TRADEWIND_HOME", default_value = ".tradewind")]
    pub(crate) home: PathBuf,
    /// Where a new home keeps bundles, checkpoints and logs: a folder, or a URL such as s3://BUCKET/PREFIX whose keys come
    /// from the environment. The home remembers it. Default: HOME/store.
    #[arg(long, global = true, env = "TRADEWIND_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Prints one JSON object as the last line of stdout, and nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How logs are written on stderr; RUST_LOG says which.
    #[arg(long, global = true, env = "TRADEWIND_LOG_FORMAT", value_enum, default_value = "text", hide_env = true)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line, with the ids of experiment, trial and attempt as fields.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs an experiment to its verdict.
    Run(Run),
    /// Hands an experiment to a running scheduler and returns.
    Submit(Submit),
    /// Continues an experiment that was interrupted or killed.
    Resume(Resume),
    /// Runs more points of an experiment, beginning with what it saw.
    Extend(Extend),
    /// Cancels an experiment at a running scheduler.
    Cancel {
        experiment: ExperimentId,
        /// A running scheduler. Default: the one at work on this home.
        #[arg(long)]
        scheduler: Option<String>,
    },
    /// Combines registered policies, or forecasters, into one artifact, tested and judged.
    Ensemble {
        /// The ensemble file.
        spec: PathBuf,
    },
    /// Lists experiments.
    #[command(visible_alias = "list")]
    Ls,
    /// Shows an experiment's trials.
    Show { experiment: ExperimentId },
    /// Says why a trial is where it is.
    Explain {
        trial: TrialId,
        /// A running scheduler. Default: the one at work on this home.
        #[arg(long)]
        scheduler: Option<String>,
    },
    /// Lists machines: what they have, what is held, and what keeps attempts away.
    Nodes {
        /// A running scheduler. Default: the one at work on this home.
        #[arg(long)]
        scheduler: Option<String>,
    },
    /// Lets no new attempt start on a machine or a worker.
    Cordon(Cordoned),
    /// Takes a cordon back.
    Uncordon(Cordoned),
    /// Cordons, and lets running attempts stop at their next checkpoint and go on elsewhere.
    Drain(Cordoned),
    /// Gives a failed trial a new budget of attempts.
    Requeue {
        trial: TrialId,
        /// A running scheduler. Default: the one at work on this home.
        #[arg(long)]
        scheduler: Option<String>,
    },
    /// Prints what a trial, or all of an experiment, measured step by step.
    Logs {
        /// EXPERIMENT or EXPERIMENT.TRIAL.
        of: Logged,
        /// Goes on until the experiment has ended.
        #[arg(long, short)]
        follow: bool,
    },
    /// Shows experiments, running trials and rates, live.
    Top {
        /// A running scheduler. Default: the one at work on this home.
        #[arg(long)]
        scheduler: Option<String>,
        /// Prints one view and ends.
        #[arg(long)]
        once: bool,
    },
    /// Runs a scheduler of its own; workers and `run --scheduler` connect to it.
    Scheduler {
        #[arg(long, default_value = "127.0.0.1:7070")]
        listen: SocketAddr,
        /// postgres://USER:PASSWORD@HOST/DATABASE: several schedulers, of which one leads. Default: a file of the home.
        #[arg(long, env = "TRADEWIND_JOURNAL", hide_env_values = true)]
        journal: Option<String>,
        /// Serves figures for Prometheus at /metrics of this loopback address. Default: nowhere.
        #[arg(long)]
        metrics: Option<SocketAddr>,
        /// Speaks TLS to the members it invited, and serves any address. Default: plain text, on loopback alone.
        #[arg(long)]
        tls: bool,
        /// CPU cores that one owner may hold at once: OWNER=CORES for one, CORES for everyone else. May be repeated.
        /// Default: no limit.
        #[arg(long)]
        quota: Vec<Share>,
    },
    /// Invites members to a scheduler that speaks TLS, lists and revokes them.
    #[command(subcommand)]
    Token(Token),
    /// Makes this home a member of the scheduler that invited it.
    Join(Join),
    /// Runs a worker: one trial at a time, until the scheduler has no use for it.
    Worker(Worker),
    /// Runs one attempt for a worker, in a process that sees the GPUs of that attempt alone.
    #[command(hide = true)]
    Attempt(Attempt),
    /// Deletes checkpoints that no trial of this home can need any more.
    Clean,
    /// Lists registered models and their aliases.
    Models,
    /// Prints every move of a model's aliases.
    History { model: ModelName },
    /// Serves predictions of a registered model over HTTP.
    Serve(Serve),
    /// Asks a serving process for the prediction of the last bar.
    Predict(Predict),
    /// Says which features of which bars drive a forecast, and draws a map of them.
    ExplainPrediction(ExplainPrediction),
    /// Trades a registered model on paper.
    Live(Live),
    /// Derives every decision of a live journal again and compares.
    Replay { journal: PathBuf },
    /// Imports or checks market data.
    #[command(subcommand)]
    Data(data::Data),
    /// Measures; prints JSON lines.
    #[command(subcommand)]
    Bench(Bench),
    /// Prints the JSON Schema of experiment files.
    Schema,
    /// Prints a completion script.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The experiment file.
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    pub(crate) experiment: ExperimentId,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A machine, or one of its workers.
#[derive(Debug, Args)]
#[group(id = "cordoned", required = true, multiple = false)]
pub(crate) struct CordonTarget {
    /// A machine, as `tradewind nodes` names it.
    #[arg(long)]
    pub(crate) node: Option<spec::NodeId>,
    /// A worker.
    #[arg(long)]
    pub(crate) worker: Option<spec::WorkerId>,
}

#[derive(Debug, Args)]
pub(crate) struct Cordoned {
    #[command(flatten)]
    pub(crate) target: CordonTarget,
    /// A running scheduler. Default: the one at work on this home.
    #[arg(long)]
    pub(crate) scheduler: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Extend {
    pub(crate) experiment: ExperimentId,
    /// How many more.
    #[arg(long)]
    pub(crate) trials: u32,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The experiment file.
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What logs are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logged {
    Experiment(ExperimentId),
    Trial(TrialId),
}

impl std::str::FromStr for Logged {
    type Err = String;
    /// An id with a dot is a trial's.
    fn from_str(text: &str) -> Result<Self, String> {
        let trial =
            text.contains('.').then(|| text.parse().map(Self::Trial).map_err(|error: spec::IdError| error.to_string()));
        trial.unwrap_or_else(|| text.parse().map(Self::Experiment).map_err(|error: spec::IdError| error.to_string()))
    }
}

/// What happens when the scheduler cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fallback {
    /// The same work runs here, as a cluster of one, and is reported once the scheduler answers again.
    Local,
    /// The command fails, whatever the experiment file says.
    None,
}

/// A quota: of one owner, or of everyone who has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) owner: Option<Owner>,
    pub(crate) cores: u32,
}

impl std::str::FromStr for Share {
    type Err = String;
    /// OWNER=CORES or CORES.
    fn from_str(text: &str) -> Result<Self, String> {
        let (owner, cores) = text.rsplit_once('=').map_or((None, text), |(owner, cores)| (Some(owner), cores));
        let owner = owner.map(str::parse::<Owner>).transpose().map_err(|error: spec::IdError| error.to_string())?;
        let cores = cores.parse::<u32>().ok().filter(|cores| *cores > 0);
        Ok(Self { owner, cores: cores.ok_or("write OWNER=CORES or CORES, with 1 core or more")? })
    }
}

/// Where the trials run.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// A running scheduler; without it, one starts here and ends with the command.
    #[arg(long)]
    pub(crate) scheduler: Option<String>,
    /// What happens when the scheduler cannot be reached. Default: as the experiment file says, or the command fails.
    #[arg(long, value_enum)]
    pub(crate) fallback: Option<Fallback>,
    /// Longest wait for the scheduler before the fallback. Default: as the experiment file says, or 10s.
    #[arg(long)]
    pub(crate) deadline: Option<Span>,
    /// Who it runs for: quotas are counted by it. Default: the name of the user.
    #[arg(long)]
    pub(crate) owner: Option<Owner>,
    /// CPU cores to use here. Default: all of them.
    #[arg(long)]
    pub(crate) cpus: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// A running scheduler. Default: the one at work on this home, or that it joined.
    #[arg(long)]
    pub(crate) scheduler: Option<String>,
    /// Its name, unique for its life. Default: drawn.
    #[arg(long)]
    pub(crate) id: Option<spec::WorkerId>,
    /// CPU cores it may use. Default: 1.
    #[arg(long, default_value_t = 1)]
    pub(crate) cpus: u32,
    /// GPUs that it may offer, in the words of CUDA_VISIBLE_DEVICES or `all`. Default: as that variable says.
    #[arg(long, hide = true)]
    pub(crate) devices: Option<String>,
    /// Ends with this process: set by an engine that starts workers.
    #[arg(long, hide = true)]
    pub(crate) parent: Option<u32>,
    /// What a trial is: a training, or nothing, to measure the road itself.
    #[arg(long, hide = true, value_enum, default_value = "train")]
    pub(crate) work: Work,
}

#[derive(Debug, Args)]
pub(crate) struct Attempt {
    /// Ends with this process.
    #[arg(long)]
    pub(crate) parent: u32,
    #[arg(long, value_enum, default_value = "train")]
    pub(crate) work: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    Train,
    Noop,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// NAME@champion, NAME@challenger or NAME@VERSION.
    #[arg(long)]
    pub(crate) model: String,
    /// Takes its place, and says so, where its encoder cannot be loaded: another that sees indicators alone.
    #[arg(long)]
    pub(crate) fallback: Option<String>,
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// File holding the API key; made at first use. Default: HOME/keys/serve.key.
    #[arg(long)]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Imported data set or Parquet file whose bars are sent.
    #[arg(long)]
    pub(crate) data: String,
    #[arg(long, value_parser = parse_symbol)]
    pub(crate) symbol: Symbol,
    /// File holding the API key. Default: HOME/keys/serve.key.
    #[arg(long)]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Live {
    /// Trades against the simulated exchange. The only venue of this build.
    #[arg(long, required = true)]
    pub(crate) paper: bool,
    /// Where bars come from: replay:FILE or replay:NAME of an imported data set.
    #[arg(long)]
    pub(crate) feed: String,
    /// NAME@champion, NAME@challenger or NAME@VERSION.
    #[arg(long)]
    pub(crate) model: String,
    /// Takes its place, and says so, where its encoder cannot be loaded: another that sees indicators alone.
    #[arg(long)]
    pub(crate) fallback: Option<String>,
    /// Journal of the session. Default: HOME/live/MODEL-DIGEST.journal; an existing one is continued.
    #[arg(long)]
    pub(crate) journal: Option<PathBuf>,
    /// Largest position over equity, basis points.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) position_max_bps: i32,
    /// Largest value of one order in whole units of currency.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) order_max: i64,
    /// Loss of one day, in whole units of currency, after which only reducing orders pass.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) daily_loss_max: i64,
    /// While this file exists no order is sent. Default: HOME/live/KILL.
    #[arg(long)]
    pub(crate) kill_switch: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// No-op trials through the whole road.
    Scheduler {
        #[arg(long, default_value_t = 500)]
        trials: u32,
        #[arg(long, default_value_t = 2)]
        workers: u32,
    },
    /// A sweep of trials that each sleep a millisecond.
    Sweep(BenchSweep),
    /// An agent on a problem whose solution is known.
    Rl(BenchRl),
    /// An agent on a made-up market, beside the policy that knows it.
    Market(BenchMarket),
    /// Speed of the benchmark forecaster: batch 256, window 60, 16 features, 264 thousand weights, one thread.
    Forecaster {
        /// train, train-mixed, infer, latency or mc.
        #[arg(long)]
        mode: SpeedMode,
        /// Seconds to measure for.
        #[arg(long, default_value_t = 6.0)]
        seconds: f64,
    },
    /// Memory and time of a forecaster's training on many bars, those of a file that is made for it.
    Shelved {
        /// disk or memory: where rows lie while they are learned from.
        #[arg(long, default_value = "disk")]
        held: Held,
        /// Bars of all symbols together.
        #[arg(long, default_value_t = 25_000_000, value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 31))]
        bars: u64,
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
        symbols: u32,
        /// Steps of the optimiser that are timed.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        steps: u32,
    },
    /// Forecasters on series whose best forecast is known.
    Learnable {
        /// autoregression, regime-switch, season or noise.
        #[arg(long)]
        series: Planted,
        /// Values of the series.
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
        rows: u32,
        /// Longest training, epochs.
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        epochs: u32,
        /// single or mixed: what is multiplied in.
        #[arg(long, default_value = "single")]
        precision: spec::Precision,
        /// Series, each with a seed of its own.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1 << 53))]
        first_seed: u64,
    },
    /// What explanations miss, and whether they name a driver that is planted.
    Explanations(BenchExplanations),
    /// Stepping an environment at random.
    Env {
        /// Gymnasium's id, trading or trading-by-reference.
        #[arg(long)]
        env: Stepped,
        /// Copies side by side.
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        envs: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BenchSweep {
    /// random, sobol, tpe, cma_es or gaussian_process.
    #[arg(long, default_value = "tpe", value_parser = parse_sampler)]
    pub(crate) sampler: spec::Sampler,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) trials: u32,
    /// Workers, each with one trial at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) workers: u32,
    /// Trials decided at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch: u32,
}

#[derive(Debug, Args)]
pub(crate) struct BenchMarket {
    /// A recipe file; without it, the shipped one of --algo.
    #[arg(long, conflicts_with = "algo", required_unless_present = "algo")]
    pub(crate) recipe: Option<PathBuf>,
    /// ppo, dqn, td3 or sac.
    #[arg(long, value_parser = ["ppo", "dqn", "td3", "sac"])]
    pub(crate) algo: Option<String>,
    /// planted-signal or pure-noise.
    #[arg(long)]
    pub(crate) market: MarketKind,
    #[command(flatten)]
    pub(crate) trainings: Trainings,
}

#[derive(Debug, Args)]
pub(crate) struct BenchRl {
    /// A recipe file; without it, the shipped one of --algo on --env.
    #[arg(long, conflicts_with_all = ["algo", "env"], required_unless_present_all = ["algo", "env"])]
    pub(crate) recipe: Option<PathBuf>,
    /// ppo, dqn, td3 or sac.
    #[arg(long, value_parser = ["ppo", "dqn", "td3", "sac"])]
    pub(crate) algo: Option<String>,
    /// Gymnasium's id.
    #[arg(long)]
    pub(crate) env: Option<ClassicKind>,
    #[command(flatten)]
    pub(crate) trainings: Trainings,
}

/// How often and how long a benchmark trains.
#[derive(Debug, Args)]
pub(crate) struct Trainings {
    /// Environment steps, in place of the recipe's.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Option<u64>,
    /// Trainings, each with a seed of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1 << 53))]
    pub(crate) first_seed: u64,
}

impl Trainings {
    /// The seed of each training.
    pub(crate) fn all(&self) -> std::ops::Range<u64> {
        self.first_seed..self.first_seed + self.seeds
    }
}

fn parse_sampler(text: &str) -> Result<spec::Sampler, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

pub(crate) fn parse_symbol(text: &str) -> Result<Symbol, String> {
    Symbol::try_from(text.to_owned()).map_err(|error| error.to_string())
}
