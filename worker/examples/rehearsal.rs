//! A worker process that trains nothing: the local engine's child in tests. Takes the engine's arguments, and `--gpus N` for as
//! many made-up GPUs; or `attempt`, and is then the process of one attempt.

use std::path::PathBuf;

use protocol::{Gpu, Token};
use worker::{Apart, Command, Hardware, Rehearsal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).peekable();
    let is_attempt = args.next_if(|first| first == "attempt").is_some();
    let (mut scheduler, mut home, mut id, mut parent, mut gpus) = (String::new(), PathBuf::new(), String::new(), 0, 0);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--scheduler" => scheduler = value,
            "--home" => home = value.into(),
            "--id" => id = value,
            "--parent" => parent = value.parse()?,
            "--gpus" => gpus = value.parse()?,
            _ => {}
        }
    }
    worker::die_with_parent(parent)?;
    if is_attempt {
        return Ok(worker::attempt(Rehearsal)?);
    }
    let token = Token::read(&home.join("keys/scheduler.token"))?;
    let gpu = |index| Gpu { index, memory: spec::Bytes(1 << 30), name: "made up".to_owned() };
    let hardware = Hardware { gpus: (0..gpus).map(gpu).collect(), ..Hardware::default() };
    let options = worker::Options { hardware, ..worker::Options::new(&scheduler, token, id.parse()?) };
    let apart = Command { program: std::env::current_exe()?, args: vec!["attempt".into()] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(worker::run(options, Apart::new(Rehearsal, apart), std::future::pending()))?;
    Ok(())
}
