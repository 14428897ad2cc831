//! A worker process that trains nothing: the local engine's child in tests. Takes the engine's arguments.

use std::path::PathBuf;

use protocol::Token;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (mut scheduler, mut home, mut id, mut parent) = (String::new(), PathBuf::new(), String::new(), 0);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--scheduler" => scheduler = value,
            "--home" => home = value.into(),
            "--id" => id = value,
            "--parent" => parent = value.parse()?,
            _ => {}
        }
    }
    worker::die_with_parent(parent)?;
    let token = Token::read(&home.join("keys/scheduler.token"))?;
    let options = worker::Options::new(&scheduler, token, id.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(worker::run(options, worker::Rehearsal, std::future::pending()))?;
    Ok(())
}
