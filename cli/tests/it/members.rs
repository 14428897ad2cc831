//! A cluster beyond one machine, as its operators meet it: invite, join, work, revoke.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::site::{Site, program, text};

/// Runs the program on a home of its own.
fn on(home: &Path, arguments: &[&str]) -> Output {
    Command::new(program()).arg("--home").arg(home).args(arguments).output().unwrap()
}

fn told(home: &Path, arguments: &[&str]) -> Value {
    let output = on(home, &[arguments, &["--json"]].concat());
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {stderr}{stdout}");
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

fn refused(home: &Path, arguments: &[&str]) -> String {
    let output = on(home, arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Errs only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "waits for another process to get going")]
fn a_machine_joins_by_invitation_works_by_its_role_and_is_revoked() {
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut scheduler = site.start(&["scheduler", "--tls", "--listen", "0.0.0.0:0"]);
    let mut said = String::new();
    BufReader::new(scheduler.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let _scheduler = Running(scheduler);
    assert!(said.starts_with("scheduler at https://127.0.0.1:"), "{said}");

    let mut invited = Vec::new();
    for (name, role) in [("box-1", "worker"), ("eve", "read")] {
        let file = at(&format!("{name}.join"));
        let file_name = file.to_str().unwrap();
        let create = ["token", "create", "--role", role, "--name", name, "--out", file_name];
        assert_eq!(site.json(&create)["member"]["state"], "invited");
        let again = site.refused(&create, 2);
        assert!(again.contains("is there already: choose another file with --out"), "{again}");
        let joined = told(&at(name), &["join", file_name]);
        assert_eq!((joined["member"].as_str(), joined["role"].as_str()), (Some(name), Some(role)));
        invited.push(std::fs::read_to_string(&file).unwrap());
        let twice = refused(&at("other"), &["join", file_name]);
        assert!(twice.contains("invitation was used already"), "{twice}");
    }
    let worker = Command::new(program()).arg("--home").arg(at("box-1")).args(["worker", "--work", "noop"]).spawn();
    let _worker = Running(worker.unwrap());
    let seen = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        told(&at("eve"), &["nodes"]).to_string().contains("box-1-")
    });
    assert!(seen, "the worker registers under its member's name");
    assert_eq!(told(&at("eve"), &["ls"])["experiments"], serde_json::json!([]));
    let forbidden = refused(&at("eve"), &["cordon", "--worker", "box-1-x"]);
    assert!(forbidden.contains("eve has the role read, which may not ask for Cordon"), "{forbidden}");

    assert_eq!(site.json(&["token", "revoke", "eve"])["member"]["state"], "revoked");
    assert!(refused(&at("eve"), &["nodes"]).contains("membership was revoked"));
    let listed = site.json(&["token", "list"]);
    let states: Vec<_> = listed["members"].as_array().unwrap().iter().map(|member| &member["state"]).collect();
    assert_eq!(states, ["joined", "revoked"]);
    // Neither what is said nor what is kept holds a token.
    let kept = std::fs::read_to_string(site.home().join("keys/members.json")).unwrap();
    for invitation in invited {
        let invitation: Value = serde_json::from_str(&invitation).unwrap();
        let token = invitation["token"].as_str().unwrap();
        assert!(!kept.contains(token) && !listed.to_string().contains(token));
    }
    let plain = refused(&at("eve"), &["nodes", "--scheduler", "http://192.0.2.1:7070"]);
    assert!(plain.contains("token") || plain.contains("beyond this machine"), "{plain}");
}

#[test]
fn a_scheduler_in_plain_text_serves_loopback_alone() {
    let site = Site::new();
    let said = site.refused(&["scheduler", "--listen", "0.0.0.0:0"], 1);
    assert!(said.contains("does not listen on 0.0.0.0:0 in plain text: use TLS (--tls), or 127.0.0.1"), "{said}");
}

#[test]
fn logs_are_written_as_objects_where_that_is_asked_for() {
    let site = Site::new();
    let spec = site.spec(&[("trials: 24", "trials: 1"), ("batch: 8", "batch: 1"), ("epochs: 8", "epochs: 1")]);
    let output = Command::new(program())
        .arg("--home")
        .arg(site.home())
        .args(["--log-format", "json", "run", &spec, "--json"])
        .env("RUST_LOG", "info")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let objects = text(&output.stderr);
    let objects: Vec<Value> = objects.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let leased = objects.iter().find(|object| object["message"] == "attempt is leased").expect("a lease is logged");
    let experiment = leased["experiment"].as_str().unwrap();
    assert!(experiment.starts_with("chaos-"), "{leased}");
    assert_eq!(leased["trial"], format!("{experiment}.0"), "{leased}");
    assert!(leased["attempt"].is_string() || leased["attempt"].is_u64(), "{leased}");
}
