//! Processes of a cluster that end with their test, and waiting for what they do.

#![allow(clippy::disallowed_methods, reason = "waits for other processes")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::site::{Site, text};

/// Longest wait for anything: a machine under load is slow, a thing that does not happen is not worth longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process that ends with its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// What it printed, once it has ended by itself.
    pub(crate) fn output(mut self) -> String {
        until("the process ends", || self.0.try_wait().unwrap().map(|status| assert!(status.success(), "{status}")));
        let mut said = Vec::new();
        self.0.stdout.take().unwrap().read_to_end(&mut said).unwrap();
        text(&said)
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} and still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A scheduler on a home, and its address.
pub(crate) fn scheduler(site: &Site, listen: &str, more: &[&str]) -> (Running, String) {
    let mut process = site.start(&[&["scheduler", "--listen", listen][..], more].concat());
    let said = BufReader::new(process.stdout.take().unwrap()).lines();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || said.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    // One whose journal is in a database says first that it stands by.
    let mut before = Vec::new();
    loop {
        let line = told.recv_timeout(PATIENCE).unwrap_or_else(|why| panic!("{why}: it said only {before:?}"));
        match line.strip_prefix("scheduler at ") {
            Some(url) => return (Running(process), url.to_owned()),
            None => before.push(line),
        }
    }
}

/// A worker of a scheduler.
pub(crate) fn worker(site: &Site, url: &str, id: &str, more: &[&str]) -> Running {
    Running(site.start(&[&["worker", "--scheduler", url, "--id", id][..], more].concat()))
}

/// An address where nobody listens.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// What an address answers to `GET path`, head and body; `None` when nobody listens there.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

/// The state of an experiment, as `ls` lists it.
pub(crate) fn state(site: &Site, experiment: &str) -> Option<String> {
    let listed = site.json(&["ls"]);
    let found = listed["experiments"].as_array().unwrap().iter().find(|listed| listed["experiment"] == experiment)?;
    Some(found["state"].as_str().unwrap().to_owned())
}

/// Waits until an experiment is in a state.
pub(crate) fn reaches(site: &Site, experiment: &str, wanted: &str) {
    until(&format!("{experiment} is {wanted}"), || (state(site, experiment)? == wanted).then_some(()));
}

/// Waits until `explain` gives a trial's cause by this name; the explanation.
pub(crate) fn explained(site: &Site, trial: &str, cause: &str) -> Value {
    until(&format!("{trial} is explained by {cause}"), || {
        let explanation = site.json(&["explain", trial]);
        (explanation["why"]["cause"] == cause).then_some(explanation)
    })
}

/// The lines of a log, as data.
pub(crate) fn log(site: &Site, of: &str) -> Vec<Value> {
    let output = site.run(&["logs", of, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    lines(&text(&output.stdout))
}

pub(crate) fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
