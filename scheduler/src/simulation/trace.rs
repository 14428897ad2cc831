//! The trace of a world: a SHA-256 over all that happened in it.

use spec::Digest;

/// Bytes gathered before they are hashed.
const CHUNK: usize = 8 << 10;

pub(super) struct Trace {
    digest: Digest,
    pending: Vec<u8>,
    /// Each step is printed, too: for whoever looks at one world.
    told: bool,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        let told = std::env::var_os("SIMULATION_TRACE").is_some();
        Self { digest: Digest::of(&seed.to_le_bytes()), pending: Vec::with_capacity(CHUNK + 256), told }
    }

    /// Adds a step: when, and what.
    pub(super) fn step(&mut self, now: u64, kind: u8, what: &[u8]) {
        if self.told {
            println!("{now} {} {}", kind.escape_ascii(), what.escape_ascii());
        }
        self.pending.extend_from_slice(&now.to_le_bytes());
        self.pending.push(kind);
        self.pending.extend_from_slice(what);
        if self.pending.len() >= CHUNK {
            self.fold();
        }
    }

    pub(super) fn digest(&mut self) -> Digest {
        self.fold();
        self.digest
    }

    fn fold(&mut self) {
        self.pending.extend_from_slice(self.digest.as_bytes());
        self.digest = Digest::of(&self.pending);
        self.pending.clear();
    }
}
