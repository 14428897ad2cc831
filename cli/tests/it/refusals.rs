//! Bad input and broken surroundings: one clear line, the documented code, nothing lost.

use std::net::TcpListener;

use crate::site::{Site, root};

#[test]
fn a_spec_is_refused_whole_with_places_before_anything_starts() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.spec(&[])).unwrap();
    let broken =
        text.replace("learning_rate: 0.003", "learning_rate: 3.0").replace("symbols: [AAPL]", "symbols: [MSFT]");
    let spec = site.write("broken.yaml", &broken);
    let message = site.refused(&["run", &spec], 2);
    for needle in ["broken.yaml:", "learning_rate", "MSFT"] {
        assert!(message.contains(needle), "{needle}: {message}");
    }
    let unknown = site.write("unknown.yaml", &text.replace("direction:", "directon:"));
    let message = site.refused(&["run", &unknown], 2);
    assert!(message.contains("unknown.yaml:") && message.contains("direction"), "{message}");
    assert_eq!(site.json(&["ls"])["experiments"].as_array().unwrap().len(), 0);
}

#[test]
fn faulty_data_are_listed_by_row_and_a_run_refuses_them() {
    let site = Site::new();
    let csv = std::fs::read_to_string(root().join("data/aapl_daily_2013_2023.csv")).unwrap();
    let mut lines: Vec<&str> = csv.lines().collect();
    lines.remove(500);
    let duplicate = lines[700];
    lines.insert(700, duplicate);
    let faulty = site.write("faulty.csv", &format!("{}\n", lines.join("\n")));
    site.json(&["data", "import", &faulty, "--name", "faulty", "--symbol", "AAPL"]);
    let checked = site.run(&["data", "check", "faulty", "--json"]);
    assert_eq!(checked.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let kinds: Vec<&str> = report["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["missing", "duplicate"]);
    let spec = site.spec(&[("source: aapl_daily", "source: faulty")]);
    let message = site.refused(&["run", &spec], 2);
    assert!(message.contains("not fit to learn from"), "{message}");
}

#[test]
fn a_port_in_use_and_an_edited_bundle_are_named() {
    let site = Site::new();
    let promote = "timeout: 24h\n\npromote:\n  model: road\n";
    let changes = [("trials: 24", "trials: 1"), ("batch: 8", "batch: 1"), ("epochs: 8", "epochs: 1")];
    let spec = site.spec(&[&changes[..], &[("timeout: 24h\n", promote)]].concat());
    let outcome = site.json(&["run", &spec]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = site.refused(&["serve", "--model", "road@challenger", "--listen", &address], 1);
    assert!(message.contains("in use"), "{message}");
    let message = site.refused(&["scheduler", "--listen", &address], 1);
    assert!(message.contains(&address), "{message}");

    let bundle = outcome["best"]["bundle"].as_str().unwrap();
    let weights = site.home().join("store/bundles").join(bundle).join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let message = site.refused(&["serve", "--model", "road@challenger", "--listen", "127.0.0.1:0"], 1);
    assert!(message.contains("weights.safetensors was changed or cut short"), "{message}");
}
