//! A home folder of its own with the bundled data imported, and the program to run in it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use live::journal::Record;
use serde_json::Value;
use spec::{Digest, Prediction};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The program under test.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_tradewind")
}

/// The beginning of an experiment on AAPL's bars.
const ON_AAPL: &str = "\
version: 1
name: NAME
data:
  source: aapl_daily
  symbols: [AAPL]
  interval: 1d
  split:
    train: [2013-01-02, 2018-12-31]
    validation: [2019-01-02, 2020-12-31]
    test: [2021-01-04, 2023-09-21]
features:
  - log_return: { bars: 1 }
  - rsi: { bars: 14 }
";

/// A temporary home.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    /// What its processes find in their environment.
    environment: Vec<(String, String)>,
}

impl Site {
    /// A home with AAPL imported.
    pub(crate) fn new() -> Self {
        let site = Self::empty();
        let csv = root().join("data/aapl_daily_2013_2023.csv");
        site.json(&["data", "import", csv.to_str().unwrap(), "--name", "aapl_daily", "--symbol", "AAPL"]);
        site
    }

    /// A home with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// The same, with more in the environment of its processes.
    pub(crate) fn with_environment(mut self, more: &[(&str, &str)]) -> Self {
        self.environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// The home folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Writes an experiment: the shipped chaos sweep with some text replaced.
    pub(crate) fn spec(&self, changes: &[(&str, &str)]) -> String {
        self.shipped("chaos.yaml", changes)
    }

    /// Writes an experiment: a shipped one with some text replaced, one change after the other.
    pub(crate) fn shipped(&self, file: &str, changes: &[(&str, &str)]) -> String {
        let mut text = std::fs::read_to_string(root().join("experiments").join(file)).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{file} no longer says {from}");
            text = text.replace(from, to);
        }
        self.write(file, &text)
    }

    /// Writes an experiment on AAPL's bars; `rest` is what comes after its features.
    pub(crate) fn experiment(&self, name: &str, rest: &str) -> String {
        self.write(&format!("{name}.yaml"), &format!("{}{rest}", ON_AAPL.replace("NAME", name)))
    }

    /// Writes a file beside the home.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--home").arg(self.home()).args(arguments).envs(self.environment.iter().cloned());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and reads the last line it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stderr}{stdout}");
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// Runs the program, which must fail with `code` and one message, and returns the message.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        message
    }

    /// What a server says of the last bar.
    pub(crate) fn served(&self, reference: &str) -> Value {
        self.served_with(reference, &[])
    }

    /// The same of a server with more arguments.
    pub(crate) fn served_with(&self, reference: &str, more: &[&str]) -> Value {
        let arguments = [&["serve", "--model", reference, "--listen", "127.0.0.1:0"][..], more].concat();
        let mut server = self.start(&arguments);
        let mut said = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let url = format!("http://{}", said.trim().rsplit_once("http://").unwrap().1);
        let answer = self.json(&["predict", "--url", &url, "--data", "aapl_daily", "--symbol", "AAPL"]);
        server.kill().unwrap();
        server.wait().unwrap();
        answer
    }

    /// All that decides and all that came out of an experiment's trials, without who ran them and how often.
    pub(crate) fn trials(&self, experiment: &str) -> Vec<Value> {
        let mut trials = self.json(&["show", experiment])["trials"].as_array().unwrap().clone();
        trials.iter_mut().for_each(|trial| trial["attempts"] = Value::Null);
        trials
    }

    /// The store's checkpoints. One that is being written has no digest for a name yet.
    pub(crate) fn checkpoints(&self) -> BTreeSet<Digest> {
        let folder = std::fs::read_dir(self.home().join("store/checkpoints"));
        let names = folder.into_iter().flatten().map(|file| file.unwrap().file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).collect()
    }

    /// Starts the program in the background.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The same, and what it complains of is kept.
    pub(crate) fn start_heard(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// The last prediction that live trading wrote down.
pub(crate) fn last_prediction(journal: &str) -> Prediction {
    let (_, records) = live::journal::read(journal.as_ref()).unwrap();
    let made = |record: Record| if let Record::Prediction(made) = record { Some(made) } else { None };
    records.into_iter().rev().find_map(made).unwrap()
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
