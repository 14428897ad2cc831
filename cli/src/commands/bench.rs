//! `bench`: figures as JSON lines.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use benchmarks::clock::Moment;
use benchmarks::forecast::speed::{self, Mode};
use benchmarks::forecast::{Planted, learnable};
use benchmarks::shelved::Held;
use benchmarks::{agent, figures, gemm, market, recipes};
use envs::bench::Stepped;
use serde_json::json;
use spec::{BenchmarkSpec, Precision, Problem};

use crate::args::{BenchMarket, BenchRl, BenchSweep};
use crate::commands::{Audience, Context, runtime, serving_runtime};
use crate::exit::{BadInput, Exit, bad_input};

/// No-op trials from submission to the journalled result, through the real server, protocol and journal.
pub(crate) fn scheduler(context: &Context, trials: u32, workers: u32) -> Result<Exit> {
    let home = fresh_home(context)?;
    let load = scheduler::bench::Load::nothing(trials);
    let figures = serving_runtime()?.block_on(scheduler::bench::dispatch(&home, load, workers))?;
    let line = json!({
        "bench": "scheduler",
        "trials": figures.trials,
        "workers": workers,
        "trials_per_s": f64::from(figures.trials) / figures.seconds,
        "overhead_ms_per_trial": 1_000.0 * figures.seconds / f64::from(figures.trials),
        "journal_bytes_per_trial": figures.journal_bytes / u64::from(figures.trials.max(1)),
        "rss_mb": peak_rss_mb("self"),
        "worker_rss_mb": idle_worker_rss_mb(&home)?,
    });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// A home of its own for a bench, empty.
fn fresh_home(context: &Context) -> Result<PathBuf> {
    let home = context.home.path().join("bench");
    match std::fs::remove_dir_all(&home) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be emptied", home.display())),
    }
    std::fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
    Ok(home)
}

/// A sweep whose trials each sleep a millisecond: what suggesting, journalling and dispatching adds to that.
pub(crate) fn sweep(context: &Context, options: &BenchSweep) -> Result<Exit> {
    let home = fresh_home(context)?;
    let sync = scheduler::bench::sync_after(experiments::bench::WORK, &home)
        .with_context(|| format!("{} cannot be written and synced", home.display()))?;
    let load = experiments::bench::millisecond_trials(options.sampler, options.trials, options.batch)?;
    let figures = runtime()?.block_on(scheduler::bench::dispatch(&home, load, options.workers))?;
    let above = figures.seconds - figures.work_seconds / f64::from(options.workers);
    let line = json!({
        "bench": "sweep",
        "sampler": options.sampler,
        "trials": figures.trials,
        "workers": options.workers,
        "batch": options.batch,
        "sync_ms": 1_000.0 * sync.as_secs_f64(),
        "work_ms_per_trial": 1_000.0 * figures.work_seconds / f64::from(figures.trials),
        "overhead_ms_per_trial": 1_000.0 * above / f64::from(figures.trials),
        "journal_bytes_per_trial": figures.journal_bytes / u64::from(figures.trials.max(1)),
    });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// Trains by a recipe, seed after seed, and prints one object of all of them.
pub(crate) fn rl(context: &Context, options: &BenchRl) -> Result<Exit> {
    let mut recipe = match (&options.recipe, &options.algo, options.env) {
        (Some(path), ..) => recipe(path)?,
        (None, Some(algo), Some(env)) => recipes::shipped(algo, env).ok_or_else(|| {
            BadInput(format!("no recipe of {algo} on {} ships with the program: use --recipe", env.name()))
        })?,
        (None, ..) => return Err(BadInput("name a --recipe, or --algo and --env".to_owned()).into()),
    };
    recipe.agent.steps = options.trainings.steps.unwrap_or(recipe.agent.steps);
    let (starts, name) = (recipes::starts(&recipe.env), recipe.agent.algorithm.name());
    let peak = gemm::peak();
    let mut runs = Vec::new();
    for seed in options.trainings.all() {
        let run = agent::run(&recipe, seed, &starts)
            .map_err(|error| if error.is_bad_input() { bad_input(error) } else { error.into() })?;
        if context.audience == Audience::People {
            eprintln!("{}", seed_line(&run));
        }
        runs.push(run);
    }
    let line = figures::figures((name, &recipe.env, recipe.agent.steps), &runs, peak);
    crate::view::line(&serde_json::to_value(line).context("the figures are no JSON")?);
    Ok(Exit::Ok)
}

fn recipe(path: &Path) -> Result<BenchmarkSpec> {
    let unread = |error| BadInput(format!("{} cannot be read: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(unread)?;
    let lines = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Ok(recipes::read(&path.display().to_string(), &text).map_err(|problems| BadInput(lines(problems)))?)
}

fn seed_line(run: &agent::SeedFigures) -> String {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let best = run.best.as_deref().map(|best| format!("  best {:9.2}", mean(best))).unwrap_or_default();
    let regret = run.regret.map(|regret| format!("  regret {regret:7.2}")).unwrap_or_default();
    let rate = run.steps_learning as f64 / run.learning.cpu_s;
    format!("seed {:>3}  return {:9.2}{best}{regret}  {rate:>9.0} steps per CPU second", run.seed, mean(&run.last))
}

/// Trains on a made-up market, seed after seed, and trades beside the policy that knows it.
pub(crate) fn market(context: &Context, options: &BenchMarket) -> Result<Exit> {
    let mut recipe = match (&options.recipe, &options.algo) {
        (Some(path), _) => recipe(path)?,
        (None, Some(algo)) => recipes::market(algo).expect("the command line names algorithms with a recipe"),
        (None, None) => return Err(BadInput("name a --recipe or an --algo".to_owned()).into()),
    };
    recipe.agent.steps = options.trainings.steps.unwrap_or(recipe.agent.steps);
    let mut runs = Vec::new();
    for seed in options.trainings.all() {
        let run = market::run(&recipe, options.market, seed)
            .map_err(|error| if error.is_bad_input() { bad_input(error) } else { error.into() })?;
        if context.audience == Audience::People {
            let (agent, oracle) = (&run.agent, &run.oracle);
            eprintln!(
                "seed {seed:>3}  Sharpe {:6.2}  oracle {:6.2}  mean |position| {:5.3}  turnover {:5.3}  {:6.1} CPU s",
                agent.sharpe, oracle.sharpe, agent.mean_abs_position, agent.turnover, run.cpu_s
            );
        }
        runs.push(run);
    }
    let line = json!({
        "bench": "market",
        "algo": recipe.agent.algorithm.name(),
        "market": options.market,
        "steps": recipe.agent.steps,
        "seeds": runs,
    });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// Speed of the benchmark network.
pub(crate) fn forecaster(mode: Mode, seconds: f64) -> Result<Exit> {
    let line = speed::run(mode, seconds).context("the benchmark network cannot be run")?;
    crate::view::line(&serde_json::to_value(line).context("the figures are no JSON")?);
    Ok(Exit::Ok)
}

/// What a training takes of memory for its bars, beside what the process took before it.
pub(crate) fn shelved(context: &Context, held: Held, (bars, symbols): (u64, u32), steps: u32) -> Result<Exit> {
    let home = fresh_home(context)?;
    let set = benchmarks::shelved::write(&home, bars, symbols).context("the bars cannot be written")?;
    let before = peak_rss_mb("self").context("the system does not say how much memory is used")?;
    let learned = benchmarks::shelved::learn(&set, held, steps as usize).context("the bars cannot be learned from")?;
    let after = peak_rss_mb("self").context("the system does not say how much memory is used")?;
    std::fs::remove_dir_all(&home).with_context(|| format!("{} cannot be removed", home.display()))?;
    let mut line = serde_json::to_value(&learned).context("the figures are no JSON")?;
    line["bench"] = json!("shelved");
    line["rss_before_mb"] = json!(before);
    line["rss_mb"] = json!(after);
    line["rss_bytes_per_bar"] = json!(((after - before) * 1_048_576.0 / learned.bars as f64 * 10.0).round() / 10.0);
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// Trains forecasters on series whose best forecast is known, seed after seed.
pub(crate) fn learnable(
    context: &Context,
    series: Planted,
    (rows, epochs, precision): (usize, u32, Precision),
    seeds: std::ops::Range<u64>,
) -> Result<Exit> {
    let mut runs = Vec::new();
    for seed in seeds {
        let run = learnable::run(series, (rows, epochs), (precision, seed))?;
        if context.audience == Audience::People {
            let [low, high] = run.accuracy_interval;
            eprintln!(
                "seed {seed:>3}  R2 {:7.4}  best {:7.4}  accuracy {:6.4} [{low:6.4}, {high:6.4}]  {:3} epochs  {:6.1} CPU s",
                run.r2, run.bayes_r2, run.accuracy, run.epochs, run.cpu_s
            );
        }
        runs.push(run);
    }
    let line = json!({ "bench": "learnable", "series": series, "rows": rows, "precision": precision, "seeds": runs });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// Steps an environment at random.
pub(crate) fn env(stepped: Stepped, envs: u32) -> Exit {
    let began = Moment::now();
    let rate = stepped.rate(envs as usize, || began.elapsed().cpu_s);
    let line = json!({ "bench": "env", "env": stepped.name(), "envs": envs, "steps_per_cpu_s": rate.round() });
    crate::view::line(&line);
    Exit::Ok
}

/// Peak resident memory of a worker that waits for a scheduler: what each costs before it trains.
#[allow(clippy::disallowed_methods, reason = "gives another process time to start")]
fn idle_worker_rss_mb(home: &Path) -> Result<Option<f64>> {
    const START: Duration = Duration::from_secs(2);
    let program = std::env::current_exe().context("the program cannot find itself")?;
    let mut worker = std::process::Command::new(program)
        .arg("--home")
        .arg(home)
        // The scheduler of the bench has ended: the worker waits for it to come back.
        .args(["worker", "--scheduler", "http://127.0.0.1:9"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("a worker cannot be started")?;
    std::thread::sleep(START);
    let peak = peak_rss_mb(&worker.id().to_string());
    worker.kill().context("the worker cannot be stopped")?;
    worker.wait().context("the worker cannot be stopped")?;
    Ok(peak)
}

/// Peak resident memory of a process, megabytes; `self` is this one.
fn peak_rss_mb(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kilobytes / 1_024.0 * 10.0).round() / 10.0)
}
