//! A scheduler without trainings: `scheduler`, `submit` and `ls` as the program `tradewind` has them, for scripts that kill
//! it where only the scheduler is meant. A spec is any file with a `name:` line; its trials do nothing.
//!
//! `bare --home HOME scheduler --listen ADDRESS` · `bare --home HOME submit SPEC --scheduler URL` · `bare --home HOME ls`

#![allow(clippy::print_stdout, reason = "its answers are its output")]

use std::path::{Path, PathBuf};

use protocol::{Client, Policy, Submission, Token};
use scheduler::{Ask, Config, OpenError, Sweep, SweepOutcome};
use spec::{Digest, Span};

type Failure = Box<dyn std::error::Error>;

/// One trial that nobody runs.
struct One(bool);

impl Sweep for One {
    fn ask(&mut self) -> Ask {
        if std::mem::take(&mut self.0) { Ask::Batch(vec![b"trial".to_vec()]) } else { Ask::Done }
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {}
}

fn submission(path: &Path) -> Result<Submission, Failure> {
    let text = std::fs::read_to_string(path)?;
    let name = text.lines().find_map(|line| line.strip_prefix("name:")).ok_or("a spec has a `name:` line")?.trim();
    let experiment = format!("{name}-{}", Digest::of(text.as_bytes()).short());
    let payload = text.clone().into_bytes();
    Ok(Submission { experiment: experiment.parse()?, name: name.parse()?, payload, policy: Policy::default() })
}

async fn act(home: &Path, words: &[&str]) -> Result<(), Failure> {
    match words {
        ["scheduler", "--listen", address, ..] => {
            let config = Config { listen: address.parse()?, ..Config::new(home) };
            let sweeps = |_: &Submission| -> Result<Box<dyn Sweep>, OpenError> { Ok(Box::new(One(true))) };
            scheduler::serve(config, Box::new(sweeps), None, std::future::pending()).await?;
        }
        ["submit", spec, "--scheduler", url, ..] => {
            let token = Token::read(&scheduler::token_path(home))?;
            let client = Client::connect(url, &token, Span::from_secs(20)).await?;
            let view = client.submit(submission(Path::new(spec))?).await?;
            println!("{}", serde_json::json!({"experiment": view.experiment, "state": view.state}));
        }
        ["ls", ..] => {
            let listed = scheduler::history(home)?.list();
            let rows: Vec<_> = listed
                .iter()
                .map(|view| serde_json::json!({"experiment": view.experiment, "name": view.name, "state": view.state}))
                .collect();
            println!("{}", serde_json::json!({"experiments": rows}));
        }
        _ => return Err("usage: bare --home HOME scheduler|submit|ls".into()),
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--json").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["--home", home, rest @ ..] = words.as_slice() else { return Err("usage: bare --home HOME …".into()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(act(&PathBuf::from(home), rest))
}
