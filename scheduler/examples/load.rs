//! Prints what a full scheduler costs, as JSON: `load scale TRIALS` or `load heartbeats WORKERS QUEUED SECONDS`, with
//! the folder for its journal as the last argument.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use scheduler::bench;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |word: &str| word.parse::<u32>();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["scale", trials, home] => {
            let figures = bench::scale(home.as_ref(), number(trials)?).await?;
            println!("{}", serde_json::to_string(&figures)?);
        }
        ["heartbeats", workers, queued, seconds, home] => {
            let (workers, queued, seconds) = (number(workers)?, number(queued)?, number(seconds)?);
            let figures = bench::heartbeats(home.as_ref(), workers, queued, seconds.into()).await?;
            println!("{}", serde_json::to_string(&figures)?);
        }
        _ => return Err("use `load scale TRIALS HOME` or `load heartbeats WORKERS QUEUED SECONDS HOME`".into()),
    }
    Ok(())
}
